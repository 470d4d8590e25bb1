//! A partitioned group that lives in the same log, with one member.

use headwater_groups::{Action, GroupError, Mark, PartitionId, Polled, Reply};

use crate::shared::harness::Group;
use crate::shared::random::Random;
use crate::support::{ORDERS, config, orders};

const NAME: &str = "p";

/// What its member knows.
pub struct Other {
    epoch: Option<u64>,
    /// The position in partition 0 that was committed and answered, and those that will be when so
    /// many events are committed.
    acknowledged: u64,
    unanswered: Vec<(usize, u64)>,
}

impl Other {
    pub fn new(group: &mut Group) -> Self {
        let config = config(&[ORDERS]);
        let offsets = Vec::new();
        let ensure = Action::Ensure {
            config,
            offsets,
            only_new: false,
        };
        group.call(0, NAME, ensure).expect("a group");
        Self {
            epoch: None,
            acknowledged: 0,
            unanswered: Vec::new(),
        }
    }

    /// Joins, or polls and commits a little more.
    pub fn step(&mut self, group: &mut Group, random: &mut Random, now_ms: i64) {
        let Some(epoch) = self.epoch else {
            self.join(group, now_ms);
            return;
        };
        let Ok(polled) = poll(group, now_ms, epoch, Vec::new()) else {
            self.epoch = None;
            return;
        };
        let first = polled.owned.first().expect("the only member has all");
        let position = first.committed.unwrap_or(0);
        assert!(position >= self.acknowledged, "a commit is lost");
        let mark = Mark {
            partition: orders(0),
            stint: first.stint,
            next_offset: position + random.below(3),
        };
        poll(group, now_ms, polled.epoch, vec![mark]).expect("it has just polled");
        self.unanswered.push((group.log.len(), mark.next_offset));
        self.epoch = Some(polled.epoch);
    }

    fn join(&mut self, group: &mut Group, now_ms: i64) {
        let join = Action::Join {
            member: "m".to_owned(),
            instance: None,
            lease_ms: None,
        };
        match group.call(now_ms, NAME, join) {
            Ok(Reply::Joined {
                epoch, assignment, ..
            }) => {
                assert!(assignment.contains(&PartitionId { ..orders(0) }));
                self.epoch = Some(epoch);
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn answered(&mut self, committed: usize) {
        let answered = self
            .unanswered
            .extract_if(.., |(events, _)| *events <= committed);
        let newest = answered.map(|(_, position)| position).max();
        self.acknowledged = self.acknowledged.max(newest.unwrap_or(0));
    }

    /// A new leader has all that was answered; the member may be one that it does not know.
    pub fn fail_over(&mut self, group: &mut Group, now_ms: i64) {
        self.unanswered.clear();
        self.epoch = None;
        self.join(group, now_ms);
        let epoch = self.epoch.expect("it has joined");
        let polled = poll(group, now_ms, epoch, Vec::new()).expect("a member");
        let position = polled.owned[0].committed.unwrap_or(0);
        assert!(position >= self.acknowledged, "a commit is lost");
    }

    pub fn leave(&mut self, group: &mut Group, now_ms: i64) {
        let member = "m".to_owned();
        let left = group.call(
            now_ms,
            NAME,
            Action::Leave {
                member,
                epoch: None,
            },
        );
        assert_eq!(left, Ok(Reply::Left));
    }
}

fn poll(
    group: &mut Group,
    now_ms: i64,
    epoch: u64,
    commit: Vec<Mark>,
) -> Result<Polled, GroupError> {
    let member = "m".to_owned();
    let poll = Action::Poll {
        member,
        epoch,
        commit,
    };
    match group.call(now_ms, NAME, poll)? {
        Reply::Polled(polled) => Ok(polled),
        other => panic!("{other:?}"),
    }
}
