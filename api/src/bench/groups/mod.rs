//! Reading through a consumer group that is made for the run, and deleted behind it.

mod member;
mod worker;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::client::Failure;

use super::load::{self, LoadArgs};
use super::report::LoadReport;
use super::target::{Target, refused};
use member::Member;
use worker::Worker;

/// How a group shares its records out.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum GroupType {
    /// Each connection is a member; a poll commits what the one before delivered
    Partitioned,
    /// Each connection is a worker that leases records and acknowledges them
    Shared,
}

/// What to read.
pub struct Wanted {
    /// The topic.
    pub topic: String,
    /// How.
    pub group_type: GroupType,
    /// Records asked for in one request.
    pub records: u16,
    /// Bytes of each record's value.
    pub record_bytes: u32,
    /// Where each partition begins.
    pub log_starts: Vec<u64>,
}

/// What all connections share.
struct Run {
    target: Target,
    wanted: Wanted,
    group: String,
    /// How often the topic was begun anew.
    passes: AtomicU64,
}

/// A request that is being put together.
#[derive(Clone, Default)]
struct Draft {
    head: Vec<u8>,
    body: Vec<u8>,
}

/// Makes the group, measures, and takes it away.
pub async fn run(args: LoadArgs, wanted: Wanted, target: Target) -> Result<LoadReport, Failure> {
    let group_type = wanted.group_type;
    let run = Arc::new(Run {
        target,
        wanted,
        group: format!("bench-{:016x}", rand::random::<u64>()),
        passes: AtomicU64::new(0),
    });
    run.ensure(&run.name_of(0)).await?;
    let (name, measured) = match group_type {
        GroupType::Partitioned => {
            let mut members = Vec::new();
            for number in 0..args.connections {
                members.push(Member::join(&run, number).await?);
            }
            let measured = measure(&run, &args, move |n| members[n as usize].clone()).await;
            for number in 0..args.connections {
                run.leave(number).await?;
            }
            ("fetch by a partitioned group", measured)
        }
        GroupType::Shared => {
            let of_run = run.clone();
            let measured = measure(&run, &args, move |_| Worker::new(&of_run)).await;
            ("fetch by a shared group", measured)
        }
    };
    for pass in 0..=run.passes.load(Ordering::Relaxed) {
        run.delete(&run.name_of(pass)).await?;
    }
    Ok(LoadReport::new(name, &args, measured?))
}

async fn measure<J: load::Job>(
    run: &Run,
    args: &LoadArgs,
    job: impl Fn(u32) -> J + Send + Sync + 'static,
) -> Result<super::tally::Tally, Failure> {
    let (address, args) = (run.target.address.clone(), args.clone());
    let measured = tokio::task::spawn_blocking(move || load::measure(&args, &address, job));
    measured
        .await
        .map_err(|error| Failure::Local(error.to_string()))?
        .map_err(|error| run.target.unreachable(error))
}

impl Run {
    /// Each pass of a shared group is a group of its own, as nothing is left of a topic that was read.
    fn name_of(&self, pass: u64) -> String {
        match pass {
            0 => self.group.clone(),
            _ => format!("{}-{pass}", self.group),
        }
    }

    fn spec(&self) -> Value {
        let group_type = match self.wanted.group_type {
            GroupType::Partitioned => "partitioned",
            GroupType::Shared => "shared",
        };
        json!({"type": group_type, "topics": [self.wanted.topic]})
    }

    async fn ensure(&self, group: &str) -> Result<(), Failure> {
        let path = format!("/groups/{group}");
        self.call("PUT", &path, &self.spec()).await.map(drop)
    }

    async fn leave(&self, number: u32) -> Result<(), Failure> {
        let path = format!("/groups/{}/members/{}", self.group, member::name(number));
        self.call("DELETE", &path, &json!({})).await.map(drop)
    }

    /// Takes the group away, also from workers that have records.
    async fn delete(&self, group: &str) -> Result<(), Failure> {
        let path = format!("/groups/{group}");
        let reset = json!({"to": "latest", "force": true});
        self.call("POST", &format!("{path}/offsets"), &reset)
            .await?;
        self.call("DELETE", &path, &json!({})).await.map(drop)
    }

    /// Sends one request outside of what is measured.
    async fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        let mut draft = Draft::default();
        draft.write(&self.target, method, path, &body.to_string());
        let (status, answer) = self.target.once(&draft.head, &draft.body).await?;
        match status {
            200..=299 => Ok(serde_json::from_slice(&answer).unwrap_or(Value::Null)),
            _ => Err(refused(&format!("{method} {path}"), status, &answer)),
        }
    }
}

impl Draft {
    /// Becomes this request.
    fn write(&mut self, target: &Target, method: &str, path: &str, body: &str) {
        self.body.clear();
        self.body.extend_from_slice(body.as_bytes());
        self.head = target.with_body(method, &target.path(path), "", body.len());
    }
}
