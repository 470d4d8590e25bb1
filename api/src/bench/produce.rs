//! `headwater bench produce`.

use std::sync::Arc;

use clap::ValueEnum;

use crate::client::Failure;
use crate::http::pb::headwater::v1 as pb;

use super::body::{Body, Shape};
use super::grpc;
use super::load::{self, Job, LoadArgs};
use super::report::LoadReport;
use super::target::Target;

const BODIES: u64 = 64;
/// All bodies together stay below this, or they would fill every cache of the machine.
const POOL_BYTES: usize = 8 * 1024 * 1024;

/// What to append, and where.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    load: LoadArgs,
    /// Records in one request
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    records_per_request: u16,
    /// Bytes of each record's value
    #[arg(long, default_value_t = 1024)]
    record_bytes: usize,
    /// The topic, made if it is not there
    #[arg(long, default_value = "bench")]
    topic: String,
    /// Go over so many topics, TOPIC-0, TOPIC-1, …, one for each request
    #[arg(long)]
    topics: Option<u32>,
    /// Partitions of the topic, or of each
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    partitions: u32,
    /// Send each request to the next partition in turn, named in its records
    #[arg(long)]
    spread: bool,
    /// How many different keys the records have; 0: records have none
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(..=10_000_000))]
    keys: u32,
    /// What an answer waits for
    #[arg(long, value_enum)]
    acks: Option<Acks>,
    /// Send an idempotency key with each request
    #[arg(long)]
    idempotent: bool,
    /// Send the records as batches of a gRPC ProduceStream on each connection
    #[arg(long, conflicts_with_all = ["topics", "spread", "idempotent", "path", "rate"])]
    grpc: bool,
    /// Batches of each stream that are sent before the first of them is answered
    #[arg(long, default_value_t = 8, requires = "grpc", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    in_flight: u32,
    /// Post to this path instead, whatever it is; no topic is made
    #[arg(long)]
    path: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Acks {
    Quorum,
    Leader,
    None,
}

/// Makes the topics and measures.
pub async fn run(args: Args, target: Target) -> Result<LoadReport, Failure> {
    let names: Vec<String> = match args.topics {
        Some(count) => (0..count.max(1))
            .map(|n| format!("{}-{n}", args.topic))
            .collect(),
        None => vec![args.topic.clone()],
    };
    let paths: Vec<String> = match &args.path {
        Some(path) => vec![path.clone()],
        None => {
            for name in &names {
                target.ensure_topic(name, args.partitions).await?;
            }
            names
                .iter()
                .map(|name| target.path(&format!("/topics/{name}/records")))
                .collect()
        }
    };
    if args.grpc {
        let wanted = grpc::Wanted {
            topic: args.topic,
            records: usize::from(args.records_per_request),
            value_bytes: args.record_bytes,
            keys: args.keys,
            acks: match args.acks {
                None => pb::Acks::Unspecified,
                Some(Acks::Quorum) => pb::Acks::Quorum,
                Some(Acks::Leader) => pb::Acks::Leader,
                Some(Acks::None) => pb::Acks::None,
            },
            in_flight: args.in_flight as usize,
        };
        return grpc::run(args.load, wanted, target).await;
    }
    let shape = Shape {
        records: usize::from(args.records_per_request),
        value_bytes: args.record_bytes,
        keys: args.keys,
        partition: args.spread,
        acks: args.acks.map(|acks| match acks {
            Acks::Quorum => "quorum",
            Acks::Leader => "leader",
            Acks::None => "none",
        }),
    };
    let plan = Arc::new(Plan::new(&target, &paths, &shape, &args));
    let address = target.address.clone();
    let load = args.load.clone();
    let measured = tokio::task::spawn_blocking(move || {
        load::measure(&load, &address, |number| {
            Appender::new(Arc::clone(&plan), number)
        })
    });
    let tally = measured
        .await
        .map_err(|error| Failure::Local(error.to_string()))?
        .map_err(|error| target.unreachable(error))?;
    Ok(LoadReport::new("produce", &args.load, tally))
}

/// What all connections share.
struct Plan {
    heads: Vec<Vec<u8>>,
    bodies: Vec<Body>,
    records: u64,
    value_bytes: u64,
    partitions: Option<u32>,
    connections: u32,
    /// Where the counter stands in each head, if requests are idempotent.
    counters: Vec<usize>,
}

/// Idempotency keys: a number of the run, then a counter, both of fixed width.
const COUNTER: &str = "0000000000000000";

impl Plan {
    fn new(target: &Target, paths: &[String], shape: &Shape, args: &Args) -> Plan {
        let first = Body::new(shape, 0);
        let count = (POOL_BYTES / first.text.len().max(1)).clamp(2, BODIES as usize) as u64;
        let length = first.text.len();
        let bodies: Vec<Body> = (0..count).map(|number| Body::new(shape, number)).collect();
        let run = format!("{:016x}-", rand::random::<u64>());
        let extra = match args.idempotent {
            true => format!("Idempotency-Key: {run}{COUNTER}\r\n"),
            false => String::new(),
        };
        let heads: Vec<Vec<u8>> = paths
            .iter()
            .map(|path| target.with_body("POST", path, &extra, length))
            .collect();
        let counters = heads
            .iter()
            .filter_map(|head| super::wire::find(head, run.as_bytes()).map(|at| at + run.len()))
            .collect();
        Plan {
            heads,
            bodies,
            records: shape.records as u64,
            value_bytes: shape.value_bytes as u64,
            partitions: args.spread.then_some(args.partitions),
            connections: args.load.connections,
            counters,
        }
    }
}

/// One connection's requests.
struct Appender {
    plan: Arc<Plan>,
    /// Counts over all connections without their talking: each has its own residue.
    turn: u64,
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Appender {
    fn new(plan: Arc<Plan>, number: u32) -> Appender {
        Appender {
            plan,
            turn: u64::from(number),
            head: Vec::new(),
            body: Vec::new(),
        }
    }
}

impl Job for Appender {
    fn next(&mut self) -> (&[u8], &[u8]) {
        let turn = self.turn;
        self.turn += u64::from(self.plan.connections);
        let pick = |length: usize| (turn % length as u64) as usize;
        let at = pick(self.plan.heads.len());
        let mut head = &self.plan.heads[at];
        if let Some(counter) = self.plan.counters.get(at) {
            self.head.clone_from(head);
            let digits = format!("{turn:016x}");
            self.head[*counter..*counter + COUNTER.len()].copy_from_slice(digits.as_bytes());
            head = &self.head;
        }
        let body = &self.plan.bodies[pick(self.plan.bodies.len())];
        match self.plan.partitions {
            Some(partitions) => {
                // All partitions of all topics in turn.
                let round = turn / self.plan.heads.len() as u64;
                body.write_to(&mut self.body, (round % u64::from(partitions)) as u32);
                (head, &self.body)
            }
            None => (head, &body.text),
        }
    }

    fn judge(&mut self, status: u16, body: &[u8]) -> Result<(u64, u64), String> {
        load::succeeded(status, body)?;
        Ok((self.plan.records, self.plan.records * self.plan.value_bytes))
    }
}
