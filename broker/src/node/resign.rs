//! Resigning: a leader that is cut off from its followers, and not from the metadata, has another
//! member lead. It would renew its lease for ever otherwise, and nothing would be committed.

use std::{collections::HashMap, time::Duration};

use headwater_log::PartitionId;

use super::Node;
use crate::{controller::onward, placement::BrokerId};

/// How long appends wait for members that say nothing, in times that a copy may be behind. Longer
/// than the metadata takes to hear of a broker's death: who lives by its word then is cut off.
const PATIENCE: u32 = 3;
/// The longest time between two resignations from one partition.
const REST_MAX: Duration = Duration::from_secs(120);
/// How long a resignation is remembered after its rest.
const REMEMBERED: Duration = Duration::from_secs(300);

/// When partitions were given up last. Where nobody reaches anybody a resignation does not help:
/// each is followed by twice the rest, so that leadership does not go round for ever.
#[derive(Default)]
pub(super) struct Resignations(HashMap<PartitionId, Resignation>);

struct Resignation {
    at: Duration,
    rest: Duration,
}

impl Resignations {
    /// Whether the partition may be given up now. If so it counts as given up.
    fn admit(&mut self, id: PartitionId, now: Duration, rest_min: Duration) -> bool {
        let rest = match self.0.get(&id) {
            Some(last) if now < last.at + last.rest => return false,
            Some(last) => (last.rest * 2).min(REST_MAX),
            None => rest_min,
        };
        self.0.insert(id, Resignation { at: now, rest });
        true
    }

    fn forget(&mut self, now: Duration) {
        self.0
            .retain(|_, last| now < last.at + last.rest + REMEMBERED);
    }
}

impl Node {
    /// Has others lead where appends wait for members that live, by the metadata's word, and that this
    /// broker does not hear. The next member may be no better off: then it passes leadership on.
    pub(super) async fn resign(&self) {
        let now = self.started.elapsed();
        let patience = self.lag_max * PATIENCE;
        let brokers = self.placement.brokers();
        let is_mute = |broker: BrokerId| {
            let view = brokers.views.get(&broker);
            view.is_some_and(|view| view.state.is_live()) && !self.hears(broker, self.lag_max)
        };
        let unsettled: Vec<PartitionId> = self.unsettled.lock().iter().copied().collect();
        let mut led = Vec::new();
        self.resignations.lock().forget(now);
        for id in unsettled {
            let partition = self.topics.existing(id);
            if let Some(partition) = partition.filter(|p| p.is_deserted(now, patience, is_mute))
                && let Some(row) = partition.row()
                && let Some(next) = onward(&row, self.id, &brokers.views)
                && self.resignations.lock().admit(id, now, patience)
            {
                led.push((partition, next));
            }
        }
        if !led.is_empty() {
            let partitions = led.len();
            tracing::warn!(
                partitions,
                "in-sync copies live and are not heard: others lead"
            );
            self.give_up(led).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use headwater_log::TopicId;

    use super::*;

    #[test]
    fn each_resignation_is_followed_by_a_longer_rest() {
        let id = PartitionId {
            topic: TopicId([1; 16]),
            partition: 0,
        };
        let second = Duration::from_secs;
        let mut resignations = Resignations::default();
        let given_up: Vec<u64> = (0..1_000)
            .filter(|now| resignations.admit(id, second(*now), second(9)))
            .collect();
        assert_eq!(
            given_up,
            [0, 9, 27, 63, 135, 255, 375, 495, 615, 735, 855, 975]
        );
        resignations.forget(second(975 + 120 + 299));
        assert!(!resignations.admit(id, second(1_094), second(9)));
        resignations.forget(second(975 + 120 + 300));
        assert!(resignations.admit(id, second(1_395), second(9)));
        assert!(resignations.admit(id, second(1_404), second(9)));
    }
}
