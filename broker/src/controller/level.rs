//! Spreading copies evenly: first over racks, then by number, by bytes, and by who leads.

use std::collections::{HashSet, VecDeque};

use super::{
    place::{BrokerLoad, neighbours, pick},
    relocate::Spread,
};
use crate::placement::BrokerId;

/// Brokers whose bytes differ by less than this share of what they hold on average are left alone...
const UNEVEN: f64 = 0.1;
/// ...and those that differ by less than this many bytes.
const UNEVEN_BYTES: u64 = 64 << 20;
/// Pairs of copies that change places for the sake of bytes.
const SWAPS_MAX: usize = 1_000;
/// Of the smaller ones, how many are looked at for each larger one.
const SMALL_LOOKED_AT: usize = 16;

/// A copy: its partition's place among all, and its own among the partition's.
type Copy = (usize, usize);

impl Spread {
    /// Spreads copies evenly, moving no more than it takes.
    #[must_use]
    pub fn levelled(mut self) -> Self {
        self.part_racks();
        while let Some((copy, to)) = self.next_copy() {
            self.hand(copy.0, copy.1, to);
        }
        for _ in 0..SWAPS_MAX {
            let Some(((p, large), (q, small))) = self.next_swap() else {
                break;
            };
            let from = self.partitions[p].replicas[large];
            let to = self.partitions[q].replicas[small];
            self.hand(p, large, to);
            self.hand(q, small, from);
        }
        while let Some(path) = self.next_leaders() {
            path.into_iter().for_each(|copy| self.prefer(copy));
        }
        self
    }

    /// Moves copies out of racks that have another of the same partition.
    fn part_racks(&mut self) {
        for partition in 0..self.partitions.len() {
            for place in 0..self.partitions[partition].replicas.len() {
                let replicas = &self.partitions[partition].replicas;
                let crowd = |broker: BrokerId| {
                    let load = self.brokers.iter().find(|load| load.id == broker);
                    load.map_or(0, |load| neighbours(&self.brokers, replicas, load))
                };
                if crowd(replicas[place]) > 0
                    && let Some(to) = pick(&self.brokers, replicas, place == 0)
                    && neighbours(&self.brokers, replicas, &self.brokers[to]) == 0
                {
                    self.hand(partition, place, self.brokers[to].id);
                }
            }
        }
    }

    /// The brokers that take part, the least loaded first.
    fn takers(&self, load: impl Fn(&BrokerLoad) -> u64) -> Vec<&BrokerLoad> {
        let mut takers: Vec<_> = self.brokers.iter().filter(|broker| broker.takes).collect();
        takers.sort_by_key(|broker| load(broker));
        takers
    }

    /// The copies on one broker whose partitions have none on another, and may.
    fn movable(&self, from: &BrokerLoad, to: &BrokerLoad) -> impl Iterator<Item = Copy> {
        let (from_id, to_id) = (from.id, to.id);
        self.partitions
            .iter()
            .enumerate()
            .filter_map(move |(partition, placed)| {
                let replicas = &placed.replicas;
                let place = replicas.iter().position(|broker| *broker == from_id)?;
                let rest: Vec<_> = replicas.iter().copied().filter(|b| *b != from_id).collect();
                let crowd = |broker| neighbours(&self.brokers, &rest, broker);
                let may = !rest.contains(&to_id) && crowd(to) <= crowd(from);
                may.then_some((partition, place))
            })
    }

    /// A copy on a broker that has more than another one, which should have it.
    fn next_copy(&self) -> Option<(Copy, BrokerId)> {
        let takers = self.takers(|broker| broker.replicas);
        for from in takers.iter().rev() {
            for to in takers
                .iter()
                .take_while(|to| to.replicas + 1 < from.replicas)
            {
                // What evens their bytes best.
                let excess = from.bytes as i128 - to.bytes as i128;
                let bytes = |copy: &Copy| i128::from(self.partitions[copy.0].bytes);
                let best = |copy: &Copy| (excess - 2 * bytes(copy)).abs();
                if let Some(copy) = self.movable(from, to).min_by_key(best) {
                    return Some((copy, to.id));
                }
            }
        }
        None
    }

    /// A copy on the broker with the most bytes, and a smaller one on that with the fewest: changing
    /// places evens them.
    fn next_swap(&self) -> Option<(Copy, Copy)> {
        let takers = self.takers(|broker| broker.bytes);
        let (to, from) = (*takers.first()?, *takers.last()?);
        let sum: u64 = takers.iter().map(|broker| broker.bytes).sum();
        let tolerated = (sum as f64 / takers.len() as f64 * UNEVEN) as u64;
        let excess = from.bytes - to.bytes;
        if excess <= tolerated.max(UNEVEN_BYTES) {
            return None;
        }
        let bytes = |copy: &Copy| self.partitions[copy.0].bytes;
        let mut small: Vec<_> = self.movable(to, from).collect();
        small.sort_by_key(bytes);
        small.truncate(SMALL_LOOKED_AT);
        let pairs = self
            .movable(from, to)
            .flat_map(|large| small.iter().map(move |small| (large, *small)));
        let gained = |(large, small): &(Copy, Copy)| bytes(large).saturating_sub(bytes(small));
        pairs
            .filter(|pair| gained(pair) > 0 && gained(pair) < excess)
            .min_by_key(|pair| (2 * gained(pair)).abs_diff(excess))
    }

    /// Copies to prefer as leaders, so that a broker which leads more than another leads one less. It
    /// may take several: one passes leadership to a second one, that to a third.
    fn next_leaders(&self) -> Option<Vec<Copy>> {
        let takers = self.takers(|broker| broker.leaders);
        let leaders = |id| takers.iter().find(|b| b.id == id).map(|b| b.leaders);
        takers.iter().rev().find_map(|from| {
            let mut seen = HashSet::from([from.id]);
            let mut paths = VecDeque::from([(from.id, Vec::new())]);
            while let Some((broker, path)) = paths.pop_front() {
                for (partition, placed) in self.partitions.iter().enumerate() {
                    if placed.replicas.first() != Some(&broker) {
                        continue;
                    }
                    for (place, to) in placed.replicas.iter().enumerate().skip(1) {
                        let Some(led) = leaders(*to).filter(|_| seen.insert(*to)) else {
                            continue;
                        };
                        let mut path = path.clone();
                        path.push((partition, place));
                        if led + 1 < from.leaders {
                            return Some(path);
                        }
                        paths.push_back((*to, path));
                    }
                }
            }
            None
        })
    }

    /// Makes a copy the preferred leader.
    fn prefer(&mut self, (partition, place): Copy) {
        let replicas = &mut self.partitions[partition].replicas;
        replicas.swap(0, place);
        let (now, before) = (replicas[0], replicas[place]);
        if let Some(load) = self.load(now) {
            load.leaders += 1;
        }
        if let Some(load) = self.load(before) {
            load.leaders -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use headwater_log::{PartitionId, TopicId};

    use super::super::{BrokerState, BrokerView, Brokers};
    use super::*;
    use crate::replica::Assignment;

    fn id(partition: u32) -> PartitionId {
        let topic = TopicId([1; 16]);
        PartitionId { topic, partition }
    }

    fn brokers(racks: &[&str]) -> Brokers {
        let view = |rack: &&str| BrokerView {
            incarnation: 1,
            state: BrokerState::Live,
            rack: (!rack.is_empty()).then(|| (*rack).to_owned()),
        };
        (1..).zip(racks.iter().map(view)).collect()
    }

    fn row(replicas: &[BrokerId]) -> Assignment {
        Assignment {
            replicas: replicas.to_vec(),
            target: None,
            leader: None,
            epoch: 1,
            in_sync: replicas.to_vec(),
            partition_epoch: 1,
            min_insync_replicas: 1,
            loss_epoch: None,
        }
    }

    /// What brokers carry once all moves are made: leaders, copies and bytes of each.
    struct After {
        rows: Vec<Vec<BrokerId>>,
        moved: usize,
        loads: Vec<[u64; 3]>,
    }

    fn after(brokers: &Brokers, before: &[(Vec<BrokerId>, u64)], spread: Spread) -> After {
        let mut rows: Vec<_> = before.iter().map(|(row, _)| row.clone()).collect();
        let mut moved = 0;
        for (id, replicas) in spread.moves() {
            let row = &mut rows[id.partition as usize];
            assert_eq!(replicas.len(), row.len());
            moved += replicas.iter().filter(|b| !row.contains(b)).count();
            *row = replicas;
        }
        let load = |broker: &BrokerId| {
            let on = || {
                rows.iter()
                    .zip(before)
                    .filter(|(row, _)| row.contains(broker))
            };
            let leads = on().filter(|(row, _)| row[0] == *broker).count();
            [
                leads as u64,
                on().count() as u64,
                on().map(|(_, (_, bytes))| bytes).sum(),
            ]
        };
        let loads = brokers.keys().map(load).collect();
        After { rows, moved, loads }
    }

    fn spread(brokers: &Brokers, before: &[(Vec<BrokerId>, u64)]) -> Spread {
        let rows: Vec<_> = before.iter().map(|(r, bytes)| (row(r), *bytes)).collect();
        let given = (0..)
            .zip(&rows)
            .map(|(n, (row, bytes))| (id(n), row, *bytes));
        Spread::new(brokers, given.collect::<Vec<_>>())
    }

    fn range(loads: &[[u64; 3]], of: usize) -> u64 {
        let of = loads.iter().map(|load| load[of]);
        of.clone().max().unwrap_or(0) - of.min().unwrap_or(0)
    }

    #[test]
    fn an_even_cluster_is_left_alone() {
        let brokers = brokers(&["", "", ""]);
        let before = [vec![1, 2, 3], vec![2, 3, 1], vec![3, 1, 2]].map(|row| (row, 9));
        assert_eq!(
            spread(&brokers, &before)
                .evacuated()
                .levelled()
                .moves()
                .count(),
            0
        );
    }

    #[test]
    fn a_broker_that_joins_gets_its_share_and_no_copy_moves_in_vain() {
        let brokers = brokers(&["", "", "", ""]);
        let row = |n: u32| vec![n % 3 + 1, (n + 1) % 3 + 1];
        let before: Vec<_> = (0..60).map(|n| (row(n), 1 << 20)).collect();
        let after = after(&brokers, &before, spread(&brokers, &before).levelled());
        assert_eq!(
            after.loads.iter().map(|load| load[1]).collect::<Vec<_>>(),
            [30; 4]
        );
        assert_eq!(range(&after.loads, 0), 0);
        assert_eq!(after.moved, 30);
    }

    #[test]
    fn who_leaves_keeps_nothing_and_the_dead_are_waited_for() {
        let mut brokers = brokers(&["", "", "", "", ""]);
        let mut set = |id, state| brokers.get_mut(&id).expect("there").state = state;
        set(1, BrokerState::Draining);
        set(2, BrokerState::Retired);
        set(3, BrokerState::Fenced);
        let before = vec![(vec![1, 2], 7), (vec![2, 3], 7), (vec![3, 1], 7)];
        let after = after(&brokers, &before, spread(&brokers, &before).evacuated());
        assert_eq!(after.rows, [[4, 5], [5, 3], [3, 4]]);
    }

    #[test]
    fn without_room_copies_stay() {
        let mut brokers = brokers(&["", "", ""]);
        brokers.get_mut(&3).expect("there").state = BrokerState::Draining;
        let before = vec![(vec![1, 2, 3], 7), (vec![3, 2], 7)];
        let after = after(&brokers, &before, spread(&brokers, &before).evacuated());
        assert_eq!(after.rows, [vec![1, 2, 3], vec![1, 2]]);
    }

    #[test]
    fn copies_part_over_racks() {
        let brokers = brokers(&["a", "a", "b", "c"]);
        let before = vec![(vec![1, 2], 7), (vec![2, 1], 7), (vec![1, 2, 3], 7)];
        let after = after(&brokers, &before, spread(&brokers, &before).levelled());
        for row in &after.rows {
            assert!(!(row.contains(&1) && row.contains(&2)), "{row:?}");
        }
    }

    #[test]
    fn bytes_even_out_where_numbers_are_even() {
        let brokers = brokers(&["", ""]);
        let large = [(vec![1], 4 << 30), (vec![1], 4 << 30)];
        let small = [(vec![2], 1 << 20), (vec![2], 1 << 20)];
        let before = [large, small].concat();
        let after = after(&brokers, &before, spread(&brokers, &before).levelled());
        assert_eq!((range(&after.loads, 1), range(&after.loads, 2)), (0, 0));
        assert_eq!(after.moved, 2);
    }

    #[test]
    fn any_cluster_becomes_even_and_stays_so() {
        for seed in 0..200 {
            let mut dice = fastrand::Rng::with_seed(seed);
            let racks = ["", "a", "b", "c"];
            let count = dice.u32(3..9);
            let racked = dice.bool();
            let rack = |n: u32| {
                if racked {
                    racks[n as usize % 3 + 1]
                } else {
                    ""
                }
            };
            let brokers = brokers(&(0..count).map(rack).collect::<Vec<_>>());
            let copies = dice.usize(1..4);
            let before: Vec<_> = (0..dice.u32(1..60))
                .map(|_| {
                    let mut row: Vec<_> = (1..=count).collect();
                    dice.shuffle(&mut row);
                    row.truncate(copies);
                    (row, dice.u64(0..1 << 34))
                })
                .collect();
            let after = after(&brokers, &before, spread(&brokers, &before).levelled());
            if !racked {
                assert!(
                    range(&after.loads, 1) <= 1,
                    "seed {seed}: {:?}",
                    after.loads
                );
            }
            assert!(
                range(&after.loads, 0) <= 1,
                "seed {seed}: {:?}",
                after.loads
            );
            let again: Vec<_> = after
                .rows
                .into_iter()
                .zip(&before)
                .map(|(r, b)| (r, b.1))
                .collect();
            let again = spread(&brokers, &again).levelled().moves().count();
            assert_eq!(again, 0, "seed {seed}");
        }
    }
}
