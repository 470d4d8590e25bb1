//! The metadata's SQL. One text for both engines: `$1` placeholders, TEXT ids, BIGINT milliseconds.
//!
//! Functions that read take a connection, so that they read alike inside and outside of a change.

mod audit;
mod brokers;
mod bucket;
mod change;
mod controller;
mod engine;
mod examine;
mod issuers;
mod keys;
mod notices;
mod organizations;
mod partitions;
mod people;
mod placing;
mod projects;
mod quotas;
mod rebuild;
mod segments;
mod sessions;
mod strays;
mod term;
mod topics;
mod unbegun;
mod usage;

use std::{str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    Any, AnyConnection, AnyPool, ConnectOptions, Transaction, any::AnyPoolOptions,
    migrate::Migrator, pool::PoolConnection, sqlite::SqliteConnectOptions,
};

use tokio::sync::Semaphore;

pub use audit::{AuditFilter, AuditRow};
pub use brokers::BrokerRow;
pub use bucket::{HeldRow, TopicNames};
pub use change::{Change, ChangeRow, Kind};
pub use controller::ControllerRow;
pub use engine::Engine;
pub use examine::Examined;
pub use issuers::IssuerRow;
pub use keys::KeyRow;
pub use organizations::OrganizationRow;
pub use partitions::{PartitionRow, PlacedRow};
pub use people::{InvitationRow, MembershipRow, UserRow};
pub use projects::{Buried, ProjectRow};
pub use quotas::{Layer, QuotaRow};
pub use rebuild::{Begun, RebuiltPartition, RebuiltTopic};
pub use segments::SegmentRow;
pub use sessions::{RefreshRow, SigningKeyRow};
pub use strays::StrayRow;
pub use topics::TopicRow;
pub use unbegun::UnbegunRow;
pub use usage::{StoredNote, UsagePoint, UsageQuery, UsageRow};

/// How long a call waits for a connection to the database.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// Connections of one process.
const CONNECTIONS_MAX: u32 = 8;
/// Of those, how many changes have.
const CHANGES_MAX: usize = 3;
/// And how many changes of segments, so that leases are renewed while some of them wait.
const TERM_CHANGES_MAX: usize = 2;

/// The database did not do what was asked.
#[derive(Debug)]
pub struct StoreError(pub String);

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self(error.to_string())
    }
}

/// What the store answers.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The metadata database.
#[derive(Clone)]
pub struct Store {
    pool: AnyPool,
    pub(super) engine: Engine,
    /// Where Postgres tells of changes.
    notices: Option<Arc<str>>,
    /// What this process tells others with its changes, to know its own again.
    notice: Arc<str>,
    /// Changes wait for one another; those that wait leave connections to others.
    changes: Arc<Semaphore>,
    /// The same for those that are no part of the feed.
    term_changes: Arc<Semaphore>,
}

impl Store {
    /// Opens the database, creating and migrating it as needed.
    ///
    /// # Errors
    /// The URL is of an engine that is not known, or the database cannot be opened or migrated.
    pub async fn open(url: &str) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let (engine, url, setup): (_, _, &'static [&'static str]) = match url.split(':').next() {
            Some("sqlite") => {
                let options = SqliteConnectOptions::from_str(url)?.create_if_missing(true);
                // What was answered survives a power cut, as records do.
                let setup = &[
                    "PRAGMA busy_timeout = 5000",
                    "PRAGMA journal_mode = WAL",
                    "PRAGMA synchronous = FULL",
                    "PRAGMA foreign_keys = ON",
                ];
                (Engine::Sqlite, options.to_url_lossy().to_string(), setup)
            }
            Some("postgres" | "postgresql") => {
                // A gateway that hangs inside a change must not hold up all others.
                let setup = &[
                    "SET statement_timeout = '5s'",
                    "SET lock_timeout = '4s'",
                    "SET idle_in_transaction_session_timeout = '10s'",
                ];
                (Engine::Postgres, url.to_owned(), setup)
            }
            other => {
                let scheme = other.unwrap_or_default();
                return Err(StoreError(format!(
                    "{scheme} is not a database that is known: give a postgres:// or sqlite:// URL"
                )));
            }
        };
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    for statement in setup {
                        sqlx::query(*statement).execute(&mut *connection).await?;
                    }
                    Ok(())
                })
            })
            .connect(&url)
            .await?;
        let migrated = migrations(engine).run(&pool).await;
        migrated.map_err(|error| StoreError(error.to_string()))?;
        let changes = Arc::new(Semaphore::new(CHANGES_MAX));
        let notices = (engine == Engine::Postgres).then(|| url.into());
        Ok(Self {
            pool,
            engine,
            notices,
            notice: format!("{:016x}", rand::random::<u64>()).into(),
            changes,
            term_changes: Arc::new(Semaphore::new(TERM_CHANGES_MAX)),
        })
    }

    /// A connection to read with.
    ///
    /// # Errors
    /// None comes free in time, or the database is away.
    pub async fn connection(&self) -> Result<PoolConnection<Any>> {
        Ok(self.pool.acquire().await?)
    }

    /// A transaction of what no node needs to hear of.
    ///
    /// # Errors
    /// The database is away or too busy.
    pub async fn transaction(&self) -> Result<Transaction<'static, Any>> {
        Ok(self.pool.begin_with(self.begin()).await?)
    }

    fn begin(&self) -> &'static str {
        match self.engine {
            // Without it a reader that wants to write may have to be turned away half-way.
            Engine::Sqlite => "BEGIN IMMEDIATE",
            Engine::Postgres => "BEGIN",
        }
    }

    /// The cluster's name, once a broker has registered.
    ///
    /// # Errors
    /// The database failed.
    pub async fn cluster_id(&self) -> Result<Option<String>> {
        let mut connection = self.connection().await?;
        ControllerRow::cluster_id(&mut connection).await
    }

    /// What it runs on.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Whether other nodes may use the database too.
    pub fn is_shared(&self) -> bool {
        self.engine == Engine::Postgres
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not, or not in time.
    pub async fn ping(&self) -> Result<()> {
        let ping = async {
            let mut connection = self.connection().await?;
            sqlx::query("SELECT 1").execute(&mut *connection).await?;
            Ok(())
        };
        tokio::time::timeout(ACQUIRE_TIMEOUT, ping)
            .await
            .map_err(|_| StoreError("no answer in time".into()))?
    }

    /// Closes all connections. Those to a database that hangs are left to it.
    pub async fn close(&self) {
        if tokio::time::timeout(ACQUIRE_TIMEOUT, self.pool.close())
            .await
            .is_err()
        {
            tracing::warn!("the metadata database does not answer; leaving its connections");
        }
    }
}

/// What makes the tables, and changes them from version to version.
fn migrations(engine: Engine) -> Migrator {
    match engine {
        Engine::Sqlite => sqlx::migrate!("../migrations/sqlite"),
        Engine::Postgres => sqlx::migrate!("../migrations/postgres"),
    }
}

/// Whether exactly one row was changed.
async fn changed_one(
    query: sqlx::query::Query<'_, Any, sqlx::any::AnyArguments>,
    connection: &mut AnyConnection,
) -> Result<bool> {
    Ok(query.execute(connection).await?.rows_affected() == 1)
}
