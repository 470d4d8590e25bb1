//! One group, of whatever kind.

use headwater_log::{PartitionId, TopicId};

use crate::call::{Action, Description, Ensured, Position, Reply, Summary};
use crate::config::{Config, GroupId, Kind};
use crate::error::GroupError;
use crate::event::{BodyChange, Change, Event};
use crate::partitioned::{Partitioned, Rows};
use crate::topics::Topics;

/// One group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    config: Config,
    body: Body,
}

/// What a group of its kind has.
#[derive(Debug, Clone, PartialEq)]
enum Body {
    Partitioned(Partitioned),
}

/// What a call comes with, whatever it asks.
pub(crate) struct Surroundings<'a> {
    pub(crate) now_ms: i64,
    pub(crate) config: &'a Config,
    pub(crate) topics: &'a dyn Topics,
}

/// The events of a call, and its answer.
pub(crate) type Handled = Result<(Vec<Event>, Reply), GroupError>;

impl Group {
    /// A group as a whole change has it.
    pub(crate) fn new(config: Config) -> Self {
        let body = match config.kind {
            Kind::Partitioned => Body::Partitioned(Partitioned::default()),
        };
        Self { config, body }
    }

    /// What would make a new group, whose epochs begin at `epoch`.
    pub(crate) fn create(
        id: &GroupId,
        epoch: u64,
        now_ms: i64,
        config: Config,
        offsets: &[(PartitionId, u64)],
        topics: &dyn Topics,
    ) -> Handled {
        config.check()?;
        none_is_deleted(&config.topics, topics)?;
        let around = Surroundings {
            now_ms,
            config: &config,
            topics,
        };
        let mut group = Self::new(config.clone());
        let Body::Partitioned(body) = &mut group.body;
        *body = Partitioned::new(epoch);
        if let Some(rows) = body.configure(&around, offsets)? {
            body.apply(&rows, false, now_ms);
        }
        let reply = Reply::Ensured(Ensured::Created, group.describe(id));
        Ok((changed(id, Some(group.whole())), reply))
    }

    /// What a call would change, and its answer.
    pub(crate) fn handle(
        &mut self,
        id: &GroupId,
        now_ms: i64,
        action: Action,
        topics: &dyn Topics,
    ) -> Handled {
        let around = Surroundings {
            now_ms,
            config: &self.config,
            topics,
        };
        let Body::Partitioned(body) = &mut self.body;
        let (rows, reply) = match action {
            Action::Ensure { config, offsets } => {
                return self.ensure(id, now_ms, config, &offsets, topics);
            }
            Action::Delete => {
                if body.member_count() > 0 {
                    return Err(GroupError::MembersActive);
                }
                let events = vec![Event::EpochFloor(body.epoch()), Event::Deleted(id.clone())];
                return Ok((events, Reply::Deleted));
            }
            Action::Describe => {
                let change = body.sync(&around).map(Change::of_rows);
                let description = self.with(change.as_ref(), |after| after.describe(id));
                return Ok((changed(id, change), Reply::Described(description)));
            }
            Action::Positions => {
                let change = body.sync(&around).map(Change::of_rows);
                let positions = self.with(change.as_ref(), Self::positions);
                return Ok((changed(id, change), Reply::Positions(positions)));
            }
            Action::Join {
                member,
                instance,
                lease_ms,
            } => body.join(&around, &member, instance.as_deref(), lease_ms),
            Action::Leave { member, epoch } => body.leave(&around, &member, epoch),
            Action::Poll {
                member,
                epoch,
                commit,
            } => body.poll(&around, &member, epoch, &commit),
            Action::Renew { member, epoch } => body.renew(&around, &member, epoch),
            Action::Commit {
                member,
                epoch,
                commit,
            } => body.commit(&around, &member, epoch, &commit),
            Action::Reset {
                offsets,
                force,
                dry_run,
            } => body.reset(&around, &offsets, force, dry_run),
        }?;
        Ok((changed(id, rows.map(Change::of_rows)), reply))
    }

    fn ensure(
        &mut self,
        id: &GroupId,
        now_ms: i64,
        config: Config,
        offsets: &[(PartitionId, u64)],
        topics: &dyn Topics,
    ) -> Handled {
        config.check()?;
        if config.kind != self.config.kind {
            return Err(GroupError::OtherKind);
        }
        let mut new = config.topics.clone();
        new.retain(|topic| !self.config.topics.contains(topic));
        none_is_deleted(&new, topics)?;
        let around = Surroundings {
            now_ms,
            config: &config,
            topics,
        };
        let Body::Partitioned(body) = &mut self.body;
        let rows = body.configure(&around, offsets)?;
        let is_same = config == self.config;
        let change = match (rows, is_same) {
            (None, true) => None,
            (rows, _) => Some(Change {
                whole: false,
                config: (!is_same).then_some(config),
                body: BodyChange::Partitioned(rows.unwrap_or_else(|| body.no_rows())),
            }),
        };
        let ensured = match is_same {
            true => Ensured::Unchanged,
            false => Ensured::Changed,
        };
        let description = self.with(change.as_ref(), |after| after.describe(id));
        Ok((changed(id, change), Reply::Ensured(ensured, description)))
    }

    /// Looks at the group as it will be with a change that is not applied yet.
    fn with<T>(&self, change: Option<&Change>, look: impl FnOnce(&Self) -> T) -> T {
        let Some(change) = change else {
            return look(self);
        };
        let mut after = self.clone();
        // No such change is of members, whose leases would begin.
        after.apply(change.clone(), 0);
        look(&after)
    }

    /// Makes it what the change says.
    pub(crate) fn apply(&mut self, change: Change, now_ms: i64) {
        if let Some(config) = change.config {
            self.config = config;
        }
        let Body::Partitioned(body) = &mut self.body;
        let BodyChange::Partitioned(rows) = change.body;
        body.apply(&rows, change.whole, now_ms);
    }

    /// All that there is of it.
    pub(crate) fn whole(&self) -> Change {
        let Body::Partitioned(body) = &self.body;
        Change {
            whole: true,
            config: Some(self.config.clone()),
            body: BodyChange::Partitioned(body.rows()),
        }
    }

    fn positions(&self) -> Vec<Position> {
        let Body::Partitioned(body) = &self.body;
        body.positions()
    }

    fn describe(&self, id: &GroupId) -> Description {
        let Body::Partitioned(body) = &self.body;
        Description {
            id: id.clone(),
            config: self.config.clone(),
            state: body.state(),
            epoch: body.epoch(),
            members: body.members(),
            positions: self.positions(),
        }
    }

    pub(crate) fn member_count(&self) -> usize {
        let Body::Partitioned(body) = &self.body;
        body.member_count()
    }

    pub(crate) fn summary(&self, id: &GroupId) -> Summary {
        let Body::Partitioned(body) = &self.body;
        Summary {
            name: id.name.clone(),
            kind: self.config.kind,
            state: body.state(),
            members: body.member_count(),
        }
    }

    /// When [`Group::expire`] next has something to do.
    pub(crate) fn due_ms(&self) -> Option<i64> {
        let Body::Partitioned(body) = &self.body;
        body.due_ms()
    }

    /// What the end of leases would change.
    pub(crate) fn expire(&mut self, now_ms: i64) -> Option<Change> {
        let Body::Partitioned(body) = &mut self.body;
        body.expire(now_ms).map(Change::of_rows)
    }

    /// Begins all leases again.
    pub(crate) fn resume(&mut self, now_ms: i64) {
        let Body::Partitioned(body) = &mut self.body;
        body.resume(now_ms);
    }
}

impl Change {
    fn of_rows(rows: Rows) -> Self {
        Self {
            whole: false,
            config: None,
            body: BodyChange::Partitioned(rows),
        }
    }
}

fn changed(id: &GroupId, change: Option<Change>) -> Vec<Event> {
    let event = change.map(|change| Event::Changed(id.clone(), change));
    event.into_iter().collect()
}

/// Whether none of these, that a group is to begin to read, is deleted.
fn none_is_deleted(of: &[TopicId], topics: &dyn Topics) -> Result<(), GroupError> {
    let gone = of.iter().find(|topic| topics.partitions(**topic).is_none());
    gone.map_or(Ok(()), |topic| Err(GroupError::NoTopic(*topic)))
}
