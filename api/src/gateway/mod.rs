//! What the service does, without saying how it is reached: REST and gRPC call the same functions,
//! so that behaviour cannot differ.

mod budget;
mod changes;
mod cluster;
mod coordinator;
mod cursor;
mod encode;
mod fetch;
mod form;
mod groups;
mod keys;
mod loss;
mod notes;
mod placing;
mod positions;
mod produce;
mod rebalance;
mod routing;
mod sealed;
mod tail;
mod tenants;
mod topics;
mod usage;

use std::sync::Arc;

use headwater_broker::{Clock, Cluster, FetchError};
use tokio::sync::{Notify, watch};

use crate::{
    auth::{Access, Authority, Permission, oidc::Providers, outbound::Reach},
    limits::{
        AUDIT_KEPT, ENDED_SESSIONS_KEPT, METADATA_POLL, METADATA_PRUNE, METADATA_TIMEOUT,
        NAME_BYTES_MAX, USAGE_KEPT,
    },
    metadata::{
        Catalog, Store, StoreError, Topic, TopicRow,
        store::{AuditRow, RefreshRow, UsageRow},
    },
    problem::{Code, Problem},
    quota::AtLarge,
};

pub use budget::{Budget, Held};
pub use changes::{Intent, Place, Standing};
pub use cluster::{BrokerLoad, ClusterState, PartitionMove, broker_not_found};
pub use cursor::Cursor;
pub use encode::{Encoded, Encoder, partition_out_of_range};
pub use fetch::{FetchPage, Gap, JSON_PREFIX, OnOutOfRange, PartitionPage, ReadLimits};
pub use form::{Form, JsonForm};
pub use groups::*;
pub use keys::OneRecord;
pub use loss::{Candidate, LossyElection, Lost};
pub use notes::{Note, Notes};
pub use positions::{Position, Start, TimePoint};
pub use produce::{IdempotencyKey, Written, record_too_large};
pub use tail::{Tail, TailStep};
pub use tenants::*;
pub use topics::TopicChange;

/// Everything a call needs.
pub struct Gateway {
    /// Metadata in memory.
    pub catalog: Arc<Catalog>,
    /// Metadata on disk.
    pub store: Store,
    /// Who callers are.
    pub authority: Authority,
    /// Through whom people sign in, if the operator configured that.
    pub providers: Option<Providers>,
    /// What is written off the path of requests.
    pub notes: Notes,
    /// Where issuers of tokens may be.
    pub reach: Reach,
    /// The brokers.
    pub cluster: Cluster,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Calls about no organization.
    pub at_large: AtLarge,
    /// Memory for request bodies.
    pub budget: Budget,
    /// Whose dead letters are being written.
    pub letters: groups::Writing,
    /// Memory for pages of records that are being sent.
    pub pages: Budget,
    /// Turns true when the service stops: tails say goodbye, new work is refused.
    pub draining: watch::Receiver<bool>,
    /// This process's broker number; 0 if it is a gateway alone.
    pub broker_id: u32,
    /// Under which number this process writes usage down: no two processes have one.
    pub usage_node: i64,
}

impl Gateway {
    /// The topic of that name in the caller's project.
    ///
    /// # Errors
    /// 404, whether it is absent, or of another project, or not a name at all.
    pub fn topic(&self, access: &Access, name: &str) -> Result<Arc<Topic>, Problem> {
        self.catalog
            .topic(&access.project.id, name)
            .ok_or_else(topic_not_found)
    }

    /// Looks again whether a caller still may do to a topic what they were let in for: for what goes
    /// on for longer than a moment. Answers the topic as it is now, unless nothing changed.
    ///
    /// # Errors
    /// 401, 403 and 404, as at first, and 503 when nothing is known for too long.
    pub fn check(
        &self,
        access: &Access,
        row: &Permission,
        topic: &Topic,
    ) -> Result<Option<Arc<Topic>>, Problem> {
        let (catalog, now_ms) = (&self.catalog, self.clock.now_ms());
        let version = catalog.version();
        if access.is_unchanged(catalog, now_ms)? {
            return Ok(None);
        }
        let caller = access.caller.again(catalog, now_ms)?;
        let again = caller.open_project(catalog, row, &access.project.id, Some(&topic.name))?;
        let now = self.topic(&again, &topic.name)?;
        if now.id != topic.id {
            return Err(topic_not_found());
        }
        access.asked_at.note(version);
        Ok(Some(now))
    }

    /// Brings the metadata in memory up to what is committed. Answers the topics that were deleted
    /// since, whose data is to be removed.
    ///
    /// # Errors
    /// The database failed, or does not answer in time.
    pub async fn catch_up(&self) -> Result<Vec<TopicRow>, StoreError> {
        in_time(self.catalog.catch_up(&self.store)).await
    }

    /// Learns, for as long as the service runs, what others change.
    pub async fn follow_metadata(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(METADATA_POLL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut prunes = tokio::time::interval(METADATA_PRUNE);
        prunes.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let told = Notify::new();
        // It only makes this quicker, and does not end.
        let listening = self.store.listen(&told);
        tokio::pin!(listening);
        let mut failing = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = told.notified() => {}
                () = &mut listening => {}
                _ = prunes.tick() => {
                    // What is revoked meanwhile must not wait for a long deletion.
                    tokio::spawn(self.clone().prune());
                    continue;
                }
            }
            let followed = self.catch_up().await.map(|mut dead_topics| {
                dead_topics.extend(self.catalog.take_dead());
                if !dead_topics.is_empty() {
                    // What is revoked meanwhile must not wait for a disk.
                    let gateway = self.clone();
                    tokio::spawn(async move { gateway.remove_topics(dead_topics).await });
                }
            });
            match &followed {
                Ok(()) if failing => tracing::info!("the metadata database answers again"),
                Err(error) if !failing => {
                    tracing::warn!(%error, "the metadata database does not answer");
                }
                Ok(()) | Err(_) => {}
            }
            failing = followed.is_err();
        }
    }

    /// Forgets what was kept for long enough; what cannot be forgotten now is at the next time.
    async fn prune(self: Arc<Self>) {
        if let Err(error) = self.try_prune().await {
            tracing::warn!(%error, "old metadata is not forgotten yet");
        }
    }

    async fn try_prune(&self) -> Result<(), StoreError> {
        let now_ms = self.clock.now_ms();
        self.catalog.prune_feed(&self.store, now_ms).await?;
        let mut connection = self.store.connection().await?;
        RefreshRow::prune(
            &mut connection,
            now_ms - ENDED_SESSIONS_KEPT.as_millis() as i64,
        )
        .await?;
        AuditRow::prune(&mut connection, now_ms - AUDIT_KEPT.as_millis() as i64).await?;
        UsageRow::prune(&mut connection, now_ms - USAGE_KEPT.as_millis() as i64).await
    }

    /// A connection to read metadata with that no snapshot has.
    async fn connection(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Any>, Problem> {
        self.store.connection().await.map_err(changes::unavailable)
    }
}

/// Whether `name` may be that of a topic, a key, or a group and its members, which `field` holds: 1 to 249 of
/// `a-z A-Z 0-9 . _ -`, not `.` or `..`, not starting with `__`.
///
/// # Errors
/// 400 with what is wrong.
pub fn check_name(field: &str, name: &str) -> Result<(), Problem> {
    let good_bytes = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !good_bytes || name == "." || name == ".."
    {
        return Err(Problem::invalid(
            field,
            "invalid_name",
            format!("must be 1 to {NAME_BYTES_MAX} of a-z A-Z 0-9 . _ - and not . or .."),
        ));
    }
    if name.starts_with("__") {
        return Err(Problem::invalid(
            field,
            "invalid_name",
            "names with __ in front are reserved",
        ));
    }
    Ok(())
}

/// Whether the database did it before callers would give up.
async fn in_time<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(METADATA_TIMEOUT, work)
        .await
        .unwrap_or_else(|_| Err(StoreError("no answer in time".into())))
}

/// The project has no topic of the path's name.
pub fn topic_not_found() -> Problem {
    Problem::new(Code::TopicNotFound, "the project has no such topic")
}

/// The path names a partition that the topic does not have.
pub fn partition_not_found(topic: &Topic) -> Problem {
    let last = topic.partitions() - 1;
    Problem::new(
        Code::PartitionNotFound,
        format!("the topic's partitions are 0 to {last}"),
    )
}

fn no_leader() -> Problem {
    Problem::new(
        Code::Unavailable,
        "the partition has no leader that can be reached now",
    )
}

/// A broker's refusal to read, as the client is told.
fn read_problem(error: FetchError) -> Problem {
    match error {
        FetchError::UnknownPartition => {
            Problem::new(Code::TopicNotFound, "the topic was deleted meanwhile")
        }
        FetchError::NotLeader => no_leader(),
        FetchError::Unreachable(why) => {
            // Said in the log by whom it could not be reached.
            tracing::debug!(%why, "a partition's leader is not reached");
            no_leader()
        }
        FetchError::NotConfirmed => Problem::new(
            Code::NotConfirmed,
            "the partition's leader does not hear whether it still leads",
        ),
        FetchError::OutOfRange {
            log_start,
            high_watermark,
        } => Problem::new(
            Code::OffsetOutOfRange,
            format!("readable offsets are {log_start} to {high_watermark}"),
        )
        .offset("log_start", log_start)
        .offset("high_watermark", high_watermark),
        FetchError::Corrupt { from, to } => Problem::new(
            Code::RecordCorrupt,
            format!(
                "the stored bytes of offsets {from} to {} are damaged",
                to.saturating_sub(1)
            ),
        )
        .offset("from", from)
        .offset("to", to),
        FetchError::Unavailable(why) => {
            tracing::error!(%why, "a partition cannot be read");
            Problem::new(Code::Unavailable, "the partition cannot be read now")
        }
    }
}
