//! Writing usage down, and telling it.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{Gateway, changes::unavailable};
use crate::{
    limits::{METADATA_TIMEOUT, USAGE_BATCH, USAGE_FLUSH, USAGE_POINTS_MAX, USAGE_SWEEP},
    metadata::{
        StoreError, TopicRow,
        store::{UsageQuery, UsageRow},
    },
    problem::{Code, Problem},
    usage::{Levels, Meter, Reading, Stored, UsageStep, series},
};

const MINUTE_MS: i64 = 60_000;
/// Usage is written so long before a multiple of its interval: a minute's last seconds are written
/// while it lasts, and so are counted to it.
const EARLY_MS: i64 = 100;

/// A meter that was read, and what to note of its stored bytes.
type Read = (Arc<Meter>, Reading, Stored);

impl Gateway {
    /// Writes usage down every few seconds until `stop` is sent or dropped, and once more then.
    pub async fn write_usage(self: Arc<Self>, mut stop: oneshot::Receiver<()>) {
        let flush_ms = USAGE_FLUSH.as_millis() as i64;
        let mut swept = String::new();
        let mut failing = false;
        loop {
            let wait_ms = flush_ms - (self.clock.now_ms() + EARLY_MS).rem_euclid(flush_ms);
            let stopping = tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(wait_ms as u64)) => false,
                _ = &mut stop => true,
            };
            let mut written = self.flush_usage().await;
            if written.is_ok() && !stopping {
                written = self.look_around(&mut swept).await;
            }
            match &written {
                Err(error) if stopping => tracing::error!(%error, "the last usage is lost"),
                Err(error) if !failing => tracing::warn!(%error, "usage waits to be written"),
                Ok(()) if failing => tracing::info!("usage is written again"),
                Ok(()) | Err(_) => {}
            }
            failing = written.is_err();
            if stopping {
                return;
            }
        }
    }

    /// Writes down what meters counted. What cannot be written stays counted.
    async fn flush_usage(&self) -> Result<(), StoreError> {
        let meters = self.catalog.meters();
        let until = Instant::now() + METADATA_TIMEOUT;
        let mut moved = meters.moved().into_iter();
        let mut flushed = Ok(());
        while flushed.is_ok() && moved.len() > 0 {
            let mut batch = Vec::new();
            for meter in moved.by_ref().take(USAGE_BATCH) {
                let reading = meter.read();
                let stored = self.stored_now(&meter, &reading).await;
                batch.push((meter, reading, stored));
                tokio::task::yield_now().await;
            }
            let written = tokio::time::timeout_at(until, self.write_batch(&batch)).await;
            flushed = written.unwrap_or_else(|_| Err(StoreError("no answer in time".into())));
            for (meter, reading, stored) in batch {
                match &flushed {
                    Ok(()) => meter.note(stored),
                    // If the answer to a commit was lost this counts twice; the other way it would
                    // be lost whenever the database is away.
                    Err(_) => meter.put_back(reading),
                }
            }
        }
        meters.unread(moved);
        flushed
    }

    async fn write_batch(&self, batch: &[Read]) -> Result<(), StoreError> {
        let minute = self.minute();
        let mut transaction = self.store.transaction().await?;
        for (meter, reading, stored) in batch {
            let idle = reading.counts == Default::default() && reading.noted == Some(*stored);
            if !idle {
                let row = self.row(meter, reading, *stored, minute);
                row.add(&mut transaction).await?;
            }
        }
        transaction.commit().await?;
        Ok(())
    }

    fn row(&self, meter: &Meter, reading: &Reading, stored: Stored, minute: i64) -> UsageRow {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        UsageRow {
            organization_id: meter.organization.clone(),
            project_id: meter.project.clone(),
            topic: meter.topic.clone(),
            minute,
            node: self.usage_node,
            ingress_bytes: signed(reading.counts.ingress_bytes),
            egress_bytes: signed(reading.counts.egress_bytes),
            records_in: signed(reading.counts.records_in),
            records_out: signed(reading.counts.records_out),
            requests: signed(reading.counts.requests),
            stored_bytes_hot: signed(stored.hot),
            stored_bytes_cold: signed(stored.cold),
        }
    }

    /// The start of the minute that it is, in milliseconds since the epoch.
    fn minute(&self) -> i64 {
        let now_ms = self.clock.now_ms();
        now_ms - now_ms.rem_euclid(MINUTE_MS)
    }

    /// What the topic of a meter has stored; where nothing changed, what was noted.
    async fn stored_now(&self, meter: &Meter, reading: &Reading) -> Stored {
        match reading.noted {
            Some(noted) if !reading.resized => noted,
            _ => self.stored_of(meter).await,
        }
    }

    async fn stored_of(&self, meter: &Meter) -> Stored {
        let topic = self.catalog.topic(&meter.project, &meter.topic);
        match topic {
            Some(topic) => self.own_stored(&topic).await,
            None => Stored::default(),
        }
    }

    /// Looks at the next few topics, whether they still have stored what is noted: retention makes no
    /// calls. All are looked at in [`USAGE_SWEEP`].
    async fn look_around(&self, after: &mut String) -> Result<(), StoreError> {
        let meters = self.catalog.meters();
        let rounds = (USAGE_SWEEP.as_secs() / USAGE_FLUSH.as_secs()) as usize;
        let page = meters.page(after, meters.count() / rounds + 1);
        for meter in page {
            if !meter.topic.is_empty() {
                if meter.noted().is_none() {
                    let noted = tokio::time::timeout(METADATA_TIMEOUT, self.last_noted(&meter));
                    let noted = noted.await;
                    let noted = noted.map_err(|_| StoreError("no answer in time".into()))?;
                    meter.note(noted?);
                }
                if meter.noted() != Some(self.stored_of(&meter).await) {
                    meter.resized();
                }
            }
            meters.release(meter);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// What this node noted last of a topic's stored bytes, before it was started.
    async fn last_noted(&self, meter: &Meter) -> Result<Stored, StoreError> {
        let node = self.usage_node;
        let mut connection = self.store.connection().await?;
        let noted =
            UsageRow::last_stored(&mut connection, &meter.project, &meter.topic, node).await?;
        let unsigned = |bytes: i64| u64::try_from(bytes).unwrap_or(0);
        Ok(noted.map_or(Stored::default(), |(hot, cold)| Stored {
            hot: unsigned(hot),
            cold: unsigned(cold),
        }))
    }

    /// Takes this broker's part in the tombstone of a topic whose data is gone here, the last one's
    /// with the tombstone itself, and notes that it has nothing stored: both
    /// or neither, so that a crash leaves nothing to be paid for ever.
    pub(super) async fn forget_topic(&self, row: &TopicRow) -> Result<(), StoreError> {
        let (minute, node) = (self.minute(), self.usage_node);
        let mut transaction = self.store.transaction().await?;
        UsageRow::note_gone(&mut transaction, &row.project_id, &row.name, minute, node).await?;
        TopicRow::forget(&mut transaction, &row.id, self.broker_id).await?;
        transaction.commit().await?;
        // Another topic may have the name by now.
        if let Some(meter) = self.catalog.meters().get(&row.project_id, &row.name) {
            meter.noted_elsewhere();
        }
        Ok(())
    }

    /// Usage by step; what is asked for is widened to whole steps.
    ///
    /// # Errors
    /// 400 if that is too many points, 503 if the database is away.
    pub async fn usage(&self, mut query: UsageQuery<'_>) -> Result<Vec<UsageStep>, Problem> {
        let step_ms = query.step_ms;
        let start = |ms: i64| ms - ms.rem_euclid(step_ms);
        // Nothing is known of what is stored after now.
        let last = query.to_ms.min(self.clock.now_ms() + 1).max(0);
        query.to_ms = start(last.saturating_sub(1)) + step_ms;
        query.from_ms = start(query.from_ms.clamp(0, query.to_ms));
        let mut connection = self.connection().await?;
        let read = async {
            let most = USAGE_POINTS_MAX as i64 + 1;
            let traffic = query.traffic(&mut connection, most).await?;
            let mut levels = Levels::new(&query);
            let take = |note| levels.note(note);
            query.stored(&mut connection, take).await?;
            Ok::<_, StoreError>(series(&query, traffic, levels))
        };
        let read = tokio::time::timeout(METADATA_TIMEOUT, read).await;
        let points = read.map_err(unavailable)?.map_err(unavailable)?;
        points.ok_or_else(|| {
            Problem::new(Code::InvalidRequest, "").at(
                "from",
                "too_many_points",
                format!("more than {USAGE_POINTS_MAX} points; ask for less time or a longer step"),
            )
        })
    }
}
