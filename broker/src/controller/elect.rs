//! Who leads.

use super::{Brokers, is_live, is_staying};
use crate::{
    placement::BrokerId,
    replica::{Assignment, Leadership},
};

/// The partition's row as it should be next, or `None` if it is good as it is.
///
/// - Fenced brokers leave the in-sync set, as long as `min_insync_replicas` stay: what was
///   acknowledged lately may be on so few only.
/// - A leader that is fenced, or was restarted since, is replaced by a member of the in-sync set:
///   nobody else is sure to have everything. If there is none the partition waits.
/// - A move is over when everybody of its target is in sync. A leader ends it itself, see [`home`];
///   here it ends where one has to be elected anyway.
pub fn next(row: &Assignment, brokers: &Brokers) -> Option<Assignment> {
    let mut new = row.clone();
    let live = |broker: &BrokerId| is_live(brokers, *broker);
    if row.in_sync.iter().filter(|b| live(b)).count() >= row.min_insync_replicas {
        new.in_sync.retain(live);
    }
    let leads_on = row.leader.is_some_and(|leader| {
        let lives = brokers.get(&leader.broker);
        lives.is_some_and(|view| view.incarnation == leader.incarnation)
            && live(&leader.broker)
            && new.in_sync.contains(&leader.broker)
    });
    if !leads_on {
        match moved(&new) {
            Some(target) => finish_move(&mut new, target, brokers),
            None => {
                let leader = successor(&new, brokers);
                lead(&mut new, leader, brokers);
            }
        }
    }
    stamped(row, new)
}

/// What a leader that has committed all it took asks for: that a move which is done ends, or that the
/// preferred leader leads again. `None` if all is as it should be.
pub fn home(row: &Assignment, brokers: &Brokers) -> Option<Assignment> {
    let mut new = row.clone();
    if let Some(target) = moved(row) {
        finish_move(&mut new, target, brokers);
        return stamped(row, new);
    }
    let preferred = *row.replicas.first()?;
    let leads = row.leader?.broker;
    let can = is_staying(brokers, preferred) && row.in_sync.contains(&preferred);
    if leads == preferred || !can || row.target.is_some() {
        return None;
    }
    lead(&mut new, Some(preferred), brokers);
    stamped(row, new)
}

/// The row with another leader than `from`, if a member that stays can lead.
pub fn away(row: &Assignment, from: BrokerId, brokers: &Brokers) -> Option<Assignment> {
    let to = members(row).find(|broker| *broker != from && is_staying(brokers, *broker))?;
    let mut new = row.clone();
    lead(&mut new, Some(to), brokers);
    stamped(row, new)
}

/// The row with the member after `from` as the leader, of those that stay: whoever is passed it may
/// pass it on, until it comes to one that can lead.
pub fn onward(row: &Assignment, from: BrokerId, brokers: &Brokers) -> Option<Assignment> {
    let before = members(row).take_while(|broker| *broker != from);
    let after = members(row).skip_while(|broker| *broker != from).skip(1);
    let to = after
        .chain(before)
        .find(|broker| *broker != from && is_staying(brokers, *broker))?;
    let mut new = row.clone();
    lead(&mut new, Some(to), brokers);
    stamped(row, new)
}

/// The in-sync set in the order of preference.
fn members(row: &Assignment) -> impl Iterator<Item = BrokerId> {
    let wanted = row.target.iter().flatten().chain(&row.replicas).copied();
    wanted.filter(|broker| row.in_sync.contains(broker))
}

/// The first live member of the in-sync set, in the order of preference; one that is about to leave
/// only if there is no other.
fn successor(row: &Assignment, brokers: &Brokers) -> Option<BrokerId> {
    members(row)
        .find(|broker| is_staying(brokers, *broker))
        .or_else(|| members(row).find(|broker| is_live(brokers, *broker)))
}

pub(super) fn lead(row: &mut Assignment, broker: Option<BrokerId>, brokers: &Brokers) {
    let leader = broker.and_then(|broker| {
        let incarnation = brokers.get(&broker)?.incarnation;
        Some(Leadership {
            broker,
            incarnation,
        })
    });
    if leader.is_some() {
        row.epoch += 1;
    }
    row.leader = leader;
}

/// The target of a move, once everybody in it is in sync.
fn moved(row: &Assignment) -> Option<Vec<BrokerId>> {
    let done = |target: &&Vec<_>| target.iter().all(|broker| row.in_sync.contains(broker));
    row.target.as_ref().filter(done).cloned()
}

fn finish_move(row: &mut Assignment, target: Vec<BrokerId>, brokers: &Brokers) {
    row.in_sync.retain(|broker| target.contains(broker));
    row.replicas = target;
    row.target = None;
    // A term begins even if the leader stays. Within one it remembers what copies have said; one that
    // goes, is deleted and comes back must find nobody who remembers, or still owes it an answer.
    let leader = successor(row, brokers);
    lead(row, leader, brokers);
}

pub(super) fn stamped(row: &Assignment, mut new: Assignment) -> Option<Assignment> {
    if new == *row {
        return None;
    }
    new.partition_epoch += 1;
    Some(new)
}

#[cfg(test)]
mod tests {
    use super::super::{BrokerState, BrokerView};
    use super::*;

    fn brokers(states: &[(BrokerId, i64, BrokerState)]) -> Brokers {
        let view = |&(id, incarnation, state)| {
            let view = BrokerView {
                incarnation,
                state,
                rack: None,
            };
            (id, view)
        };
        states.iter().map(view).collect()
    }

    fn row(leader: Option<(BrokerId, i64)>, in_sync: &[BrokerId]) -> Assignment {
        Assignment {
            replicas: vec![1, 2, 3],
            target: None,
            leader: leader.map(|(broker, incarnation)| Leadership {
                broker,
                incarnation,
            }),
            epoch: 7,
            in_sync: in_sync.to_vec(),
            partition_epoch: 20,
            min_insync_replicas: 2,
            loss_epoch: None,
        }
    }

    use BrokerState::{Draining, Fenced, Live};

    #[test]
    fn a_good_row_stays() {
        let all = brokers(&[(1, 1, Live), (2, 1, Live), (3, 1, Draining)]);
        assert_eq!(next(&row(Some((1, 1)), &[1, 2, 3]), &all), None);
        assert_eq!(home(&row(Some((1, 1)), &[1, 2, 3]), &all), None);
    }

    #[test]
    fn a_dead_leader_leaves_and_another_member_leads() {
        let all = brokers(&[(1, 1, Fenced), (2, 1, Draining), (3, 4, Live)]);
        let new = next(&row(Some((1, 1)), &[1, 2, 3]), &all).expect("a new row");
        assert_eq!(new.leader.map(|l| (l.broker, l.incarnation)), Some((3, 4)));
        assert_eq!((new.epoch, new.partition_epoch), (8, 21));
        assert_eq!(new.in_sync, [2, 3]);
    }

    #[test]
    fn a_restarted_leader_is_elected_anew() {
        let all = brokers(&[(1, 2, Live), (2, 1, Fenced), (3, 4, Fenced)]);
        let new = next(&row(Some((1, 1)), &[1]), &all).expect("a new row");
        assert_eq!(new.leader.map(|l| (l.broker, l.incarnation)), Some((1, 2)));
        assert_eq!(new.epoch, 8);
    }

    #[test]
    fn nobody_outside_of_the_in_sync_set_leads() {
        let all = brokers(&[(1, 1, Fenced), (2, 1, Fenced), (3, 4, Live)]);
        let new = next(&row(Some((1, 1)), &[1, 2]), &all).expect("a new row");
        assert_eq!(new.leader, None);
        assert_eq!((new.epoch, new.in_sync.as_slice()), (7, &[1, 2][..]));
        assert_eq!(next(&new, &all), None);
    }

    #[test]
    fn the_in_sync_set_stays_above_its_minimum() {
        let all = brokers(&[(1, 1, Fenced), (2, 1, Fenced), (3, 4, Live)]);
        let new = next(&row(Some((1, 1)), &[1, 2, 3]), &all).expect("a new row");
        assert_eq!(new.in_sync, [1, 2, 3]);
        assert_eq!(new.leader.map(|l| l.broker), Some(3));
    }

    #[test]
    fn the_preferred_leader_comes_home_once_it_is_in_sync() {
        let all = brokers(&[(1, 2, Live), (2, 1, Live), (3, 4, Live)]);
        assert_eq!(home(&row(Some((2, 1)), &[2, 3]), &all), None);
        let new = home(&row(Some((2, 1)), &[2, 3, 1]), &all).expect("a new row");
        assert_eq!(new.leader.map(|l| (l.broker, l.incarnation)), Some((1, 2)));
        assert_eq!(new.epoch, 8);
    }

    #[test]
    fn leadership_that_is_passed_on_comes_to_every_member() {
        let all = brokers(&[(1, 1, Live), (2, 1, Live), (3, 4, Live)]);
        let led_by = |row: &Assignment| row.leader.map(|l| l.broker);
        let first = row(Some((1, 1)), &[1, 2, 3]);
        let second = onward(&first, 1, &all).expect("a new row");
        assert_eq!((led_by(&second), second.epoch), (Some(2), 8));
        let third = onward(&second, 2, &all).expect("a new row");
        assert_eq!(led_by(&third), Some(3));
        assert_eq!(
            led_by(&onward(&third, 3, &all).expect("a new row")),
            Some(1)
        );
        // Not to who is gone, nor to who is about to leave.
        let few = brokers(&[(1, 1, Live), (2, 1, Fenced), (3, 4, Draining)]);
        assert_eq!(onward(&first, 1, &few), None);
    }

    #[test]
    fn a_move_ends_when_its_target_is_in_sync() {
        let all = brokers(&[(1, 1, Live), (2, 1, Live), (3, 1, Live), (4, 1, Live)]);
        let mut moving = row(Some((1, 1)), &[1, 2, 3]);
        moving.replicas.push(4);
        moving.target = Some(vec![4, 2, 3]);
        assert_eq!((next(&moving, &all), home(&moving, &all)), (None, None));
        moving.in_sync.push(4);
        // It is for the leader to say when: it commits what it took before.
        assert_eq!(next(&moving, &all), None);
        let new = home(&moving, &all).expect("a new row");
        assert_eq!((new.replicas, new.target), (vec![4, 2, 3], None));
        assert_eq!(new.in_sync, [2, 3, 4]);
        assert_eq!((new.leader.map(|l| l.broker), new.epoch), (Some(4), 8));
    }

    #[test]
    fn a_move_ends_with_the_election_if_its_leader_dies() {
        let all = brokers(&[(1, 1, Fenced), (2, 1, Live), (3, 1, Live), (4, 1, Live)]);
        let mut moving = row(Some((1, 1)), &[1, 2, 3, 4]);
        moving.replicas.push(4);
        moving.target = Some(vec![2, 3, 4]);
        let new = next(&moving, &all).expect("a new row");
        assert_eq!((new.replicas, new.target), (vec![2, 3, 4], None));
        assert_eq!((new.leader.map(|l| l.broker), new.epoch), (Some(2), 8));
    }

    #[test]
    fn nobody_leads_a_finished_move_that_is_dead() {
        let all = brokers(&[(1, 1, Fenced), (2, 1, Fenced), (3, 1, Fenced)]);
        let new = next(&row(Some((1, 1)), &[1, 2, 3]), &all).expect("a new row");
        assert_eq!((new.leader, new.epoch), (None, 7));
    }
}
