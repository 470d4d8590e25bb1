//! The whole cluster, and the one loop that moves it from event to event.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use headwater_broker::{
    BrokerId, Incarnation,
    replica::{Answer, Assignment, Due, FollowerFetch, Progress, Rule, Rules, Watermark},
};

use crate::{
    broker::{Attempt, Broker},
    client::{Client, Produced},
    content::Batch,
    counts::Counts,
    dice::Dice,
    manifest::Told,
    net::Net,
    objects::{Objects, Put},
    profile::{Fault, MILLI, Profile, SECOND},
    store::{Micros, Reply, Request, Store},
    trace::Trace,
    truth::{Broken, Truth},
};

/// How long a lease runs. Everything is faster here than in life, so that more happens in a run.
pub const LEASE: Micros = 1_500 * MILLI;
/// How long a member of an in-sync set may be behind.
pub const LAG_MAX: Micros = 900 * MILLI;
/// How long a cluster may take to recover when nothing goes wrong any more.
const HEALED_WITHIN: Micros = 60 * SECOND;

/// What is run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The seed.
    pub seed: u64,
    /// The rule that is left out.
    pub without: Option<Rule>,
    /// Whether faults are chosen so that the missing rule shows sooner.
    pub aimed: bool,
    /// The run ends after so many events.
    pub steps_max: Option<u64>,
    /// Whether the trace is printed.
    pub print: bool,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// The first promise that was broken.
    pub broken: Option<Broken>,
    /// How many events there were.
    pub steps: u64,
    /// The digest of the trace.
    pub digest: u64,
    /// The last part of the trace.
    pub tail: Vec<String>,
    /// What was reached.
    pub counts: Counts,
}

/// What replicas tell each other, with the partition.
#[derive(Debug, Clone)]
pub enum Message {
    /// A follower asks.
    Fetch(usize, Incarnation, FollowerFetch),
    /// Its leader answers.
    Answer(usize, Answer),
    /// A follower's log is durable further.
    Progress(usize, Incarnation, Progress),
    /// A leader's high watermark moved.
    Watermark(usize, Watermark),
    /// Somebody is there.
    Ping,
}

/// What a process does again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// Tell all others that it is there.
    Ping,
    /// Renew the lease.
    Renew,
    /// Look whether in-sync sets should change.
    Review,
    /// Read the metadata.
    Poll,
    /// Be the controller.
    Control,
    /// Note high watermarks.
    Note,
    /// Look after the store.
    Tiers,
}

/// Something inside one process; it ends with it.
#[derive(Debug)]
pub enum Inside {
    /// The logs are read.
    Recovered,
    /// The renewal's number is durable.
    RenewalNoted,
    /// It is time.
    Timer(Timer),
    /// A message arrived over a connection.
    Deliver {
        from: BrokerId,
        session: u64,
        message: Message,
    },
    /// A connection broke; `out` if it is one to a leader.
    Broke {
        peer: BrokerId,
        session: u64,
        out: bool,
    },
    /// Batches for a fetch were read.
    ReadDone {
        partition: usize,
        follower: BrokerId,
        due: Due,
        batches: Vec<bytes::Bytes>,
        end: u64,
    },
    /// A sync is done.
    Synced(usize),
    /// An epoch is durable.
    EpochNoted(usize),
    /// A partition is looked at again.
    Again(usize),
    /// A row changed.
    Row(usize, Assignment),
    /// The store, or the metadata about it, answered what a partition waited for, or did not.
    Tiered(usize, Option<Told>),
    /// The metadata answers.
    Reply(u64, Reply),
    /// The metadata did not answer in time.
    NoReply(u64),
    /// A producer's batch.
    Produce(Attempt, Batch),
    /// A reader asks.
    Read(usize),
    /// A reader asks for everything that was acknowledged, up to here at least.
    StrongRead(usize, u64),
}

/// Something that happens.
#[derive(Debug)]
pub enum Event {
    /// In a process.
    Inside(BrokerId, u64, Inside),
    /// A process starts, if there is none.
    Start(BrokerId),
    /// A call reaches the metadata.
    Call {
        from: BrokerId,
        life: u64,
        call: u64,
        request: Request,
    },
    /// An object arrives in the store.
    Put(Put),
    /// A producer looks what to send.
    Client(usize),
    /// A producer is answered.
    Produced(Attempt, Produced),
    /// A producer has waited for long enough.
    NotProduced(Attempt),
    /// Readers ask all partitions.
    Readers,
    /// The next fault.
    Fault,
    /// A fault is over.
    Over(Over),
    /// Nothing goes wrong any more.
    Heal,
    /// Is everything well again?
    Inspect,
}

/// A fault that is over.
#[derive(Debug, Clone)]
pub enum Over {
    /// These ways are open again.
    Ways(Vec<(BrokerId, BrokerId)>),
    /// These brokers reach the metadata again.
    Store(Vec<BrokerId>),
    /// The metadata is no longer late.
    Stall,
    /// The object store is there again.
    Objects,
    /// A disk is as fast as others.
    Slowness(BrokerId),
}

#[derive(Debug)]
struct Scheduled {
    at: Micros,
    number: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// A cluster, its clients, and what was promised.
#[derive(Debug)]
pub struct World {
    pub(crate) now: Micros,
    pub(crate) dice: Dice,
    pub(crate) profile: Profile,
    pub(crate) rules: Rules,
    pub(crate) brokers: Vec<Broker>,
    pub(crate) store: Store,
    pub(crate) net: Net,
    pub(crate) objects: Objects,
    pub(crate) clients: Vec<Client>,
    pub(crate) truths: Vec<Truth>,
    pub(crate) counts: Counts,
    pub(crate) healing_since: Option<Micros>,
    pub(crate) deluded: Option<(BrokerId, Micros)>,
    /// Numbers sessions, calls, disks and values.
    numbers: u64,
    pub(crate) steps: u64,
    pub(crate) trace: Trace,
    queue: BinaryHeap<Reverse<Scheduled>>,
    events: u64,
    broken: Option<Broken>,
    healed: bool,
}

/// Notes a line of the trace.
macro_rules! note {
    ($world:expr, $($text:tt)*) => {
        $world.trace.line($world.now, $world.steps, format_args!($($text)*))
    };
}
pub(crate) use note;

impl World {
    fn new(options: &Options) -> Self {
        let mut dice = Dice::new(options.seed);
        let profile = match options.without {
            Some(rule) if options.aimed => Profile::against(rule, &mut dice),
            _ => Profile::mixed(&mut dice),
        };
        let mut rules = Rules::new(Duration::from_micros(LAG_MAX));
        if let Some(rule) = options.without {
            rules = rules.without(rule);
        }
        let brokers = dice.between(3, 5) as u32;
        let partitions = dice.between(2, 3) as usize;
        let rows: Vec<_> = (0..partitions)
            .map(|_| first_row(&mut dice, brokers))
            .collect();
        let clients = (0..partitions).flat_map(|p| (0..dice.between(1, 2)).map(move |_| p));
        let partition_of: Vec<usize> = clients.collect();
        let mut world = Self {
            now: 0,
            rules,
            brokers: (1..=brokers)
                .map(|id| Broker::new(id, partitions))
                .collect(),
            store: Store::new(rows, brokers, LEASE, rules),
            net: Net::default(),
            objects: Objects::new(),
            clients: Vec::new(),
            truths: (0..partitions).map(|_| Truth::default()).collect(),
            counts: Counts::default(),
            healing_since: None,
            deluded: None,
            numbers: 100,
            steps: 0,
            trace: Trace::new(options.print),
            queue: BinaryHeap::new(),
            events: 0,
            broken: None,
            healed: false,
            dice,
            profile,
        };
        world.begin(&partition_of);
        world
    }

    fn begin(&mut self, partition_of: &[usize]) {
        note!(self, "{:?}", self.profile);
        for partition in 0..self.store.rows().len() {
            note!(self, "p{partition} {:?}", self.store.rows()[partition]);
        }
        for id in 1..=self.brokers.len() as BrokerId {
            let at = self.dice.below(20 * MILLI);
            self.schedule(at, Event::Start(id));
        }
        for (client, partition) in partition_of.iter().enumerate() {
            let session = self.number();
            self.clients.push(Client::new(*partition, session));
            self.schedule(100 * MILLI, Event::Client(client));
        }
        self.schedule(100 * MILLI, Event::Readers);
        self.schedule(2 * SECOND, Event::Fault);
        self.schedule(self.profile.faulty_for, Event::Heal);
    }

    /// Runs a seed to its end.
    pub fn run(options: &Options) -> Outcome {
        let mut world = Self::new(options);
        let steps_max = options.steps_max.unwrap_or(u64::MAX);
        while world.broken.is_none() && !world.healed && world.steps < steps_max {
            let Some(Reverse(next)) = world.queue.pop() else {
                break;
            };
            world.now = next.at;
            world.happen(next.event);
        }
        if let Some(broken) = world.broken.clone() {
            note!(world, "BROKEN {}: {}", broken.invariant, broken.what);
        }
        world.counts.events += world.steps;
        Outcome {
            digest: world.trace.digest(),
            tail: world.trace.tail(400),
            broken: world.broken,
            steps: world.steps,
            counts: world.counts,
        }
    }

    fn happen(&mut self, event: Event) {
        if let Event::Inside(id, life, _) = &event {
            let broker = &self.brokers[*id as usize - 1];
            if broker.life != *life || broker.process.is_none() {
                return;
            }
            // A process that stands still finds everything that came when it goes on.
            if let Some(until) = broker.paused_until.filter(|until| *until > self.now) {
                self.schedule(until - self.now, event);
                return;
            }
        }
        self.steps += 1;
        match event {
            Event::Inside(id, _, inside) => self.inside(id, inside),
            Event::Start(id) => self.start(id),
            Event::Call {
                from,
                life,
                call,
                request,
            } => self.called(from, life, call, request),
            Event::Put(put) => self.stored_object(put),
            Event::Client(client) => self.client(client),
            Event::Produced(attempt, produced) => self.produced(attempt, produced),
            Event::NotProduced(attempt) => self.produced(attempt, Produced::Unknown),
            Event::Readers => self.readers(),
            Event::Fault => self.fault(),
            Event::Over(over) => self.over(over),
            Event::Heal => self.heal(),
            Event::Inspect => self.inspect(),
        }
    }

    fn inside(&mut self, id: BrokerId, inside: Inside) {
        match inside {
            Inside::Recovered => self.register(id),
            Inside::RenewalNoted => self.renew(id),
            Inside::Timer(timer) => self.timer(id, timer),
            Inside::Deliver {
                from,
                session,
                message,
            } => self.deliver(id, from, session, message),
            Inside::Broke { peer, session, out } => self.broke(id, peer, session, out),
            Inside::ReadDone {
                partition,
                follower,
                due,
                batches,
                end,
            } => self.read_done(id, partition, follower, due, batches, end),
            Inside::Synced(partition) => self.synced(id, partition),
            Inside::EpochNoted(partition) => self.epoch_noted(id, partition),
            Inside::Again(partition) => self.settle(id, partition),
            Inside::Row(partition, row) => self.learn(id, partition, row),
            Inside::Tiered(partition, told) => self.tiered(id, partition, told),
            Inside::Reply(call, reply) => self.replied(id, call, Some(reply)),
            Inside::NoReply(call) => self.replied(id, call, None),
            Inside::Produce(attempt, batch) => self.produce(id, attempt, batch),
            Inside::Read(partition) => self.read(id, partition),
            Inside::StrongRead(partition, floor) => self.strong_read(id, partition, floor),
        }
    }

    /// Has something happen later.
    pub(crate) fn schedule(&mut self, after: Micros, event: Event) {
        self.events += 1;
        self.queue.push(Reverse(Scheduled {
            at: self.now + after,
            number: self.events,
            event,
        }));
    }

    /// Has something happen later in the process that runs on a broker now.
    pub(crate) fn later(&mut self, id: BrokerId, after: Micros, inside: Inside) {
        let life = self.broker(id).life;
        self.schedule(after, Event::Inside(id, life, inside));
    }

    pub(crate) fn broker(&mut self, id: BrokerId) -> &mut Broker {
        &mut self.brokers[id as usize - 1]
    }

    pub(crate) fn ids(&self) -> Vec<BrokerId> {
        (1..=self.brokers.len() as BrokerId).collect()
    }

    /// A number that was never given before.
    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Holds a promise to have been kept.
    pub(crate) fn check(&mut self, kept: Result<(), Broken>) {
        if let Err(broken) = kept {
            self.broken.get_or_insert(broken);
        }
    }

    /// Whether the run is over for want of anything wrong, or for too long a wait.
    pub(crate) fn healed(&mut self, ailment: Option<String>) {
        let since = self.healing_since.unwrap_or(self.now);
        match ailment {
            None => {
                self.healed = true;
                self.count_strays();
                note!(self, "all is well");
            }
            Some(what) if self.now - since > HEALED_WITHIN => {
                let what = format!(
                    "not well {} s after the last fault: {what}",
                    (self.now - since) / SECOND
                );
                self.check(Err(crate::truth::broken("all heals", what)));
            }
            Some(_) => {}
        }
    }
}

/// A partition as it is placed first.
fn first_row(dice: &mut Dice, brokers: u32) -> Assignment {
    let copies = match dice.below(10) {
        0 => 1,
        1 | 2 => 2,
        _ => 3,
    };
    let mut all: Vec<BrokerId> = (1..=brokers).collect();
    let replicas: Vec<_> = (0..copies)
        .map(|_| all.swap_remove(dice.index(all.len())))
        .collect();
    let min_insync_replicas = if dice.chance(2_000) { 1 } else { 2.min(copies) };
    Assignment {
        in_sync: replicas.clone(),
        replicas,
        target: None,
        leader: None,
        epoch: 0,
        partition_epoch: 0,
        min_insync_replicas,
        loss_epoch: None,
    }
}

/// Whether a fault may be chosen now: an unused one is a mistake in a profile.
pub(crate) fn weight_of(faults: &[(Fault, u64)]) -> u64 {
    faults.iter().map(|(_, weight)| *weight).sum()
}
