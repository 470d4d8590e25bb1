//! One rule each.

use headwater_groups::limits::{DELAY_MS_MAX, REASON_BYTES_MAX};
use headwater_groups::{
    Action, Cause, Coordinator, Event, GroupError, Outcome, Reject, Rules, Settlement, Token,
};

use crate::shared::harness::{Group, LEASE_MS, RULES, acks};
use crate::support::{ORDERS, PAYMENTS, orders, record, snapshot};

const A: Option<u64> = Some(1);
const B: Option<u64> = Some(2);
const LEASE_END_MS: i64 = LEASE_MS as i64;

fn with(keys: &[Option<u64>]) -> Group {
    let mut group = Group::new(RULES, 1);
    group.offer(0, keys);
    group
}

#[test]
fn a_key_waits_for_its_first_record_and_others_do_not() {
    let mut group = with(&[A, A, B, None, A]);
    let leased = group.lease(0, 10);
    let offsets: Vec<_> = leased.iter().map(|leased| leased.token.offset).collect();
    assert_eq!(offsets, [0, 2, 3]);
    assert_eq!(group.ack(leased[1].token), Outcome::Ok);
    assert_eq!(group.lease_all(0), []);
    assert_eq!(group.ack(leased[0].token), Outcome::Ok);
    assert_eq!(group.lease_all(0), [(1, 1)]);
}

#[test]
fn the_oldest_is_leased_first_also_when_it_came_back() {
    let mut group = with(&[None; 6]);
    let first = group.lease(0, 2);
    assert_eq!(group.lease(0, 1)[0].token.offset, 2);
    assert_eq!(group.nack(0, first[1].token, 0), Outcome::Ok);
    assert_eq!(group.lease(0, 1)[0].token.offset, 1);
}

#[test]
fn the_floor_follows_what_is_settled_and_takes_holes_with_it() {
    let mut group = Group::new(RULES, 1);
    group.offer_run(orders(0), 0, &[(3, None), (5, None), (9, None)], 12);
    let leased = group.lease(0, 3);
    assert_eq!(group.floor(), 0);
    group.ack(leased[1].token);
    assert_eq!(group.floor(), 0);
    group.ack(leased[0].token);
    assert_eq!(group.floor(), 9);
    group.ack(leased[2].token);
    assert_eq!(group.floor(), 12);
}

#[test]
fn an_offer_that_would_skip_records_is_ignored_and_a_known_one_changes_nothing() {
    let mut group = with(&[A, A]);
    group.offer(3, &[B]);
    group.offer(0, &[B, B]);
    assert_eq!(group.lease_all(0), [(0, 1)]);
    group.offer(1, &[None, B]);
    assert_eq!(group.lease_all(0), [(2, 1)]);
}

#[test]
fn an_expired_lease_frees_its_record_before_later_ones_of_its_key() {
    let mut group = with(&[A, A]);
    group.lease(0, 1);
    assert_eq!(group.due_ms(), Some(LEASE_END_MS));
    group.expire(LEASE_END_MS - 1);
    assert_eq!(group.lease_all(0), []);
    let events = group.log.len();
    group.expire(LEASE_END_MS);
    assert_eq!(group.log.len(), events, "that is not durable");
    assert_eq!(group.lease_all(LEASE_END_MS), [(0, 2)]);
}

#[test]
fn a_late_word_counts_until_somebody_else_has_the_record() {
    let mut group = with(&[None, None]);
    let first = group.lease(0, 2);
    group.expire(LEASE_END_MS);
    assert_eq!(group.ack(first[0].token), Outcome::Ok);
    let second = group.lease(LEASE_END_MS, 2);
    assert_eq!(second.len(), 1);
    assert_eq!(group.ack(first[1].token), Outcome::Expired);
    assert_eq!(group.nack(0, first[1].token, 0), Outcome::Expired);
    assert_eq!(group.reject(first[1].token), Outcome::Expired);
    assert_eq!(group.extend(0, first[1].token, LEASE_MS), Outcome::Expired);
    assert_eq!(group.ack(second[0].token), Outcome::Ok);
    assert_eq!(group.floor(), 2);
}

#[test]
fn a_late_extension_takes_a_free_record_back() {
    let mut group = with(&[None]);
    let token = group.lease(0, 1)[0].token;
    group.expire(LEASE_END_MS);
    assert!(group.has_available());
    assert_eq!(group.extend(LEASE_END_MS, token, LEASE_MS), Outcome::Ok);
    assert!(!group.has_available());
    assert_eq!(group.due_ms(), Some(2 * LEASE_END_MS));
}

#[test]
fn what_is_said_again_is_ok_again() {
    let mut group = with(&[None; 4]);
    let tokens: Vec<Token> = group
        .lease(0, 4)
        .iter()
        .map(|leased| leased.token)
        .collect();
    group.ack(tokens[3]);
    group.nack(0, tokens[1], 500);
    group.reject(tokens[2]);
    let events = group.log.len();
    assert_eq!(group.ack(tokens[3]), Outcome::Ok, "settled above the floor");
    assert_eq!(group.nack(100, tokens[1], 500), Outcome::Ok);
    assert_eq!(group.due_ms(), Some(500), "and the delay is as it was");
    assert_eq!(group.reject(tokens[2]), Outcome::Ok);
    group.ack(tokens[0]);
    assert_eq!(group.ack(tokens[0]), Outcome::Ok, "below the floor");
    assert_eq!(group.log.len(), events + 1);
}

#[test]
fn of_two_words_on_a_record_the_first_counts() {
    let mut group = with(&[None; 2]);
    let token = group.lease(0, 1)[0].token;
    let reason = "no".to_owned();
    let settlement = Settlement {
        ack: vec![token, token],
        extend: vec![(token, LEASE_MS)],
        reject: vec![Reject { token, reason }],
        ..Settlement::default()
    };
    let outcomes = group.settle(0, &settlement);
    let expected = [Outcome::Ok, Outcome::Ok, Outcome::Expired, Outcome::Ok];
    assert_eq!(outcomes, expected);
    assert_eq!(group.dead_letters(1), []);
    assert_eq!(group.floor(), 1);
}

#[test]
fn what_was_never_leased_is_unknown() {
    let mut group = with(&[None; 2]);
    let token = group.lease(0, 1)[0].token;
    let never = [
        Token { lease: 2, ..token },
        Token { offset: 1, ..token },
        Token {
            offset: 77,
            ..token
        },
        Token {
            partition: orders(1),
            ..token
        },
    ];
    let outcomes = group.settle(0, &acks(never.to_vec()));
    assert_eq!(outcomes, [Outcome::Unknown; 4]);
    assert_eq!(group.floor(), 0);
}

#[test]
fn a_nack_delays_its_record_and_its_key() {
    let mut group = with(&[A, A, B]);
    let token = group.lease(0, 1)[0].token;
    group.nack(1_000, token, 500);
    assert_eq!(group.lease_all(1_000), [(2, 1)]);
    assert_eq!(group.due_ms(), Some(1_500));
    group.expire(1_500);
    assert_eq!(group.lease_all(1_500), [(0, 2)]);
}

#[test]
fn the_last_attempt_ends_in_the_dead_letters_and_the_key_waits_for_that() {
    let mut group = with(&[A, A, B, B]);
    for attempt in 1..=3 {
        let leased = group.lease(0, 1);
        assert_eq!(leased[0].attempt, attempt);
        group.nack(0, leased[0].token, 0);
    }
    let letters = group.dead_letters(10);
    let [letter] = letters.as_slice() else {
        panic!("{letters:?}");
    };
    assert_eq!((letter.token.offset, letter.attempts), (0, 3));
    assert_eq!((letter.cause, &*letter.reason), (Cause::Nacked, "it rains"));
    let other = group.lease(0, 9);
    assert_eq!(other.len(), 1, "the other key goes on");

    let written = [letter.token, other[0].token];
    group.dead_lettered(&written);
    assert_eq!(group.dead_letters(10), []);
    assert_eq!(
        group.floor(),
        1,
        "what is no dead letter is not settled by it"
    );
    assert_eq!(group.lease_all(0), [(1, 1)]);
    let events = group.log.len();
    group.dead_lettered(&written);
    assert_eq!(group.log.len(), events);
}

#[test]
fn the_last_lease_that_expires_gives_the_record_up_for_good() {
    let mut group = with(&[None]);
    let mut last = None;
    for now_ms in (0..3).map(|n| n * LEASE_END_MS) {
        last = group.lease(now_ms, 1).first().map(|leased| leased.token);
        group.expire(now_ms + LEASE_END_MS);
    }
    let last = last.unwrap();
    assert_eq!(group.dead_letters(1)[0].cause, Cause::Expired);
    assert_eq!(group.ack(last), Outcome::Expired, "it would be in both");
    assert_eq!(group.nack(0, last, 0), Outcome::Expired);
    assert_eq!(group.due_ms(), None);
}

#[test]
fn without_dead_letters_what_is_given_up_is_dropped_and_counted() {
    let rules = Rules {
        dead_letters: None,
        max_attempts: 1,
    };
    let mut group = Group::new(rules, 1);
    group.offer(0, &[A, A, A, A]);
    let token = group.lease(0, 1)[0].token;
    group.reject(token);
    let token = group.lease(0, 1)[0].token;
    group.nack(0, token, 0);
    group.lease(0, 1);
    group.expire(LEASE_END_MS);
    assert_eq!((group.floor(), group.work().dropped), (3, 3));
    assert_eq!(group.lease_all(0), [(3, 1)]);
    group.fail_over(0);
    assert_eq!(group.work().dropped, 3);
}

#[test]
fn a_reason_is_cut_between_characters() {
    let mut group = with(&[None]);
    let token = group.lease(0, 1)[0].token;
    let reason = "x".to_owned() + &"é".repeat(REASON_BYTES_MAX);
    group.reject_with(token, reason);
    let reason = group.dead_letters(1)[0].reason.clone();
    assert_eq!(reason.len(), REASON_BYTES_MAX - 1);
}

#[test]
fn after_a_failover_a_lease_has_its_whole_time_and_its_worker_settles_it() {
    let mut group = with(&[A, A, B]);
    let leased = group.lease(0, 2);
    let now_ms = LEASE_END_MS + 5;
    group.fail_over(now_ms);
    assert_eq!(group.work().leased, 2);
    assert_eq!(group.ack(leased[1].token), Outcome::Ok);
    group.offer(0, &[A, A, B]);
    assert_eq!(group.lease_all(now_ms), []);
    assert_eq!(group.ack(leased[0].token), Outcome::Ok);
    assert_eq!(group.lease_all(now_ms), [(1, 1)]);
    assert_eq!(group.due_ms(), Some(now_ms + LEASE_END_MS));
}

#[test]
fn a_live_lease_holds_its_record_also_when_keys_are_hashed_in_another_way() {
    let mut group = with(&[A, B]);
    let leased = group.lease(0, 2);
    group.fail_over(0);
    group.offer(0, &[A, A]);
    assert_eq!(group.ack(leased[0].token), Outcome::Ok);
    assert_eq!(group.lease_all(0), []);
    group.expire(LEASE_END_MS);
    assert_eq!(group.lease_all(LEASE_END_MS), [(1, 2)]);
}

#[test]
fn attempts_delays_and_deaths_outlive_a_failover() {
    let mut group = with(&[None, None, None]);
    let tokens: Vec<Token> = group
        .lease(0, 3)
        .iter()
        .map(|leased| leased.token)
        .collect();
    group.nack(0, tokens[0], 5_000);
    group.reject(tokens[1]);
    group.nack(0, tokens[2], u32::MAX);
    // The clock of the old leader was a day ahead: a delay does not get longer than the longest.
    let now_ms = -i64::from(DELAY_MS_MAX);
    group.fail_over(now_ms);
    group.offer(0, &[None, None, None]);
    assert_eq!(group.dead_letters(9)[0].token.offset, 1);
    assert_eq!(group.lease_all(now_ms), []);
    assert_eq!(group.due_ms(), Some(0));
    group.expire(0);
    assert_eq!(group.lease_all(0), [(0, 2), (2, 2)]);
}

#[test]
fn a_leased_record_that_is_gone_from_the_log_is_settled() {
    let mut group = with(&[A, A, A]);
    group.lease(0, 1);
    group.fail_over(0);
    group.offer_run(orders(0), 0, &[(1, A)], 2);
    group.expire(0);
    assert_eq!(group.floor(), 1);
    assert_eq!(group.lease_all(0), [(1, 1)]);
    assert_eq!(group.due_ms(), Some(LEASE_END_MS));
}

#[test]
fn what_is_trimmed_is_settled() {
    let mut group = with(&[A, A, A, B, B]);
    let leased = group.lease(0, 9);
    group.trim(orders(0), 2);
    assert_eq!(group.floor(), 2);
    let events = group.log.len();
    group.trim(orders(0), 2);
    assert_eq!(group.log.len(), events);
    assert_eq!(group.ack(leased[0].token), Outcome::Ok);
    assert_eq!(group.lease_all(0), [(2, 1)]);
    group.trim(orders(0), 100);
    assert_eq!((group.floor(), group.due_ms()), (100, None));
    assert!(!group.has_available());
}

#[test]
fn moving_a_partition_fences_what_was_leased_of_it() {
    let mut group = with(&[None, None]);
    let old: Vec<Token> = group
        .lease(0, 2)
        .iter()
        .map(|leased| leased.token)
        .collect();
    group.ack(old[0]);
    group.move_to(orders(0), 0);
    assert_eq!(group.due_ms(), None);
    group.offer(0, &[None, None]);
    assert_eq!(group.ack(old[1]), Outcome::Unknown);
    assert_eq!(group.lease_all(0), [(0, 1), (1, 1)]);
    assert_eq!(group.ack(old[1]), Outcome::Unknown);
    group.fail_over(0);
    assert_eq!(group.ack(old[0]), Outcome::Unknown);
}

#[test]
fn a_group_is_neither_deleted_nor_reset_while_workers_have_records() {
    let mut group = with(&[None; 2]);
    let token = group.lease(0, 1)[0].token;
    let reset = |force, dry_run| Action::Reset {
        offsets: vec![(orders(0), 1)],
        force,
        dry_run,
    };
    let refused = Err(GroupError::MembersActive);
    assert_eq!(group.act(0, Action::Delete), refused);
    assert_eq!(group.act(0, reset(false, true)), refused);
    group.act(0, reset(true, true)).unwrap();
    assert_eq!(group.floor(), 0, "only looked at");
    group.ack(token);
    group.act(0, reset(false, false)).unwrap();
    assert_eq!(
        group.act(0, Action::Delete),
        Ok(headwater_groups::Reply::Deleted)
    );
}

#[test]
fn a_group_that_is_made_anew_takes_no_lease_of_the_old_one() {
    let mut group = with(&[None; 2]);
    let old = group.lease(0, 2);
    group.expire(LEASE_END_MS);
    group.act(0, Action::Delete).unwrap();
    // Not even after a failover that reads a snapshot alone.
    group.log = snapshot(&group.coordinator).iter().map(record).collect();
    group.fail_over(0);
    group.ensure(RULES);
    group.offer(0, &[None; 2]);
    let new = group.lease(0, 1);
    assert!(new[0].token.lease > old[0].token.lease);
    for leased in &old {
        assert_eq!(group.ack(leased.token), Outcome::Unknown);
    }
    assert_eq!(group.ack(new[0].token), Outcome::Ok);
    assert_eq!(
        group.ack(old[0].token),
        Outcome::Unknown,
        "also of what is settled"
    );
}

#[test]
fn a_topic_that_grows_is_read_on_and_one_that_goes_is_forgotten() {
    let mut group = with(&[None; 2]);
    let old = group.lease(0, 2);
    group.topics.0.insert(ORDERS, 2);
    let wants = group.wants(5_000);
    assert_eq!(wants.len(), 1, "the new one is not known yet to who asks");
    group.offer_run(orders(1), 0, &[(0, None)], 1);
    assert_eq!(group.lease(0, 9)[0].token.partition, orders(1));
    group.topics.0.remove(&ORDERS);
    assert_eq!(group.lease(0, 9), []);
    assert_eq!(group.describe().positions, []);
    assert_eq!(group.due_ms(), None);
    assert_eq!(group.ack(old[0].token), Outcome::Unknown);
}

#[test]
fn dead_letters_wait_for_a_topic_and_go_with_the_wish_for_one() {
    let mut group = with(&[A, A]);
    let token = group.lease(0, 1)[0].token;
    group.reject(token);
    group.topics.0.remove(&PAYMENTS);
    assert_eq!(group.lease_all(0), []);
    assert_eq!(group.work().dead, 1);
    assert_eq!(group.due_ms(), None);
    group.ensure(Rules {
        dead_letters: None,
        ..RULES
    });
    assert_eq!(group.due_ms(), Some(0), "at once");
    group.expire(1);
    assert_eq!((group.work().dead, group.work().dropped), (0, 1));
    assert_eq!(group.lease_all(0), [(1, 1)]);
}

#[test]
fn a_dead_letter_is_confirmed_of_its_own_death_alone() {
    let mut group = with(&[None]);
    let first = group.lease(0, 1)[0].token;
    group.reject(first);
    group.move_to(orders(0), 0);
    group.offer(0, &[None]);
    let second = group.lease(0, 1)[0].token;
    group.reject(second);
    assert_eq!(group.dead_letters(9)[0].token, second);
    group.dead_lettered(&[first]);
    assert_eq!(group.dead_letters(9)[0].token, second);
    group.dead_lettered(&[second]);
    assert_eq!(group.floor(), 1);
}

#[test]
fn a_released_record_was_never_tried() {
    let mut group = with(&[A, A]);
    let tokens: Vec<Token> = (0..3).map(|_| release(&mut group)).collect();
    assert_eq!(group.lease_all(0), [(0, 1)]);
    assert_eq!(group.ack(tokens[0]), Outcome::Expired);
}

/// Leases a record and gives it back.
fn release(group: &mut Group) -> Token {
    let token = group.lease(0, 1)[0].token;
    let settlement = Settlement {
        release: vec![token],
        ..Settlement::default()
    };
    let again = group.settle(0, &settlement);
    assert_eq!(again, group.settle(0, &settlement), "said again");
    assert_eq!(again, [Outcome::Ok]);
    token
}

#[test]
fn calls_of_the_other_kind_are_refused() {
    let mut group = with(&[None]);
    let renew = Action::Renew {
        member: "a".to_owned(),
        epoch: 1,
    };
    assert_eq!(group.act(0, renew), Err(GroupError::OtherKind));
    let config = crate::support::config(&[ORDERS]);
    let offsets = Vec::new();
    let ensure = Action::Ensure {
        config,
        offsets,
        only_new: false,
    };
    assert_eq!(group.act(0, ensure.clone()), Err(GroupError::OtherKind));
    group.call(0, "p", ensure).unwrap();
    for action in [
        Action::Lease {
            records_max: 1,
            lease_ms: None,
        },
        Action::Offer(Vec::new()),
        Action::Settle(Settlement::default()),
        Action::DeadLetters { max: 1 },
        Action::DeadLettered(Vec::new()),
    ] {
        assert_eq!(group.call(0, "p", action), Err(GroupError::OtherKind));
    }
}

#[test]
fn rules_that_cannot_be_are_refused() {
    let mut group = with(&[]);
    let mut ensure = |rules| {
        let config = crate::shared::harness::config(rules);
        let offsets = Vec::new();
        group.act(
            0,
            Action::Ensure {
                config,
                offsets,
                only_new: false,
            },
        )
    };
    for max_attempts in [0, 1_001] {
        let refused = ensure(Rules {
            max_attempts,
            ..RULES
        });
        assert!(matches!(refused, Err(GroupError::Invalid { .. })));
    }
    let dead_letters = Some(ORDERS);
    let refused = ensure(Rules {
        dead_letters,
        ..RULES
    });
    assert!(matches!(refused, Err(GroupError::Invalid { .. })));
    let gone = headwater_groups::TopicId([9; 16]);
    let dead_letters = Some(gone);
    let refused = ensure(Rules {
        dead_letters,
        ..RULES
    });
    assert_eq!(refused, Err(GroupError::NoTopic(gone)));
}

#[test]
fn partitions_take_turns() {
    let mut group = Group::new(RULES, 3);
    for number in 0..3 {
        let records: Vec<_> = (0..9).map(|offset| (offset, None)).collect();
        group.offer_run(orders(number), 0, &records[..], 9);
    }
    let mut turns = Vec::new();
    for _ in 0..4 {
        turns.push(group.lease(0, 1)[0].token.partition.partition);
    }
    turns.sort_unstable();
    assert_eq!(turns.iter().filter(|turn| **turn == 1).count(), 1);
    let rest = group.lease(0, 100);
    assert_eq!(rest.len(), 23);
}

#[test]
fn bytes_that_are_no_event_are_refused_and_bent_ones_do_no_harm() {
    let mut group = with(&[A, A, B, None]);
    for leased in group.lease(0, 9) {
        group.nack(0, leased.token, 1);
    }
    group.expire(1);
    let token = group.lease(1, 1)[0].token;
    group.reject(token);
    let mut log = group.log.clone();
    log.extend(snapshot(&group.coordinator).iter().map(record));
    for (key, value) in &log {
        let value = value.as_deref().unwrap();
        for at in 0..value.len() {
            for bit in 0..8 {
                let mut bent = value.to_vec();
                bent[at] ^= 1 << bit;
                // Whatever it is taken for, it can be applied.
                if let Ok(event) = Event::decode(key, Some(&bent)) {
                    let mut coordinator: Coordinator = group.coordinator.clone();
                    coordinator.apply(event);
                    coordinator.resume(0);
                }
            }
        }
    }
}
