//! A coordinator, its log, its clients, and what is known of all of them.

use std::collections::BTreeMap;

use headwater_groups::{
    Action, Call, Coordinator, Description, Event, GroupError, PartitionId, Reply, SnapshotCursor,
};

use super::client::Client;
use super::dice::Dice;
use crate::support::{Metadata, ORDERS, Record, group, record, replayed};

/// An answer that is given once the log has committed so many records.
pub struct Pending {
    pub records: usize,
    pub client: usize,
    pub reply: Reply,
}

/// A snapshot that is being appended: where it began, and how far it is.
pub struct Snapshot {
    pub first_record: usize,
    pub cursor: SnapshotCursor,
}

pub struct World {
    pub dice: Dice,
    pub now_ms: i64,
    pub topics: Metadata,
    pub coordinator: Coordinator,
    /// The log from its beginning; what is below `log_start` is trimmed, what is at or behind
    /// `committed` may be lost.
    pub log: Vec<Record>,
    pub log_start: usize,
    pub committed: usize,
    pub snapshot: Option<Snapshot>,
    pub clients: Vec<Client>,
    pub pending: Vec<Pending>,
    /// Whose a stint is, by all that was answered in this history.
    pub stints: BTreeMap<(PartitionId, u64), usize>,
    /// The newest stint of each, by what was answered, and by resets.
    pub newest_stint: BTreeMap<PartitionId, u64>,
    /// Up to where records were given to members or skipped by a reset.
    pub delivered: BTreeMap<PartitionId, u64>,
    /// Commits that were acknowledged, and not reset since.
    pub acknowledged: BTreeMap<PartitionId, u64>,
    pub seen: Seen,
}

/// How often what matters happened: a test in which it does not proves nothing.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    pub commits: u64,
    pub ignored: u64,
    pub fenced: u64,
    pub gone: u64,
    pub expired: u64,
    pub moved: u64,
    pub resets: u64,
    pub failovers: u64,
    pub lost: u64,
    pub trims: u64,
    pub recreated: u64,
    pub topics_gone: u64,
}

impl Seen {
    fn counts(&mut self) -> [&mut u64; 12] {
        [
            &mut self.commits,
            &mut self.ignored,
            &mut self.fenced,
            &mut self.gone,
            &mut self.expired,
            &mut self.moved,
            &mut self.resets,
            &mut self.failovers,
            &mut self.lost,
            &mut self.trims,
            &mut self.recreated,
            &mut self.topics_gone,
        ]
    }

    pub fn add(&mut self, other: &Self) {
        let mut other = other.clone();
        for (sum, count) in self.counts().into_iter().zip(other.counts()) {
            *sum += *count;
        }
    }

    pub fn all_happened(&mut self) {
        for count in self.counts() {
            assert!(*count > 100, "something hardly ever happened");
        }
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let partitions = 1 + dice.below(6) as u32;
        let mut world = Self {
            dice,
            now_ms: 1_000_000,
            topics: Metadata([(ORDERS, partitions)].into()),
            coordinator: Coordinator::new(),
            log: Vec::new(),
            log_start: 0,
            committed: 0,
            snapshot: None,
            clients: Vec::new(),
            pending: Vec::new(),
            stints: BTreeMap::new(),
            newest_stint: BTreeMap::new(),
            delivered: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            seen: Seen::default(),
        };
        world.ensure();
        world
    }

    /// A call, its events appended and applied; its answer is not given yet.
    pub fn act(&mut self, action: Action) -> Result<Reply, GroupError> {
        let call = Call::Group(group("g"), action);
        let before = self.coordinator.clone();
        let handled = self.coordinator.handle(self.now_ms, call, &self.topics);
        assert_eq!(self.coordinator, before, "a call alone changes nothing");
        let (events, reply) = handled?;
        self.append(events);
        Ok(reply)
    }

    pub fn append(&mut self, events: Vec<Event>) {
        for event in events {
            self.log.push(record(&event));
            self.coordinator.apply(event);
        }
    }

    /// The group, if it is there, without what a description would itself notice.
    pub fn look(&mut self) -> Option<Description> {
        let call = Call::Group(group("g"), Action::Describe);
        match self.coordinator.handle(self.now_ms, call, &self.topics) {
            Ok((_, Reply::Described(description))) => Some(description),
            Err(GroupError::NoGroup) => None,
            other => panic!("{other:?}"),
        }
    }

    /// Lets those go whose leases are over.
    pub fn expire(&mut self) {
        let names = |world: &mut Self| {
            let members = world.look().map_or(Vec::new(), |group| group.members);
            let live = members
                .into_iter()
                .filter(|m| m.expires_at_ms > world.now_ms);
            live.map(|member| member.name).collect::<Vec<_>>()
        };
        let live = names(self);
        while let Some(due_ms) = self.coordinator.due_ms()
            && due_ms <= self.now_ms
        {
            let events = self.coordinator.expire(self.now_ms);
            assert!(!events.is_empty(), "who is due goes");
            self.append(events);
            self.seen.expired += 1;
        }
        let members = self.look().map_or(0, |group| group.members.len());
        assert_eq!(names(self), live, "who has a lease stays");
        assert_eq!(members, live.len(), "and nobody else");
    }

    /// The leader dies. What was not committed is lost, from somewhere on.
    pub fn fail_over(&mut self) {
        let uncommitted = self.log.len() - self.committed;
        let lost = self.dice.below(uncommitted + 1);
        self.log.truncate(self.log.len() - lost);
        self.coordinator = replayed(&self.log[self.log_start..]);
        self.coordinator.resume(self.now_ms);
        self.committed = self.log.len();
        self.snapshot = None;
        for pending in self.pending.drain(..) {
            self.clients[pending.client].waits = false;
        }
        for client in &mut self.clients {
            client.missed = true;
        }
        self.seen.failovers += 1;
        self.seen.lost += lost as u64;
    }
}
