//! What members ask, put together from what the table can do.

use std::collections::BTreeMap;

use headwater_log::PartitionId;

use super::Partitioned;
use super::rows::Rows;
use super::trial::Trial;
use crate::call::{Action, Mark, Moved, Owned, Polled, Reply};
use crate::config::{check_lease, check_name};
use crate::error::GroupError;
use crate::group::Surroundings;
use crate::limits::PARTITIONS_MAX;

/// The rows that a call would change, and its answer.
pub(crate) type Attempt<T> = Result<(Option<Rows>, T), GroupError>;

impl Partitioned {
    pub(crate) fn handle(&mut self, around: &Surroundings, action: Action) -> Attempt<Reply> {
        match action {
            Action::Join {
                member,
                instance,
                lease_ms,
            } => self.join(around, &member, instance.as_deref(), lease_ms),
            Action::Leave { member, epoch } => self.leave(around, &member, epoch),
            Action::Poll {
                member,
                epoch,
                commit,
            } => self.poll(around, &member, epoch, &commit),
            Action::Renew { member, epoch } => self.renew(around, &member, epoch),
            Action::Commit {
                member,
                epoch,
                commit,
            } => self.commit(around, &member, epoch, &commit),
            _ => Err(GroupError::OtherKind),
        }
    }

    /// Tries a call out, after what became of the topics.
    fn attempt<T>(
        &mut self,
        around: &Surroundings,
        call: impl FnOnce(&mut Trial) -> Result<T, GroupError>,
    ) -> Attempt<T> {
        let (rows, answer) = self.table.attempt(|trial| {
            trial.sync(around.config, &BTreeMap::new(), around.topics);
            call(trial)
        });
        Ok((rows, answer?))
    }

    /// What became of the topics.
    pub(crate) fn sync(&mut self, around: &Surroundings) -> Option<Rows> {
        let nothing = BTreeMap::new();
        let (rows, ()) = self
            .table
            .attempt(|trial| trial.sync(around.config, &nothing, around.topics));
        rows
    }

    /// Reads other topics from now on, or the same.
    pub(crate) fn configure(
        &mut self,
        around: &Surroundings,
        offsets: &[(PartitionId, u64)],
    ) -> Result<Option<Rows>, GroupError> {
        let max = PARTITIONS_MAX;
        let topics = &around.config.topics;
        let offsets = offsets.iter().copied().collect();
        let (rows, answer) = self.table.attempt(|trial| {
            trial.drop_topics_but(topics);
            trial.sync(around.config, &offsets, around.topics);
            let what = "partitions";
            match trial.partitions().len() > max {
                true => Err(GroupError::TooMany { what, max }),
                false => Ok(()),
            }
        });
        answer.map(|()| rows)
    }

    fn join(
        &mut self,
        around: &Surroundings,
        name: &str,
        instance: Option<&str>,
        lease_ms: Option<u32>,
    ) -> Attempt<Reply> {
        check_name("member", name)?;
        if let Some(instance) = instance {
            check_name("instance", instance)?;
        }
        let lease_ms = lease_ms.unwrap_or(around.config.lease_ms);
        check_lease(lease_ms)?;
        let (rows, (joined, epoch, stints)) = self.attempt(around, |trial| {
            let joined = trial.join(name, instance, lease_ms)?;
            Ok((joined, trial.epoch, trial.stints(joined)))
        })?;
        let reply = Reply::Joined {
            epoch,
            assignment: stints.iter().map(|(id, _)| *id).collect(),
            expires_at_ms: around.now_ms.saturating_add(lease_ms.into()),
        };
        // The session of who is new begins when its event is applied.
        if self.table.names().contains_key(&joined) {
            self.sessions.begin(joined, lease_ms, around.now_ms);
            self.sessions.note(joined, epoch, stints);
        }
        Ok((rows, reply))
    }

    fn leave(&mut self, around: &Surroundings, name: &str, epoch: Option<u64>) -> Attempt<Reply> {
        self.attempt(around, |trial| {
            let Some(member) = trial.members().get(name) else {
                return Ok(Reply::Left);
            };
            let joined = member.joined;
            trial.member(name, epoch.unwrap_or(joined))?;
            trial.remove(&[joined]);
            Ok(Reply::Left)
        })
    }

    fn poll(
        &mut self,
        around: &Surroundings,
        name: &str,
        epoch: u64,
        marks: &[Mark],
    ) -> Attempt<Reply> {
        let (rows, (joined, lease_ms, mut polled)) = self.attempt(around, |trial| {
            let (joined, lease_ms) = trial.member(name, epoch)?;
            let ignored = trial.commit(joined, marks);
            trial.give_up_excess(joined);
            let owned = trial.owned(joined).filter_map(|partition| {
                let row = trial.partitions().get(&partition)?;
                Some(Owned {
                    partition,
                    stint: row.stint,
                    committed: row.position,
                })
            });
            let polled = Polled {
                epoch: trial.epoch,
                owned: owned.collect(),
                assigned: Vec::new(),
                revoked: Vec::new(),
                ignored,
                rebalancing: !trial.is_balanced(),
                expires_at_ms: 0,
            };
            Ok((joined, lease_ms, polled))
        })?;
        polled.expires_at_ms = self.sessions.begin(joined, lease_ms, around.now_ms);
        let stints = polled
            .owned
            .iter()
            .map(|owned| (owned.partition, owned.stint));
        (polled.assigned, polled.revoked) =
            self.sessions
                .tell(joined, epoch, polled.epoch, stints.collect());
        Ok((rows, Reply::Polled(polled)))
    }

    fn renew(&mut self, around: &Surroundings, name: &str, epoch: u64) -> Attempt<Reply> {
        let (rows, (joined, lease_ms, epoch, must_give_up)) = self.attempt(around, |trial| {
            let (joined, lease_ms) = trial.member(name, epoch)?;
            Ok((joined, lease_ms, trial.epoch, trial.excess(joined) > 0))
        })?;
        let reply = Reply::Renewed {
            epoch,
            must_give_up,
            expires_at_ms: self.sessions.begin(joined, lease_ms, around.now_ms),
        };
        Ok((rows, reply))
    }

    fn commit(
        &mut self,
        around: &Surroundings,
        name: &str,
        epoch: u64,
        marks: &[Mark],
    ) -> Attempt<Reply> {
        let (rows, (joined, lease_ms, ignored)) = self.attempt(around, |trial| {
            let (joined, lease_ms) = trial.member(name, epoch)?;
            Ok((joined, lease_ms, trial.commit(joined, marks)))
        })?;
        let reply = Reply::Committed {
            ignored,
            expires_at_ms: self.sessions.begin(joined, lease_ms, around.now_ms),
        };
        Ok((rows, reply))
    }

    pub(crate) fn reset(
        &mut self,
        around: &Surroundings,
        offsets: &[(PartitionId, u64)],
        force: bool,
    ) -> Attempt<Vec<Moved>> {
        self.attempt(around, |trial| trial.reset(offsets, force))
    }
}
