//! Brokers and their leases.

use headwater_broker::{
    BrokerId, Incarnation, Registration,
    controller::{BrokerState, BrokerView},
};
use sqlx::{AnyConnection, AssertSqlSafe, FromRow};

use super::{Engine, Result, StoreError, changed_one};
use crate::auth::encode_hex;

/// A broker's row. Times are by the database's clock.
#[derive(Debug, Clone, FromRow)]
pub struct BrokerRow {
    /// Its number.
    pub id: i64,
    /// Its life.
    pub incarnation: Incarnation,
    /// The name of its data directory, in hexadecimal digits.
    pub data_dir: String,
    /// How often its lease was renewed, as its disk remembers it.
    pub renewals: i64,
    /// 1 once it was found to have let its lease expire.
    pub fenced: i64,
    /// 1 while it is to be given nothing more.
    pub draining: i64,
    /// Where others reach it.
    pub address: String,
    /// Where it stands.
    pub rack: Option<String>,
    /// When this life began, in milliseconds since the epoch.
    pub registered_at: i64,
    /// When it renewed its lease last, in milliseconds since the epoch.
    pub last_seen: i64,
}

const COLUMNS: &str = "id, incarnation, data_dir, renewals, fenced, draining, address, rack, \
                       registered_at, last_seen";

impl BrokerRow {
    /// All, by number, but for those that were removed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all(connection: &mut AnyConnection) -> Result<Vec<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM brokers WHERE removed = 0 ORDER BY id");
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .fetch_all(connection)
            .await?)
    }

    /// The one of that number, which stays as it is until the transaction ends.
    pub(in crate::metadata) async fn lock(
        connection: &mut AnyConnection,
        id: BrokerId,
    ) -> Result<Option<Self>> {
        let sql = format!("UPDATE brokers SET fenced = fenced WHERE id = $1 RETURNING {COLUMNS}");
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(i64::from(id))
            .fetch_optional(connection)
            .await?)
    }

    /// How long its lease runs on, in milliseconds.
    pub(in crate::metadata) async fn lease_left_ms(
        &self,
        connection: &mut AnyConnection,
        engine: Engine,
    ) -> Result<i64> {
        let now = engine.now_ms();
        let sql = format!("SELECT lease_until - {now} FROM brokers WHERE id = $1");
        let (left,) = sqlx::query_as(AssertSqlSafe(sql))
            .bind(self.id)
            .fetch_one(connection)
            .await?;
        Ok(left)
    }

    /// Begins a new life of a broker.
    pub(in crate::metadata) async fn register(
        connection: &mut AnyConnection,
        engine: Engine,
        broker: &Registration,
        renewals: i64,
    ) -> Result<Incarnation> {
        let now = engine.now_ms();
        let sql = format!(
            "INSERT INTO brokers (id, incarnation, data_dir, renewals, lease_until, fenced, \
             draining, address, rack, registered_at, last_seen) \
             VALUES ($1, 1, $2, $3, {now} + $4, 0, 0, $5, $6, {now}, {now}) \
             ON CONFLICT (id) DO UPDATE SET incarnation = brokers.incarnation + 1, \
             data_dir = excluded.data_dir, renewals = excluded.renewals, \
             lease_until = excluded.lease_until, fenced = 0, address = excluded.address, \
             rack = excluded.rack, registered_at = excluded.registered_at, \
             last_seen = excluded.last_seen, removed = 0, \
             draining = CASE WHEN brokers.removed = 1 THEN 0 ELSE brokers.draining END \
             RETURNING incarnation"
        );
        let (incarnation,) = sqlx::query_as(AssertSqlSafe(sql))
            .bind(i64::from(broker.id))
            .bind(encode_hex(&broker.data_dir))
            .bind(renewals)
            .bind(broker.lease.as_millis() as i64)
            .bind(&broker.address)
            .bind(&broker.rack)
            .fetch_one(connection)
            .await?;
        Ok(incarnation)
    }

    /// Renews the lease of that life, of a broker that is `fenced` or not; it is not any more.
    /// `false` if there is no such life.
    pub(in crate::metadata) async fn renew(
        connection: &mut AnyConnection,
        engine: Engine,
        renewal: &headwater_broker::Renewal,
        fenced: bool,
    ) -> Result<bool> {
        let now = engine.now_ms();
        let sql = format!(
            "UPDATE brokers SET lease_until = {now} + $1, last_seen = {now}, fenced = 0, \
             renewals = CASE WHEN renewals > $2 THEN renewals ELSE $2 END \
             WHERE id = $3 AND incarnation = $4 AND fenced = $5 AND removed = 0"
        );
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(renewal.lease.as_millis() as i64)
            .bind(renewal.renewals)
            .bind(i64::from(renewal.id))
            .bind(renewal.incarnation)
            .bind(i64::from(fenced));
        changed_one(query, connection).await
    }

    /// Whether some lease has expired of a broker that is not fenced.
    pub(in crate::metadata) async fn any_expired(
        connection: &mut AnyConnection,
        engine: Engine,
    ) -> Result<bool> {
        let now = engine.now_ms();
        let sql = format!("SELECT id FROM brokers WHERE fenced = 0 AND lease_until <= {now}");
        let expired = sqlx::query(AssertSqlSafe(sql)).fetch_optional(connection);
        Ok(expired.await?.is_some())
    }

    /// Fences the brokers whose lease has expired, and answers which.
    pub(in crate::metadata) async fn fence_expired(
        connection: &mut AnyConnection,
        engine: Engine,
    ) -> Result<Vec<BrokerId>> {
        let now = engine.now_ms();
        let sql = format!(
            "UPDATE brokers SET fenced = 1 WHERE fenced = 0 AND lease_until <= {now} RETURNING id"
        );
        let fenced: Vec<(i64,)> = sqlx::query_as(AssertSqlSafe(sql))
            .fetch_all(connection)
            .await?;
        fenced.into_iter().map(|(id,)| number(id)).collect()
    }

    /// Has it drain, or take part again; `false` if there is no such broker.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_draining(
        connection: &mut AnyConnection,
        id: BrokerId,
        draining: bool,
    ) -> Result<bool> {
        let query = sqlx::query("UPDATE brokers SET draining = $1 WHERE id = $2 AND removed = 0")
            .bind(i64::from(draining))
            .bind(i64::from(id));
        changed_one(query, connection).await
    }

    /// Removes it for good; it is fenced and holds nothing.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remove(connection: &mut AnyConnection, id: BrokerId) -> Result<()> {
        sqlx::query("UPDATE brokers SET removed = 1 WHERE id = $1")
            .bind(i64::from(id))
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Its number.
    ///
    /// # Errors
    /// The row is not one that this service wrote.
    pub fn number(&self) -> Result<BrokerId> {
        number(self.id)
    }

    /// What it means to those who place and elect.
    pub fn view(&self) -> BrokerView {
        BrokerView {
            incarnation: self.incarnation,
            state: match (self.fenced, self.draining) {
                (0, 0) => BrokerState::Live,
                (0, _) => BrokerState::Draining,
                (_, 0) => BrokerState::Fenced,
                _ => BrokerState::Retired,
            },
            rack: self.rack.clone(),
        }
    }
}

pub(super) fn number(id: i64) -> Result<BrokerId> {
    BrokerId::try_from(id).map_err(|_| StoreError(format!("broker {id}: bad number")))
}
