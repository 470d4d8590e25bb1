//! Who gets what: evenly, with few moves, and never nobody.

use std::collections::BTreeMap;

use headwater_groups::{PartitionId, State};

use crate::support::{Fixture, ORDERS, PAYMENTS, config};

/// Has everybody poll once, in the order of names.
fn round(f: &mut Fixture) {
    for member in f.describe().members {
        f.poll(&member.name, member.joined);
    }
}

fn owners(f: &mut Fixture) -> BTreeMap<PartitionId, String> {
    let mut owners = BTreeMap::new();
    for member in f.describe().members {
        for id in member.assignment {
            let other = owners.insert(id, member.name.clone());
            assert_eq!(other, None, "{id} has one owner");
        }
    }
    owners
}

fn moves(before: &BTreeMap<PartitionId, String>, after: &BTreeMap<PartitionId, String>) -> usize {
    assert_eq!(before.len(), after.len());
    before
        .iter()
        .filter(|(id, owner)| after[*id] != **owner)
        .count()
}

#[test]
fn one_round_of_polls_balances() {
    for (partitions, members) in [(1, 3), (7, 3), (12, 5), (64, 64), (100, 7)] {
        let mut f = Fixture::new(partitions);
        for n in 0..members {
            f.join(&format!("m{n:02}"));
        }
        round(&mut f);
        let loads = f.loads();
        let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
        assert!(most - least <= 1, "{loads:?}");
        assert_eq!(loads.iter().sum::<usize>(), partitions as usize);
        assert_eq!(f.describe().state, State::Stable);
        let events = f.log.len();
        round(&mut f);
        assert_eq!(f.log.len(), events, "then nothing moves");
    }
}

#[test]
fn who_comes_gets_a_share_and_no_more_moves_than_that() {
    let mut f = Fixture::new(8);
    f.join("a");
    f.join("b");
    round(&mut f);
    assert_eq!(f.loads(), [4, 4]);
    let before = owners(&mut f);
    f.join("c");
    assert_eq!(
        owners(&mut f),
        before,
        "nothing is taken from who is at work"
    );
    assert_eq!(f.describe().state, State::Rebalancing);
    round(&mut f);
    assert_eq!(f.loads(), [3, 3, 2]);
    let after = owners(&mut f);
    assert_eq!(moves(&before, &after), 2);
    // Who goes leaves its own behind, and nothing else moves.
    f.leave("c", None).unwrap();
    assert_eq!(f.loads(), [4, 4]);
    assert_eq!(moves(&after, &owners(&mut f)), 2);
}

#[test]
fn a_takeover_moves_nothing_between_names() {
    let mut f = Fixture::new(9);
    for member in ["a", "b", "c"] {
        f.join_as(member, Some("old"));
    }
    round(&mut f);
    let before = owners(&mut f);
    for member in ["b", "a", "c"] {
        f.join_as(member, Some("new"));
    }
    round(&mut f);
    assert_eq!(owners(&mut f), before);
}

#[test]
fn while_there_is_a_member_nothing_is_without_an_owner() {
    let mut f = Fixture::new(5);
    for member in ["a", "b", "c"] {
        f.join(member);
        assert_eq!(owners(&mut f).len(), 5);
    }
    round(&mut f);
    for member in ["b", "a"] {
        f.leave(member, None).unwrap();
        assert_eq!(owners(&mut f).len(), 5);
    }
}

#[test]
fn every_member_gets_of_every_topic() {
    let mut f = Fixture::empty();
    f.topics.0.extend([(ORDERS, 4), (PAYMENTS, 4)]);
    f.ensure(config(&[ORDERS, PAYMENTS]), &[]).unwrap();
    for member in ["a", "b", "c", "d"] {
        f.join(member);
    }
    round(&mut f);
    for member in f.describe().members {
        let [one, other] = member.assignment[..] else {
            panic!("{member:?}");
        };
        assert_ne!(one.topic, other.topic);
        assert_eq!(one.partition, other.partition);
    }
}
