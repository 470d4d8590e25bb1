//! Retention: one task for all partitions, which looks at what memory says about sealed segments.

use std::{sync::Arc, sync::Weak, time::Duration};

use headwater_log::Retention;

use super::Node;

/// Starts the task; it ends with the node.
pub(super) fn start(node: &Arc<Node>, interval: Duration) {
    let node = Arc::downgrade(node);
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let swept = tokio::task::spawn_blocking({
                let node = node.clone();
                move || sweep(&node)
            });
            match swept.await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::error!(%error, "maintenance stopped"),
            }
        }
    });
}

/// One look at all partitions; `false` once the node is gone.
fn sweep(node: &Weak<Node>) -> bool {
    let Some(node) = node.upgrade() else {
        return false;
    };
    let now_ms = node.clock.now_ms();
    node.topics
        .each(|partition| partition.expire_producers(now_ms));
    for id in node.log.partitions() {
        // A topic that the metadata does not know keeps its data: only a tombstone removes it.
        let Some(placement) = node.placement.topic(id.topic) else {
            continue;
        };
        // A follower's log begins where its leader's does.
        let Some(partition) = node.topics.existing(id).filter(|p| p.leads()) else {
            continue;
        };
        if node.tier.get().is_some() {
            // Of what is in the store as well: see `offload`.
            continue;
        }
        let log = &partition.log;
        let retention = Retention {
            ms: placement.settings.retention_ms,
            bytes: placement.settings.retention_bytes,
        };
        // The followers have yet to copy what is not committed.
        match log.retain(now_ms, &retention, partition.high_watermark()) {
            Ok(retained) => {
                if retained.segments > 0 {
                    partition.tell_sessions_later();
                    tracing::info!(
                        partition = %id,
                        segments = retained.segments,
                        bytes = retained.bytes,
                        log_start = log.log_start(),
                        "retention removed segments"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(partition = %id, %error, "retention could not run");
            }
        }
    }
    true
}
