//! What a database says of itself, for somebody who looks before using it.

use std::{
    str::FromStr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use sqlx::{
    AnyConnection, AssertSqlSafe, ConnectOptions, Connection, sqlite::SqliteConnectOptions,
};

use super::{BrokerRow, ControllerRow, Engine, Result, migrations};

/// Round trips that are timed.
const ROUND_TRIPS: usize = 9;

/// What a database says of itself. Nothing in it is changed for this.
#[derive(Debug)]
pub struct Examined {
    /// What it is.
    pub engine: Engine,
    /// Its version, as it says it.
    pub version: String,
    /// The number of the last migration that it has had; 0 if none.
    pub migrated: i64,
    /// The number of the last one that this program knows.
    pub known: i64,
    /// The middle of several round trips.
    pub round_trip: Duration,
    /// How far its clock is ahead of this machine's.
    pub clock_ahead_ms: i64,
    /// Its cluster, if a broker was there and it is of this version.
    pub cluster_id: Option<String>,
    /// Its brokers, if it is of this version.
    pub brokers: Vec<BrokerRow>,
}

impl Examined {
    /// Asks the database of that URL.
    ///
    /// # Errors
    /// It cannot be reached, lets nobody in by the URL, or, of SQLite, there is no such file.
    pub async fn ask(url: &str) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let (engine, url) = match url.starts_with("sqlite:") {
            true => {
                let options = SqliteConnectOptions::from_str(url)?.create_if_missing(false);
                (Engine::Sqlite, options.to_url_lossy().to_string())
            }
            false => (Engine::Postgres, url.to_owned()),
        };
        let mut connection = AnyConnection::connect(&url).await?;
        let examined = Self::ask_on(engine, &mut connection).await;
        // What it said counts more than how it parts.
        let closed = connection.close().await;
        let examined = examined?;
        closed?;
        Ok(examined)
    }

    async fn ask_on(engine: Engine, connection: &mut AnyConnection) -> Result<Self> {
        let (version, has_migrations) = match engine {
            Engine::Sqlite => (
                "SELECT sqlite_version()",
                "SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'",
            ),
            Engine::Postgres => (
                "SELECT current_setting('server_version')",
                "SELECT count(*) FROM pg_tables WHERE tablename = '_sqlx_migrations' \
                 AND schemaname = ANY(current_schemas(false))",
            ),
        };
        let (version,): (String,) = sqlx::query_as(version).fetch_one(&mut *connection).await?;
        let (has_migrations,): (i64,) = sqlx::query_as(has_migrations)
            .fetch_one(&mut *connection)
            .await?;
        let mut migrated = 0;
        if has_migrations > 0 {
            let sql = "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) FROM _sqlx_migrations";
            (migrated,) = sqlx::query_as(sql).fetch_one(&mut *connection).await?;
        }
        let migrations = migrations(engine);
        let known = migrations.iter().map(|migration| migration.version).max();
        let known = known.unwrap_or(0);
        let (round_trip, clock_ahead_ms) = time(engine, connection).await?;
        let is_current = migrated == known;
        Ok(Self {
            engine,
            version,
            migrated,
            known,
            round_trip,
            clock_ahead_ms,
            cluster_id: match is_current {
                true => ControllerRow::cluster_id(connection).await?,
                false => None,
            },
            brokers: match is_current {
                true => BrokerRow::all(connection).await?,
                false => Vec::new(),
            },
        })
    }
}

/// The middle of several round trips, and how far the database's clock is ahead by the fastest one.
async fn time(engine: Engine, connection: &mut AnyConnection) -> Result<(Duration, i64)> {
    let sql = format!("SELECT {}", engine.now_ms());
    let mut trips = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let (before_ms, started) = (now_ms(), Instant::now());
        let query = sqlx::query_as(AssertSqlSafe(sql.clone()));
        let (theirs_ms,): (i64,) = query.fetch_one(&mut *connection).await?;
        let elapsed = started.elapsed();
        // It was asked in the middle of the trip, more or less.
        let ours_ms = before_ms + elapsed.as_millis() as i64 / 2;
        trips.push((elapsed, theirs_ms - ours_ms));
    }
    trips.sort_unstable();
    Ok((trips[ROUND_TRIPS / 2].0, trips[0].1))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
