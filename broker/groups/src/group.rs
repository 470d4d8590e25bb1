//! One group, of whatever kind.

use headwater_log::{PartitionId, TopicId};

use crate::body::Body;
use crate::call::{Action, Description, Ensured, Position, Reply, Summary};
use crate::config::{Config, GroupId};
use crate::error::GroupError;
use crate::event::{BodyChange, Change, Event};
use crate::limits::PARTITIONS_MAX;
use crate::shared::Place;
use crate::topics::Topics;

/// One group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    config: Config,
    body: Body,
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
    /// An empty group, whose epochs begin at `epoch`.
    pub(crate) fn new(config: Config, epoch: u64) -> Self {
        let body = Body::new(config.kind, epoch);
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
        none_is_deleted(config.all_topics(), topics)?;
        check_offsets(&config, offsets)?;
        let mut group = Self::new(config.clone(), epoch);
        let around = Surroundings {
            now_ms,
            config: &config,
            topics,
        };
        let begun = group.body.configure(&around, offsets)?;
        if let Some(begun) = &begun {
            group.body.apply(begun, false, now_ms);
        }
        let mut change = group.whole().0;
        if let (BodyChange::Shared(steps), Some(BodyChange::Shared(begun))) =
            (&mut change.body, begun)
        {
            steps.extend(begun);
        }
        let reply = Reply::Ensured(Ensured::Created, group.describe(id));
        Ok((changed(id, Some(change)), reply))
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
        let (change, reply) = match action {
            Action::Ensure {
                config,
                only_new: true,
                ..
            } if config != self.config => return Err(GroupError::Exists),
            Action::Ensure {
                config, offsets, ..
            } => {
                return self.ensure(id, now_ms, config, &offsets, topics);
            }
            Action::Delete => {
                if self.body.is_active() {
                    return Err(GroupError::MembersActive);
                }
                let floor = Event::EpochFloor(self.epoch());
                return Ok((vec![floor, Event::Deleted(id.clone())], Reply::Deleted));
            }
            Action::Describe => {
                let change = self.body.sync(&around);
                let description = self.with(change.as_ref(), |after| after.describe(id));
                (change, Reply::Described(description))
            }
            Action::Positions => {
                let change = self.body.sync(&around);
                let positions = self.with(change.as_ref(), Self::positions);
                (change, Reply::Positions(positions))
            }
            Action::Reset {
                offsets,
                force,
                dry_run,
            } => {
                let (change, moved) = self.body.reset(&around, &offsets, force)?;
                (change.filter(|_| !dry_run), Reply::Reset(moved))
            }
            action => self.body.work_on(&around, action)?,
        };
        Ok((changed(id, change.map(Change::of_body)), reply))
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
        if !config.kind.is_as(&self.config.kind) {
            return Err(GroupError::OtherKind);
        }
        let had: Vec<TopicId> = self.config.all_topics().collect();
        let new = config.all_topics().filter(|topic| !had.contains(topic));
        none_is_deleted(new, topics)?;
        check_offsets(&config, offsets)?;
        let around = Surroundings {
            now_ms,
            config: &config,
            topics,
        };
        let body = self.body.configure(&around, offsets)?;
        let is_same = config == self.config;
        let change = match (body, is_same) {
            (None, true) => None,
            (body, _) => Some(Change {
                whole: false,
                config: (!is_same).then_some(config),
                body: body.unwrap_or_else(|| self.body.no_change()),
            }),
        };
        let ensured = match is_same {
            true => Ensured::Unchanged,
            false => Ensured::Changed,
        };
        let mut after = None;
        if let Some(change) = &change {
            // It is not of members, whose leases would begin.
            after.insert(self.clone()).apply(change.clone(), 0);
        }
        let description = after.as_ref().unwrap_or(self).describe(id);
        Ok((changed(id, change), Reply::Ensured(ensured, description)))
    }

    /// Looks at the group as it will be with a change that is not applied yet.
    fn with<T>(&self, change: Option<&BodyChange>, look: impl FnOnce(&Self) -> T) -> T {
        let Some(change) = change else {
            return look(self);
        };
        let mut after = self.clone();
        // No such change is of members, whose leases would begin.
        after.body.apply(change, false, 0);
        look(&after)
    }

    /// Makes it what the change says.
    pub(crate) fn apply(&mut self, change: Change, now_ms: i64) {
        if let Some(config) = change.config {
            self.body.follow(&config);
            self.config = config;
        }
        self.body.apply(&change.body, change.whole, now_ms);
    }

    /// The first change of a snapshot, and where the next one begins if there are more.
    pub(crate) fn whole(&self) -> (Change, Option<Place>) {
        let (body, next) = self.body.whole();
        let change = Change {
            whole: true,
            config: Some(self.config.clone()),
            body,
        };
        (change, next)
    }

    /// A further change of a snapshot, and where the next one begins.
    pub(crate) fn piece(&self, place: Place) -> Option<(Change, Place)> {
        let (body, next) = self.body.piece(place)?;
        Some((Change::of_body(body), next))
    }

    pub(crate) const fn epoch(&self) -> u64 {
        self.body.epoch()
    }

    /// Whether all that it has to do with is deleted.
    pub(crate) fn is_of_deleted(&self, topics: &dyn Topics) -> bool {
        let mut all = self.config.all_topics();
        all.all(|topic| topics.partitions(topic).is_none())
    }

    fn positions(&self) -> Vec<Position> {
        self.body.positions()
    }

    fn describe(&self, id: &GroupId) -> Description {
        Description {
            id: id.clone(),
            config: self.config.clone(),
            state: self.body.state(),
            epoch: self.body.epoch(),
            members: self.body.members(),
            positions: self.positions(),
            work: self.body.work(),
        }
    }

    pub(crate) fn member_count(&self) -> usize {
        self.body.member_count()
    }

    /// Whether records are to be written to the dead-letter topic.
    pub(crate) fn has_dead_letters(&self) -> bool {
        self.body.has_dead_letters()
    }

    /// How many records it knows and has not settled.
    pub(crate) const fn known(&self) -> usize {
        self.body.known()
    }

    /// Knows no records any more, but what became of those that were leased.
    pub(crate) fn forget_window(&mut self) {
        self.body.forget_window();
    }

    pub(crate) fn summary(&self, id: &GroupId) -> Summary {
        Summary {
            name: id.name.clone(),
            kind: self.config.kind,
            state: self.body.state(),
            members: self.body.member_count(),
        }
    }

    /// When [`Group::expire`] next has something to do.
    pub(crate) fn due_ms(&self) -> Option<i64> {
        self.body.due_ms()
    }

    /// What the end of leases and delays would change.
    pub(crate) fn expire(&mut self, now_ms: i64) -> Option<Change> {
        self.body.expire(now_ms).map(Change::of_body)
    }

    /// Begins all leases again.
    pub(crate) fn resume(&mut self, now_ms: i64) {
        self.body.resume(now_ms);
    }
}

impl Change {
    fn of_body(body: BodyChange) -> Self {
        Self {
            whole: false,
            config: None,
            body,
        }
    }
}

fn changed(id: &GroupId, change: Option<Change>) -> Vec<Event> {
    let event = change.map(|change| Event::Changed(id.clone(), change));
    event.into_iter().collect()
}

/// Whether the partitions that are named can be of the group.
fn check_offsets(config: &Config, offsets: &[(PartitionId, u64)]) -> Result<(), GroupError> {
    let is_strange = |id: &PartitionId| {
        !config.topics.contains(&id.topic) || id.partition as usize >= PARTITIONS_MAX
    };
    let strange = offsets.iter().find(|(id, _)| is_strange(id));
    strange.map_or(Ok(()), |(id, _)| Err(GroupError::NoPartition(*id)))
}

/// Whether none of these, that a group is to begin to read or write, is deleted.
fn none_is_deleted(
    mut of: impl Iterator<Item = TopicId>,
    topics: &dyn Topics,
) -> Result<(), GroupError> {
    let gone = of.find(|topic| topics.partitions(*topic).is_none());
    gone.map_or(Ok(()), |topic| Err(GroupError::NoTopic(topic)))
}
