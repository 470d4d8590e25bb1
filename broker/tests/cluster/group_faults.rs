//! Groups while everything goes wrong: what was answered holds, and who was fenced stays so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, future::join_all, stream};
use headwater_broker::{Broker, BrokerId, CoordinateError};
use headwater_groups::{Action, Call, GroupError, Mark, Owned, Reply};
use headwater_log::{
    LogOptions,
    disk::crash::{CrashDisk, Fault},
};
use tokio::sync::Notify;

use crate::{
    brokers::{Brokers, partition},
    groups::{LOG, ask, describe, ensure, group, joined, mark, named, poll, polled, start},
};

fn on_crash_disk() -> LogOptions {
    let mut options = LogOptions::new("/log");
    options.journal_file_bytes = Some(1 << 20);
    options.checkpoint_journal_bytes = Some(2 << 20);
    options
}

/// Commits offset after offset, many calls under way at once, until the broker is gone. Answers the
/// highest offset of each partition that was acknowledged.
async fn commit_until_it_fails(brokers: &Brokers, epoch: u64, owned: &[Owned]) -> Vec<u64> {
    let node = brokers.node(1);
    let mut acknowledged = vec![0; owned.len()];
    let commits = stream::iter(1_u64..).map(|offset| {
        let place = offset as usize % owned.len();
        let call = group(poll(epoch, vec![mark(&owned[place], offset)]));
        let node = node.clone();
        async move { (place, offset, node.coordinate(LOG, call).await) }
    });
    let mut commits = std::pin::pin!(commits.buffered(32));
    while let Some((place, offset, answer)) = commits.next().await {
        match answer {
            Ok(_) => acknowledged[place] = offset,
            Err(error) => {
                let is_known =
                    matches!(error, CoordinateError::NotLeader | CoordinateError::Unknown);
                assert!(is_known, "{error}");
                break;
            }
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_takes_nothing_that_was_answered() {
    for seed in 0..12 {
        let brokers = Brokers::start(&[]).await;
        let disk = CrashDisk::new();
        let open = async || {
            let disk = Arc::new(disk.clone());
            brokers.add_with(1, on_crash_disk(), disk, |_| {}).await
        };
        drop(open().await);
        for n in 0..4 {
            brokers.metadata.create(partition(1, n), &[1], 1);
        }
        brokers.metadata.create(LOG, &[1], 1);
        let (epoch, owned) = joined(&brokers).await;
        disk.plan(match seed % 2 {
            0 => Fault::CrashAtSync(20 + 7 * seed),
            _ => Fault::CrashAtWrite(60 + 11 * seed),
        });
        let acknowledged = commit_until_it_fails(&brokers, epoch, &owned).await;
        brokers.lose(1).await;
        disk.crash(seed);
        drop(open().await);
        for (position, least) in describe(&brokers).await.positions.iter().zip(acknowledged) {
            let committed = position.committed.unwrap_or(0);
            assert!(committed >= least, "seed {seed}: {committed} of {least}");
        }
        // The member is the one that it was.
        let (_, owned) = polled(&brokers, epoch, Vec::new()).await;
        assert_eq!(owned.len(), 4);
    }
}

/// How far all clients are together.
#[derive(Default)]
struct Progress {
    done: AtomicUsize,
    told: Notify,
}

impl Progress {
    fn step(&self) {
        self.done.fetch_add(1, Ordering::SeqCst);
        self.told.notify_one();
    }

    async fn until(&self, done: usize) {
        while self.done.load(Ordering::SeqCst) < done {
            self.told.notified().await;
        }
    }
}

/// One group's member in its lives. Everything it does is done again until it is answered.
struct Client<'a> {
    brokers: &'a Brokers,
    name: String,
    instance: u32,
    epoch: u64,
    owned: Vec<Owned>,
    done: u64,
}

impl Client<'_> {
    async fn act(&self, action: Action) -> Result<Reply, GroupError> {
        ask(self.brokers, named(&self.name, action)).await
    }

    async fn join(&mut self) {
        let join = Action::Join {
            member: "m".to_owned(),
            instance: Some(self.instance.to_string()),
            lease_ms: Some(300_000),
        };
        let Ok(Reply::Joined { epoch, .. }) = self.act(join).await else {
            panic!("not joined");
        };
        self.epoch = epoch;
    }

    fn marks(&self, next_offset: u64) -> Vec<Mark> {
        let owned = self.owned.iter();
        owned.map(|owned| mark(owned, next_offset)).collect()
    }

    /// Commits what it has done; what it finds is that.
    async fn poll(&mut self) {
        let commit = self.marks(self.done);
        let Ok(Reply::Polled(polled)) = self.act(poll(self.epoch, commit)).await else {
            panic!("not polled");
        };
        for owned in &polled.owned {
            assert_eq!(owned.committed.unwrap_or(0), self.done, "{}", self.name);
        }
        self.epoch = polled.epoch;
        self.owned = polled.owned;
    }

    /// Another instance takes the name: the last one's commits count no more, and change nothing.
    async fn replace(&mut self) {
        let (epoch, late) = (self.epoch, self.marks(self.done + 1_000));
        self.instance += 1;
        self.join().await;
        for action in [poll(epoch, late.clone()), poll(epoch, Vec::new())] {
            assert_eq!(self.act(action).await, Err(GroupError::MemberFenced));
        }
        self.owned.clear();
        self.poll().await;
    }
}

const CLIENTS: usize = 6;
const ROUNDS: usize = 60;

async fn work(brokers: &Brokers, number: usize, progress: &Progress) {
    let name = format!("group-{number}");
    let made = ask(brokers, named(&name, ensure())).await;
    assert!(made.is_ok(), "{made:?}");
    let mut client = Client {
        brokers,
        name,
        instance: 0,
        epoch: 0,
        owned: Vec::new(),
        done: 0,
    };
    client.join().await;
    client.poll().await;
    for round in 0..ROUNDS {
        match (round + number) % 7 {
            0 => client.replace().await,
            _ => {
                client.done += 1;
                client.poll().await;
            }
        }
        progress.step();
    }
}

/// Disturbs one broker after the other as work goes on.
async fn disturb(brokers: &Brokers, progress: &Progress) {
    let faults = 8;
    for fault in 0..faults {
        progress.until(CLIENTS * ROUNDS * fault / faults).await;
        let leader = brokers.metadata.row(LOG).leader;
        let leader: BrokerId = leader.map_or(1, |leader| leader.broker);
        match fault % 4 {
            0 => {
                brokers.metadata.fence(leader);
                brokers.stop(leader).await;
                drop(brokers.add(leader).await);
            }
            // It is fenced while it does not hear of it from the others.
            1 => {
                brokers.cut_off(leader).await;
                brokers.metadata.fence(leader);
                brokers.heal();
                brokers.metadata.revive(leader);
            }
            2 => {
                brokers.metadata.fence(leader);
                brokers.metadata.revive(leader);
            }
            // A follower.
            _ => {
                let other = leader % 3 + 1;
                brokers.stop(other).await;
                drop(brokers.add(other).await);
            }
        }
        brokers.until_in_sync(LOG, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_go_on_through_everything() {
    let brokers = start(&[1, 2, 3], &[1, 2, 3]).await;
    let progress = Progress::default();
    let working = join_all((0..CLIENTS).map(|number| work(&brokers, number, &progress)));
    let all = async { tokio::join!(working, disturb(&brokers, &progress)) };
    let ended = tokio::time::timeout(Duration::from_secs(120), all).await;
    assert!(ended.is_ok(), "it hangs");
    let list = Call::List {
        project: "main".to_owned(),
        after: None,
        max: 100,
    };
    let Ok(Reply::Page { groups, more }) = ask(&brokers, list).await else {
        panic!("no page");
    };
    assert_eq!((groups.len(), more), (CLIENTS, false));
}
