//! Objects without a row, as sweeps of the bucket saw them.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::{AnyConnection, AssertSqlSafe, FromRow};

use super::{Engine, Result, Store, bucket::named, partitions::json};

/// What a sweep saw of an object that has no row.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct StrayRow {
    /// Its name.
    pub object_key: String,
    /// Its bytes.
    pub size_bytes: i64,
    /// By the store's clock, milliseconds since the epoch.
    pub last_modified: i64,
    /// When a sweep saw it first as it is, by the database's clock.
    pub first_seen: i64,
    /// When one saw it last.
    pub last_seen: i64,
}

const GIVEN: [(&str, &str); 5] = [
    ("object_key", "TEXT"),
    ("size_bytes", "BIGINT"),
    ("last_modified", "BIGINT"),
    ("first_seen", "BIGINT"),
    ("last_seen", "BIGINT"),
];

impl StrayRow {
    /// What was seen of these objects before, by name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn of(
        connection: &mut AnyConnection,
        engine: Engine,
        keys: &[&str],
    ) -> Result<HashMap<String, Self>> {
        let given = engine.rows_of_json(&GIVEN[..1]);
        let sql = format!(
            "SELECT object_key, size_bytes, last_modified, first_seen, last_seen FROM strays \
             WHERE object_key IN (SELECT object_key FROM {given} AS named)"
        );
        let rows: Vec<Self> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(json(&named(keys))?)
            .fetch_all(connection)
            .await?;
        let by_key = rows.into_iter().map(|row| (row.object_key.clone(), row));
        Ok(by_key.collect())
    }

    /// Notes what was seen now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note(connection: &mut AnyConnection, engine: Engine, rows: &[Self]) -> Result<()> {
        let columns: Vec<_> = GIVEN.iter().map(|(name, _)| *name).collect();
        let set = columns[1..].iter();
        let set: Vec<_> = set
            .map(|name| format!("{name} = excluded.{name}"))
            .collect();
        let (columns, set) = (columns.join(", "), set.join(", "));
        let given = engine.rows_of_json(&GIVEN);
        // SQLite takes ON for a join's without a WHERE.
        let sql = format!(
            "INSERT INTO strays ({columns}) SELECT {columns} FROM {given} AS given WHERE 1 = 1 \
             ON CONFLICT (object_key) DO UPDATE SET {set}"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(json(&rows)?)
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Forgets what no sweep has seen since `look`: it is gone.
    ///
    /// # Errors
    /// The database failed.
    pub async fn forget_before(connection: &mut AnyConnection, look: i64) -> Result<()> {
        sqlx::query("DELETE FROM strays WHERE last_seen < $1")
            .bind(look)
            .execute(connection)
            .await?;
        Ok(())
    }
}

impl Store {
    /// What the database's clock shows, in milliseconds since the epoch.
    ///
    /// # Errors
    /// The database failed.
    pub async fn now_ms(&self) -> Result<i64> {
        let mut connection = self.connection().await?;
        let sql = format!("SELECT {} AS now", self.engine.now_ms());
        let (now,) = sqlx::query_as(AssertSqlSafe(sql))
            .fetch_one(&mut *connection)
            .await?;
        Ok(now)
    }
}
