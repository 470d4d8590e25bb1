//! What a group has that is of its kind, and what both kinds can do.

use headwater_log::PartitionId;

use crate::call::{Action, MemberDescription, Moved, Position, Reply, State};
use crate::config::{Config, Kind};
use crate::error::GroupError;
use crate::event::BodyChange;
use crate::group::Surroundings;
use crate::partitioned::Partitioned;
use crate::shared::types::Work;
use crate::shared::{Place, Shared};

/// What a group of its kind has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    Partitioned(Partitioned),
    Shared(Shared),
}

/// What is to change, if anything, and the answer.
pub(crate) type Attempt<T> = Result<(Option<BodyChange>, T), GroupError>;

impl Body {
    /// An empty one, whose epochs begin here.
    pub(crate) fn new(kind: Kind, epoch: u64) -> Self {
        match kind {
            Kind::Partitioned => Self::Partitioned(Partitioned::new(epoch)),
            Kind::Shared(rules) => Self::Shared(Shared::new(epoch, rules)),
        }
    }

    /// The group's newest epoch.
    pub(crate) const fn epoch(&self) -> u64 {
        match self {
            Self::Partitioned(body) => body.epoch(),
            Self::Shared(body) => body.epoch(),
        }
    }

    /// Whether somebody works in it.
    pub(crate) fn is_active(&self) -> bool {
        match self {
            Self::Partitioned(body) => body.member_count() > 0,
            Self::Shared(body) => body.is_active(),
        }
    }

    pub(crate) fn state(&self) -> State {
        match self {
            Self::Partitioned(body) => body.state(),
            Self::Shared(body) => body.state(),
        }
    }

    pub(crate) fn members(&self) -> Vec<MemberDescription> {
        match self {
            Self::Partitioned(body) => body.members(),
            Self::Shared(_) => Vec::new(),
        }
    }

    pub(crate) fn member_count(&self) -> usize {
        match self {
            Self::Partitioned(body) => body.member_count(),
            Self::Shared(_) => 0,
        }
    }

    pub(crate) fn positions(&self) -> Vec<Position> {
        match self {
            Self::Partitioned(body) => body.positions(),
            Self::Shared(body) => body.positions(),
        }
    }

    pub(crate) fn work(&self) -> Option<Work> {
        match self {
            Self::Partitioned(_) => None,
            Self::Shared(body) => Some(body.work()),
        }
    }

    /// Whether records are to be written to the dead-letter topic.
    pub(crate) fn has_dead_letters(&self) -> bool {
        match self {
            Self::Partitioned(_) => false,
            Self::Shared(body) => body.has_dead_letters(),
        }
    }

    /// How many records it knows and has not settled.
    pub(crate) const fn known(&self) -> usize {
        match self {
            Self::Partitioned(_) => 0,
            Self::Shared(body) => body.known(),
        }
    }

    /// Knows no records any more, but what became of those that were leased.
    pub(crate) fn forget_window(&mut self) {
        if let Self::Shared(body) = self {
            body.forget_window();
        }
    }

    /// What became of the topics.
    pub(crate) fn sync(&mut self, around: &Surroundings) -> Option<BodyChange> {
        match self {
            Self::Partitioned(body) => body.sync(around).map(BodyChange::Partitioned),
            Self::Shared(body) => BodyChange::of_steps(body.sync(around)),
        }
    }

    /// Reads other topics from now on, or the same.
    pub(crate) fn configure(
        &mut self,
        around: &Surroundings,
        offsets: &[(PartitionId, u64)],
    ) -> Result<Option<BodyChange>, GroupError> {
        Ok(match self {
            Self::Partitioned(body) => body
                .configure(around, offsets)?
                .map(BodyChange::Partitioned),
            Self::Shared(body) => BodyChange::of_steps(body.configure(around, offsets)?),
        })
    }

    pub(crate) fn reset(
        &mut self,
        around: &Surroundings,
        offsets: &[(PartitionId, u64)],
        force: bool,
    ) -> Attempt<Vec<Moved>> {
        Ok(match self {
            Self::Partitioned(body) => {
                let (rows, moved) = body.reset(around, offsets, force)?;
                (rows.map(BodyChange::Partitioned), moved)
            }
            Self::Shared(body) => {
                let (steps, moved) = body.reset(offsets, force)?;
                (BodyChange::of_steps(steps), moved)
            }
        })
    }

    /// What members or workers ask.
    pub(crate) fn work_on(&mut self, around: &Surroundings, action: Action) -> Attempt<Reply> {
        match self {
            Self::Partitioned(body) => {
                let (rows, reply) = body.handle(around, action)?;
                Ok((rows.map(BodyChange::Partitioned), reply))
            }
            Self::Shared(body) => {
                let (steps, reply) = body.handle(around, action)?;
                Ok((BodyChange::of_steps(steps), reply))
            }
        }
    }

    /// A change of none.
    pub(crate) fn no_change(&self) -> BodyChange {
        match self {
            Self::Partitioned(body) => BodyChange::Partitioned(body.no_rows()),
            Self::Shared(_) => BodyChange::Shared(Vec::new()),
        }
    }

    /// The first change of a snapshot, and where the next one begins if it is not the only one.
    pub(crate) fn whole(&self) -> (BodyChange, Option<Place>) {
        match self {
            Self::Partitioned(body) => (BodyChange::Partitioned(body.rows()), None),
            Self::Shared(body) => {
                let head = BodyChange::Shared(vec![body.head()]);
                (head, Some(Place::default()))
            }
        }
    }

    /// A further change of a snapshot, and where the next one begins.
    pub(crate) fn piece(&self, place: Place) -> Option<(BodyChange, Place)> {
        match self {
            Self::Partitioned(_) => None,
            Self::Shared(body) => {
                let (step, place) = body.piece(place)?;
                Some((BodyChange::Shared(vec![step]), place))
            }
        }
    }

    /// Makes it what the change says.
    pub(crate) fn apply(&mut self, change: &BodyChange, whole: bool, now_ms: i64) {
        match (self, change) {
            (Self::Partitioned(body), BodyChange::Partitioned(rows)) => {
                body.apply(rows, whole, now_ms);
            }
            (Self::Shared(body), BodyChange::Shared(steps)) => {
                steps.iter().for_each(|step| body.apply(step));
            }
            // No group changes its kind: a log in which one does is not ours.
            _ => {}
        }
    }

    /// Goes by other rules from now on, if it is of a kind that has some.
    pub(crate) fn follow(&mut self, config: &Config) {
        if let (Self::Shared(body), Kind::Shared(rules)) = (self, config.kind) {
            body.obey(rules);
        }
    }

    /// When [`Body::expire`] next has something to do.
    pub(crate) fn due_ms(&self) -> Option<i64> {
        match self {
            Self::Partitioned(body) => body.due_ms(),
            Self::Shared(body) => body.due_ms(),
        }
    }

    /// What the end of leases and delays changes.
    pub(crate) fn expire(&mut self, now_ms: i64) -> Option<BodyChange> {
        match self {
            Self::Partitioned(body) => body.expire(now_ms).map(BodyChange::Partitioned),
            Self::Shared(body) => {
                let step = body.expire(now_ms);
                BodyChange::of_steps(step.into_iter().collect())
            }
        }
    }

    /// Begins all leases again.
    pub(crate) fn resume(&mut self, now_ms: i64) {
        match self {
            Self::Partitioned(body) => body.resume(now_ms),
            Self::Shared(body) => body.resume(now_ms),
        }
    }
}
