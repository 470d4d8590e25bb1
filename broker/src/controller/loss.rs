//! A leader that may lack what was acknowledged: never chosen here, only by a person who accepts that.

use super::{
    Brokers,
    elect::{lead, stamped},
    is_live,
};
use crate::{placement::BrokerId, replica::Assignment};

/// Whether no member of the in-sync set is live: nobody is left who is sure to have everything, and the
/// partition waits for one of them.
pub fn is_lost(row: &Assignment, brokers: &Brokers) -> bool {
    !row.in_sync.iter().any(|broker| is_live(brokers, *broker))
}

/// The row in which this copy leads and is in sync alone, whatever it lacks. `None` unless the partition
/// [is lost](is_lost), and the broker is live and has a copy.
pub fn led_with_loss(row: &Assignment, broker: BrokerId, brokers: &Brokers) -> Option<Assignment> {
    if !is_lost(row, brokers) || !row.replicas.contains(&broker) || !is_live(brokers, broker) {
        return None;
    }
    let mut new = row.clone();
    lead(&mut new, Some(broker), brokers);
    new.in_sync = vec![broker];
    new.loss_epoch = Some(new.epoch);
    stamped(row, new)
}

#[cfg(test)]
mod tests {
    use super::super::{BrokerState, BrokerView};
    use super::*;

    fn brokers(states: [BrokerState; 4]) -> Brokers {
        let view = |state| BrokerView {
            incarnation: 5,
            state,
            rack: None,
        };
        (1..).zip(states.map(view)).collect()
    }

    fn row(in_sync: &[BrokerId]) -> Assignment {
        Assignment {
            replicas: vec![1, 2, 3],
            target: None,
            leader: None,
            epoch: 7,
            in_sync: in_sync.to_vec(),
            partition_epoch: 20,
            min_insync_replicas: 2,
            loss_epoch: Some(3),
        }
    }

    #[test]
    fn who_was_not_in_sync_leads_only_if_nobody_who_was_lives() {
        use BrokerState::{Draining, Fenced, Live, Retired};
        let gone = brokers([Fenced, Retired, Live, Live]);
        let new = led_with_loss(&row(&[1, 2]), 3, &gone).expect("a leader");
        assert_eq!(new.leader.map(|l| (l.broker, l.incarnation)), Some((3, 5)));
        assert_eq!((new.epoch, new.partition_epoch), (8, 21));
        assert_eq!((new.in_sync, new.loss_epoch), (vec![3], Some(8)));
        assert!(led_with_loss(&row(&[]), 3, &gone).is_some());
        // Of which it has no copy, and one that is away.
        assert_eq!(led_with_loss(&row(&[1, 2]), 4, &gone), None);
        assert_eq!(led_with_loss(&row(&[1, 2]), 2, &gone), None);
        for state in [Live, Draining] {
            let one_is_back = brokers([state, Fenced, Live, Live]);
            assert!(!is_lost(&row(&[1, 2]), &one_is_back));
            assert_eq!(led_with_loss(&row(&[1, 2]), 3, &one_is_back), None);
        }
    }
}
