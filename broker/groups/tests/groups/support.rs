//! A coordinator with a log that keeps everything, and short words for its calls.

use std::collections::BTreeMap;

use headwater_groups::{
    Action, Call, Config, Coordinator, Description, Event, GroupError, GroupId, Kind, Mark, Owned,
    PartitionId, Polled, Reply, SnapshotCursor, Start, TopicId, Topics,
};

/// The shortest lease that there is.
pub const LEASE_MS: i64 = 10_000;

pub const ORDERS: TopicId = TopicId([1; 16]);
pub const PAYMENTS: TopicId = TopicId([2; 16]);

/// What the cluster's metadata says; a topic that is not there is deleted.
#[derive(Debug, Clone, Default)]
pub struct Metadata(pub BTreeMap<TopicId, u32>);

impl Topics for Metadata {
    fn partitions(&self, topic: TopicId) -> Option<u32> {
        self.0.get(&topic).copied()
    }
}

pub fn group(name: &str) -> GroupId {
    GroupId {
        project: "main".to_owned(),
        name: name.to_owned(),
    }
}

pub fn config(topics: &[TopicId]) -> Config {
    Config {
        topics: topics.to_vec(),
        kind: Kind::Partitioned,
        start: Start::Earliest,
        lease_ms: 10_000,
    }
}

pub const fn orders(partition: u32) -> PartitionId {
    PartitionId {
        topic: ORDERS,
        partition,
    }
}

/// A record of the log.
pub type Record = (Vec<u8>, Option<Vec<u8>>);

pub fn record(event: &Event) -> Record {
    let record = (event.key(), event.value());
    let decoded = Event::decode(&record.0, record.1.as_deref());
    assert_eq!(decoded.as_ref(), Ok(event), "a record is its event");
    record
}

pub fn replayed(log: &[Record]) -> Coordinator {
    let mut coordinator = Coordinator::new();
    for (key, value) in log {
        coordinator.replay(key, value.as_deref()).expect("a record");
    }
    coordinator
}

/// All events of a snapshot, if nothing else happens meanwhile.
pub fn snapshot(coordinator: &Coordinator) -> Vec<Event> {
    let mut cursor = SnapshotCursor::default();
    let mut events = Vec::new();
    while let Some((event, next)) = coordinator.snapshot_next(cursor) {
        events.push(event);
        cursor = next;
    }
    events
}

/// One group, `g`, on topics that can be changed.
pub struct Fixture {
    pub coordinator: Coordinator,
    pub topics: Metadata,
    pub now_ms: i64,
    pub log: Vec<Record>,
}

impl Fixture {
    /// The group reads so many partitions of [`ORDERS`] from the beginning.
    pub fn new(partitions: u32) -> Self {
        let mut fixture = Self::empty();
        fixture.topics.0.insert(ORDERS, partitions);
        fixture.ensure(config(&[ORDERS]), &[]).expect("a new group");
        fixture
    }

    pub fn empty() -> Self {
        Self {
            coordinator: Coordinator::new(),
            topics: Metadata::default(),
            now_ms: 1_000_000,
            log: Vec::new(),
        }
    }

    pub fn call(&mut self, call: Call) -> Result<Reply, GroupError> {
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

    pub fn act(&mut self, action: Action) -> Result<Reply, GroupError> {
        self.call(Call::Group(group("g"), action))
    }

    pub fn ensure(
        &mut self,
        config: Config,
        offsets: &[(PartitionId, u64)],
    ) -> Result<Reply, GroupError> {
        let offsets = offsets.to_vec();
        self.act(Action::Ensure {
            config,
            offsets,
            only_new: false,
        })
    }

    /// Lets time pass, and those go whose leases end in it.
    pub fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        while self
            .coordinator
            .due_ms()
            .is_some_and(|due| due <= self.now_ms)
        {
            let events = self.coordinator.expire(self.now_ms);
            assert!(!events.is_empty(), "who is due goes");
            self.append(events);
        }
    }

    /// Throws the coordinator away, and replays the log.
    pub fn fail_over(&mut self) {
        let next = replayed(&self.log);
        assert_eq!(next, self.coordinator, "the log is the state");
        self.coordinator = next;
        self.coordinator.resume(self.now_ms);
    }

    /// Joins without an instance; gives the epoch.
    pub fn join(&mut self, member: &str) -> u64 {
        self.join_as(member, None).0
    }

    pub fn join_as(&mut self, member: &str, instance: Option<&str>) -> (u64, Vec<PartitionId>) {
        let action = Action::Join {
            member: member.to_owned(),
            instance: instance.map(str::to_owned),
            lease_ms: None,
        };
        match self.act(action) {
            Ok(Reply::Joined {
                epoch, assignment, ..
            }) => (epoch, assignment),
            other => panic!("{other:?}"),
        }
    }

    pub fn leave(&mut self, member: &str, epoch: Option<u64>) -> Result<Reply, GroupError> {
        let member = member.to_owned();
        self.act(Action::Leave { member, epoch })
    }

    pub fn poll(&mut self, member: &str, epoch: u64) -> Polled {
        self.try_poll(member, epoch, &[]).expect("a member")
    }

    pub fn try_poll(
        &mut self,
        member: &str,
        epoch: u64,
        commit: &[Mark],
    ) -> Result<Polled, GroupError> {
        let action = Action::Poll {
            member: member.to_owned(),
            epoch,
            commit: commit.to_vec(),
        };
        match self.act(action)? {
            Reply::Polled(polled) => Ok(polled),
            other => panic!("{other:?}"),
        }
    }

    pub fn describe(&mut self) -> Description {
        match self.act(Action::Describe) {
            Ok(Reply::Described(description)) => description,
            other => panic!("{other:?}"),
        }
    }

    /// How many partitions each member owns, in the order of names.
    pub fn loads(&mut self) -> Vec<usize> {
        let members = self.describe().members;
        members
            .iter()
            .map(|member| member.assignment.len())
            .collect()
    }

    /// Where the group is in a partition of [`ORDERS`].
    pub fn committed(&mut self, partition: u32) -> Option<u64> {
        let positions = self.describe().positions;
        let found = positions.iter().find(|p| p.partition == orders(partition));
        found.expect("a partition of the group").committed
    }
}

/// The mark of an owned partition.
pub fn mark(owned: &Owned, next_offset: u64) -> Mark {
    Mark {
        partition: owned.partition,
        stint: owned.stint,
        next_offset,
    }
}
