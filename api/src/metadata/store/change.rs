//! Changes: one transaction each, one after another, told to every node by the feed.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use sqlx::{Any, AnyConnection, FromRow, Transaction};

use tokio::sync::OwnedSemaphorePermit;

use super::{Engine, Result, Store, StoreError, notices::CHANNEL};

/// What a row of the feed says to read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An organization with its members, issuers and limits.
    Organization,
    /// A project with its limits, without its topics and keys.
    Project,
    /// An API key, by its public id.
    Key,
    /// A topic, by its id.
    Topic,
    /// A user, by their address.
    User,
    /// A session, by its id.
    Session,
    /// A key that signs access tokens, by its id.
    SigningKey,
    /// A broker, by its number.
    Broker,
    /// Partitions: those whose rows bear the change's number.
    Partitions,
}

impl Kind {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Organization, "organization"),
        (Self::Project, "project"),
        (Self::Key, "key"),
        (Self::Topic, "topic"),
        (Self::User, "user"),
        (Self::Session, "session"),
        (Self::SigningKey, "signing_key"),
        (Self::Broker, "broker"),
        (Self::Partitions, "partitions"),
    ];

    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, name)| name)
    }

    /// The kind of that name. A newer version may know more of them.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(kind, _)| *kind)
    }
}

/// A row of the feed.
#[derive(Debug, Clone, FromRow)]
pub struct ChangeRow {
    /// Grows in the order of commits.
    pub number: i64,
    /// The name of a [`Kind`].
    pub kind: String,
    /// Which one.
    pub id: String,
}

/// A transaction that holds the feed's next number: changes do not overlap, so what one reads
/// stays true until it commits. Dropped without a commit, it changes nothing.
pub struct Change {
    transaction: Transaction<'static, Any>,
    pub(super) engine: Engine,
    /// Who changes, as other processes hear of it.
    notice: Arc<str>,
    number: i64,
    at_ms: i64,
    /// Its place among those that have a connection.
    _place: OwnedSemaphorePermit,
}

impl Store {
    /// Begins a change, after those that are under way.
    ///
    /// # Errors
    /// The database is away or too busy; nothing was changed.
    pub async fn change(&self, at_ms: i64) -> Result<Change> {
        let place = self.changes.clone().acquire_owned().await;
        let place = place.map_err(|error| StoreError(error.to_string()))?;
        let mut transaction = self.transaction().await?;
        let (number,) = sqlx::query_as(
            "UPDATE change_counter SET number = number + 1 WHERE only_row = 1 RETURNING number",
        )
        .fetch_one(&mut *transaction)
        .await?;
        Ok(Change {
            transaction,
            engine: self.engine,
            notice: self.notice.clone(),
            number,
            at_ms,
            _place: place,
        })
    }
}

impl Change {
    /// Its place among all changes.
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Milliseconds since the epoch: the time that everything in the change bears.
    pub fn at_ms(&self) -> i64 {
        self.at_ms
    }

    /// Has every node read it again.
    ///
    /// # Errors
    /// The database failed.
    pub async fn touch(&mut self, kind: Kind, id: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO changes (number, kind, id, at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING",
        )
        .bind(self.number)
        .bind(kind.name())
        .bind(id)
        .bind(self.at_ms)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    /// Has every node read again whatever is in `rows`, which names a table and, by `$1`, its rows:
    /// one statement, however many there are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn touch_each(&mut self, kind: Kind, rows: &str, of: &str) -> Result<()> {
        let sql = format!(
            "INSERT INTO changes (number, kind, id, at) \
             SELECT CAST($2 AS BIGINT), CAST($3 AS TEXT), id, CAST($4 AS BIGINT) \
             FROM {rows} ON CONFLICT DO NOTHING"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(of)
            .bind(self.number)
            .bind(kind.name())
            .bind(self.at_ms)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// Makes it so.
    ///
    /// # Errors
    /// The database failed; whether it is so is not known.
    pub async fn commit(mut self) -> Result<()> {
        if self.engine == Engine::Postgres {
            sqlx::query("SELECT 1 FROM (SELECT pg_notify($1, $2)) AS told")
                .bind(CHANNEL)
                .bind(&*self.notice)
                .execute(&mut *self.transaction)
                .await?;
        }
        Ok(self.transaction.commit().await?)
    }
}

impl Deref for Change {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.transaction
    }
}

impl DerefMut for Change {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }
}

impl ChangeRow {
    /// The feed's last number.
    ///
    /// # Errors
    /// The database failed.
    pub async fn last_number(connection: &mut AnyConnection) -> Result<i64> {
        let (number,) = sqlx::query_as("SELECT number FROM change_counter WHERE only_row = 1")
            .fetch_one(connection)
            .await?;
        Ok(number)
    }

    /// What changed after `number`, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn after(connection: &mut AnyConnection, number: i64) -> Result<Vec<Self>> {
        Ok(
            sqlx::query_as(
                "SELECT number, kind, id FROM changes WHERE number > $1 ORDER BY number",
            )
            .bind(number)
            .fetch_all(connection)
            .await?,
        )
    }

    /// Forgets what changed before `at_ms`: every node has read it long ago, or reads all anew.
    ///
    /// # Errors
    /// The database failed.
    pub async fn prune(connection: &mut AnyConnection, at_ms: i64) -> Result<()> {
        sqlx::query("DELETE FROM changes WHERE at < $1")
            .bind(at_ms)
            .execute(connection)
            .await?;
        Ok(())
    }
}
