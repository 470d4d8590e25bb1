//! Where partitions go that were made from the bucket: no broker has anything of them yet.

use headwater_log::PartitionId;

use super::{
    Brokers, Spread, TooFewBrokers,
    elect::stamped,
    is_live,
    place::{BrokerLoad, place},
};
use crate::replica::Assignment;

/// Whether nobody has a copy of the partition that counts, and nobody is about to begin one. Only what
/// [`Manifest::unbegun`](crate::Manifest::unbegun) answers may be placed: everything else has lost its
/// copies, and waits for one of them.
pub fn is_homeless(row: &Assignment, brokers: &Brokers) -> bool {
    let begins = row.replicas.first();
    row.leader.is_none()
        && row.in_sync.is_empty()
        && !begins.is_some_and(|broker| is_live(brokers, *broker))
}

/// The brokers with all that they carry, to place more on them.
pub struct Homes(Vec<BrokerLoad>);

impl Homes {
    /// The brokers, and the rows of all partitions.
    pub fn new<'a>(
        brokers: &Brokers,
        rows: impl IntoIterator<Item = (PartitionId, &'a Assignment)>,
    ) -> Self {
        let rows = rows.into_iter().map(|(id, row)| (id, row, 0));
        Self(Spread::new(brokers, rows).brokers)
    }

    /// The row with a place for so many copies; the first of the brokers is to begin it.
    ///
    /// # Errors
    /// There are fewer brokers than copies.
    pub fn place(
        &mut self,
        row: &Assignment,
        copies: usize,
    ) -> Result<Option<Assignment>, TooFewBrokers> {
        let placed = place(&mut self.0, 1, copies)?;
        let replicas = placed.into_iter().next().unwrap_or_default();
        let new = Assignment {
            replicas,
            target: None,
            ..row.clone()
        };
        Ok(stamped(row, new))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BrokerState, BrokerView};
    use super::*;
    use crate::{placement::BrokerId, replica::Leadership};

    fn brokers(states: &[(BrokerId, BrokerState)]) -> Brokers {
        let view = |&(id, state)| {
            let view = BrokerView {
                incarnation: 1,
                state,
                rack: None,
            };
            (id, view)
        };
        states.iter().map(view).collect()
    }

    fn row(replicas: &[BrokerId]) -> Assignment {
        Assignment {
            replicas: replicas.to_vec(),
            target: None,
            leader: None,
            epoch: 7,
            in_sync: Vec::new(),
            partition_epoch: 1,
            min_insync_replicas: 1,
            loss_epoch: None,
        }
    }

    use BrokerState::{Fenced, Live};

    #[test]
    fn what_nobody_holds_or_is_about_to_begin_is_homeless() {
        let two = brokers(&[(1, Live), (2, Fenced)]);
        assert!(is_homeless(&row(&[]), &two));
        assert!(is_homeless(&row(&[2, 1]), &two));
        assert!(is_homeless(&row(&[3, 1]), &two));
        assert!(!is_homeless(&row(&[1, 2]), &two));
        // Somebody has what was acknowledged: it is waited for.
        let mut held = row(&[2, 1]);
        held.in_sync = vec![2];
        assert!(!is_homeless(&held, &two));
        held.in_sync.clear();
        held.leader = Some(Leadership {
            broker: 2,
            incarnation: 1,
        });
        assert!(!is_homeless(&held, &two));
    }

    #[test]
    fn places_are_spread_and_nobody_leads_yet() {
        let three = brokers(&[(1, Live), (2, Live), (3, Live)]);
        let mut homes = Homes::new(&three, []);
        let mut first = Vec::new();
        for _ in 0..6 {
            let new = homes.place(&row(&[]), 2).expect("enough").expect("a row");
            assert_eq!((new.leader, new.epoch, new.partition_epoch), (None, 7, 2));
            assert_eq!((new.replicas.len(), new.in_sync.len()), (2, 0));
            first.push(new.replicas[0]);
        }
        first.sort_unstable();
        assert_eq!(first, [1, 1, 2, 2, 3, 3]);
        assert!(homes.place(&row(&[]), 4).is_err());
    }
}
