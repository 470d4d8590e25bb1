//! All groups of one partition of the internal log.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::call::{Action, Call, Reply};
use crate::config::{GroupId, check_name};
use crate::error::{CorruptEvent, GroupError};
use crate::event::{Change, Event};
use crate::group::{Group, Handled};
use crate::limits::{
    BURIED_GROUPS_MAX, EXPIRED_GROUPS_MAX, GROUPS_MAX, KNOWN_RECORDS_MAX, PAGE_MAX,
};
use crate::shared::Place;
use crate::topics::Topics;

/// All groups of one partition of the internal log.
///
/// What [`handle`](Self::handle) and [`expire`](Self::expire) say is to happen has happened once its
/// events are [applied](Self::apply): in their order, before the next call, unless the log refuses
/// them. An answer may be given once the log has committed its events *and all before them*, also if
/// it has none of its own. When the leader's term ends the coordinator is thrown away.
#[derive(Debug, Clone, Default)]
pub struct Coordinator {
    groups: BTreeMap<Arc<GroupId>, Group>,
    /// When the next lease or delay of each group ends: the one structure over all of them.
    due: BTreeSet<(i64, Arc<GroupId>)>,
    /// Groups that have dead letters to be written.
    bereaved: BTreeSet<Arc<GroupId>>,
    epoch_floor: u64,
    /// Of all groups.
    members: usize,
    /// Records in the windows of all shared groups.
    known: usize,
    /// The time of the last call.
    now_ms: i64,
}

/// What the log says; leases are not of it.
impl PartialEq for Coordinator {
    fn eq(&self, other: &Self) -> bool {
        self.epoch_floor == other.epoch_floor && self.groups == other.groups
    }
}

/// How far a snapshot is.
#[derive(Debug, Clone, Default)]
pub struct SnapshotCursor(Next);

#[derive(Debug, Clone, Default)]
enum Next {
    #[default]
    Floor,
    FirstGroup,
    GroupAfter(GroupId),
    Piece(GroupId, Place),
}

impl Coordinator {
    /// A coordinator of an empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many groups there are, and members in all of them.
    pub fn counts(&self) -> (usize, usize) {
        (self.groups.len(), self.members)
    }

    /// Takes up a record of the log. After the last one: [`Coordinator::resume`].
    ///
    /// # Errors
    /// The record is not one of groups; nothing changed.
    pub fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), CorruptEvent> {
        self.apply(Event::decode(key, value)?);
        Ok(())
    }

    /// Begins all leases now: when they would have ended is not in the log.
    pub fn resume(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        for group in self.groups.values_mut() {
            group.resume(now_ms);
        }
        let due = self.groups.iter();
        let due = due.filter_map(|(id, group)| Some((group.due_ms()?, id.clone())));
        self.due = due.collect();
        let bereaved = self.groups.iter();
        let bereaved = bereaved.filter(|(_, group)| group.has_dead_letters());
        self.bereaved = bereaved.map(|(id, _)| id.clone()).collect();
    }

    /// The events that a call is to append, and its answer. Nothing that is in the log changes before
    /// they are applied; leases are renewed at once.
    ///
    /// # Errors
    /// The call is refused, and changes nothing.
    pub fn handle(
        &mut self,
        now_ms: i64,
        call: Call,
        topics: &dyn Topics,
    ) -> Result<(Vec<Event>, Reply), GroupError> {
        self.now_ms = now_ms;
        match call {
            Call::List {
                project,
                after,
                max,
            } => Ok((Vec::new(), self.list(project, after, max))),
            Call::Group(id, action) => self.handle_group(id, action, topics),
        }
    }

    fn handle_group(&mut self, id: GroupId, action: Action, topics: &dyn Topics) -> Handled {
        let now_ms = self.now_ms;
        if matches!(action, Action::Offer(_)) && self.known > KNOWN_RECORDS_MAX {
            self.forget_largest_window();
        }
        if let Some(group) = self.groups.get_mut(&id) {
            let (due_ms, known) = (group.due_ms(), group.known());
            let handled = group.handle(&id, now_ms, action, topics);
            self.known = self.known - known + group.known();
            self.reschedule(&id, due_ms);
            return handled;
        }
        let Action::Ensure {
            config, offsets, ..
        } = action
        else {
            return Err(GroupError::NoGroup);
        };
        check_name("project", &id.project)?;
        check_name("group", &id.name)?;
        if self.groups.len() >= GROUPS_MAX {
            return Err(GroupError::TooMany {
                what: "groups",
                max: GROUPS_MAX,
            });
        }
        Group::create(&id, self.epoch_floor, now_ms, config, &offsets, topics)
    }

    /// Makes room: the group is offered its records again, as after a failover.
    fn forget_largest_window(&mut self) {
        let groups = self.groups.values_mut();
        if let Some(largest) = groups.max_by_key(|group| group.known()) {
            self.known -= largest.known();
            largest.forget_window();
        }
    }

    fn list(&self, project: String, after: Option<String>, max: usize) -> Reply {
        let first = GroupId {
            project,
            name: after.unwrap_or_default(),
        };
        let behind = (Bound::Excluded(&first), Bound::Unbounded);
        let mut rest = self
            .groups
            .range::<GroupId, _>(behind)
            .take_while(|(id, _)| id.project == first.project);
        let page = rest.by_ref().take(max.min(PAGE_MAX));
        Reply::Page {
            groups: page.map(|(id, group)| group.summary(id)).collect(),
            more: rest.next().is_some(),
        }
    }

    /// Makes an event's change. A change of a group that is not there is of one that a snapshot or
    /// a deletion further on in the log replaces, whose beginning is trimmed: it is passed over.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::EpochFloor(epoch) => self.epoch_floor = self.epoch_floor.max(epoch),
            Event::Deleted(id) => {
                if let Some(group) = self.groups.remove(&id) {
                    self.members -= group.member_count();
                    self.known -= group.known();
                    self.bereaved.remove(&id);
                    self.reschedule(&id, group.due_ms());
                }
            }
            Event::Changed(id, change) => self.change(id, change),
        }
    }

    fn change(&mut self, id: GroupId, change: Change) {
        if let (true, Some(config)) = (change.whole, &change.config)
            && !self.groups.contains_key(&id)
        {
            let group = Group::new(config.clone(), 0);
            self.groups.insert(Arc::new(id.clone()), group);
        }
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        let due_ms = group.due_ms();
        let (members, known) = (group.member_count(), group.known());
        group.apply(change, self.now_ms);
        self.members = self.members - members + group.member_count();
        self.known = self.known - known + group.known();
        let has_dead_letters = group.has_dead_letters();
        self.reschedule(&id, due_ms);
        if has_dead_letters != self.bereaved.contains(&id) {
            match has_dead_letters {
                true => self.bereaved.insert(Arc::new(id)),
                false => self.bereaved.remove(&id),
            };
        }
    }

    /// Groups that have records to be [written](Action::DeadLetters) to their dead-letter topics.
    pub fn with_dead_letters(&self) -> impl ExactSizeIterator<Item = &GroupId> + Clone {
        self.bereaved.iter().map(|id| &**id)
    }

    /// Notes when a group is due that was at `before_ms`.
    fn reschedule(&mut self, id: &GroupId, before_ms: Option<i64>) {
        let group = self.groups.get_key_value(id);
        let due_ms = group.and_then(|(_, group)| group.due_ms());
        if due_ms == before_ms {
            return;
        }
        let id = group.map_or_else(|| Arc::new(id.clone()), |(id, _)| id.clone());
        if let Some(before_ms) = before_ms {
            self.due.remove(&(before_ms, id.clone()));
        }
        if let Some(due_ms) = due_ms {
            self.due.insert((due_ms, id));
        }
    }

    /// The events by which groups go whose project is not known and whose topics are all deleted, some at a
    /// time; and whether such a group may have topics that are not known to be yet.
    pub fn bury(
        &self,
        topics: &dyn Topics,
        is_project: impl Fn(&str) -> bool,
    ) -> (Vec<Event>, bool) {
        let (mut events, mut more) = (Vec::new(), false);
        let lost = self
            .groups
            .iter()
            .filter(|(id, _)| !is_project(&id.project));
        for (id, group) in lost {
            let is_whole = events.len() >= 2 * BURIED_GROUPS_MAX;
            if is_whole || !group.is_of_deleted(topics) {
                more = true;
                continue;
            }
            events.push(Event::EpochFloor(group.epoch()));
            events.push(Event::Deleted(GroupId::clone(id)));
        }
        (events, more)
    }

    /// When [`Coordinator::expire`] next has something to do; `None`: not before the next call.
    pub fn due_ms(&self) -> Option<i64> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }

    /// The events by which members go whose leases are over, and records are given up; none if they
    /// are only to be leased again. It looks at [`EXPIRED_GROUPS_MAX`] groups, and ends some of what
    /// is due in each: ask [`Coordinator::due_ms`] again once they are applied.
    pub fn expire(&mut self, now_ms: i64) -> Vec<Event> {
        self.now_ms = now_ms;
        let over = self.due.iter().take_while(|(due_ms, _)| *due_ms <= now_ms);
        let over: Vec<_> = over.take(EXPIRED_GROUPS_MAX).cloned().collect();
        let mut events = Vec::new();
        for (due_ms, id) in over {
            let change = self
                .groups
                .get_mut(&id)
                .and_then(|group| group.expire(now_ms));
            events.extend(change.map(|change| Event::Changed(GroupId::clone(&id), change)));
            self.reschedule(&id, Some(due_ms));
        }
        events
    }

    /// The next event of a snapshot: first the floor, then each group as a whole, a shared one in
    /// pieces. Other events may be appended in between. A log that holds the first event of a
    /// snapshot and all that follow it, the whole snapshot among them, makes the same state; what is
    /// before may be trimmed.
    pub fn snapshot_next(&self, cursor: SnapshotCursor) -> Option<(Event, SnapshotCursor)> {
        let after = match &cursor.0 {
            Next::Floor => {
                let floor = Event::EpochFloor(self.epoch_floor);
                return Some((floor, SnapshotCursor(Next::FirstGroup)));
            }
            Next::FirstGroup => Bound::Unbounded,
            Next::GroupAfter(id) => Bound::Excluded(id),
            Next::Piece(id, place) => {
                let group = self.groups.get(id);
                if let Some((change, place)) = group.and_then(|group| group.piece(*place)) {
                    let event = Event::Changed(id.clone(), change);
                    return Some((event, SnapshotCursor(Next::Piece(id.clone(), place))));
                }
                Bound::Excluded(id)
            }
        };
        let behind = (after, Bound::Unbounded);
        let (id, group) = self.groups.range::<GroupId, _>(behind).next()?;
        let id = GroupId::clone(id);
        let (change, place) = group.whole();
        let next = match place {
            Some(place) => Next::Piece(id.clone(), place),
            None => Next::GroupAfter(id.clone()),
        };
        Some((Event::Changed(id, change), SnapshotCursor(next)))
    }
}
