//! `POST /cluster/partitions/{topic_id}/{partition}/elect`: for operators.

use axum::{
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use headwater_broker::PartitionId;
use http::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer;
use crate::{
    auth::permissions::ElectLeader,
    gateway::{Candidate, LossyElection, Lost},
    http::{
        body::json_body,
        call::{May, SignedIn, unbroken},
        openapi::ChangeProblems,
        router::App,
    },
    problem::{Code, Problem},
};

/// Which copy shall lead, whatever it lacks.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"broker": 3, "accept_loss": true}))]
pub struct Elect {
    /// Its broker; a dry run needs none.
    broker: Option<u32>,
    /// That records which were acknowledged may be lost for good. Without it nothing is done.
    #[serde(default)]
    accept_loss: bool,
}

/// An election in which records are lost, and what that is known to be.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "topic_id": "01a201c022ee703d9e81d1eca9989242", "partition": 0, "leader_epoch": 5, "broker": 3,
    "given_up": [1], "candidates": [{"broker": 3, "log_start": 0, "log_end": 40, "last_epoch": 4,
    "lost": {"from_offset": 40, "known_to_offset": 43}}], "silent": []
}))]
pub struct Election {
    /// The topic's id.
    topic_id: String,
    /// The partition.
    partition: u32,
    /// The leader's term that begins.
    leader_epoch: i32,
    /// The broker that leads in it; null if none was named.
    broker: Option<u32>,
    /// Those that had everything, and are waited for no more.
    given_up: Vec<u32>,
    /// The copies of live brokers, the one that has the most first.
    candidates: Vec<CandidateInfo>,
    /// Live brokers with a copy that do not say what they have.
    silent: Vec<u32>,
}

/// A copy that could lead.
#[derive(Serialize, ToSchema)]
#[schema(as = Candidate)]
pub struct CandidateInfo {
    /// Its broker.
    broker: u32,
    /// Its first offset.
    log_start: u64,
    /// One past its last offset.
    log_end: u64,
    /// The leader's term of its last records; null if it has none.
    last_epoch: Option<i32>,
    /// What is lost if it leads.
    lost: LostRange,
}

/// Offsets that are lost. They are given out again.
#[derive(Serialize, ToSchema)]
pub struct LostRange {
    /// The first.
    from_offset: u64,
    /// One past the last that anybody who answers knows of; `from_offset` if nobody knows of any. What
    /// those who are given up had beyond, nobody knows.
    known_to_offset: u64,
}

impl From<LossyElection> for Election {
    fn from(election: LossyElection) -> Self {
        let candidates = election.candidates.into_iter();
        Self {
            topic_id: election.id.topic.to_string(),
            partition: election.id.partition,
            leader_epoch: election.epoch,
            broker: election.leader,
            given_up: election.given_up,
            candidates: candidates.map(CandidateInfo::from).collect(),
            silent: election.silent,
        }
    }
}

impl From<Candidate> for CandidateInfo {
    fn from(Candidate { broker, copy, lost }: Candidate) -> Self {
        let Lost { from, known_to } = lost;
        Self {
            broker,
            log_start: copy.log_start,
            log_end: copy.end,
            last_epoch: copy.last_epoch(),
            lost: LostRange {
                from_offset: from,
                known_to_offset: known_to,
            },
        }
    }
}

/// Have a copy lead that lacks records.
///
/// For a partition without a leader, once it is certain that no broker comes back that has everything:
/// what only those had is lost, and this cannot be undone. They must be gone, not only silent: one that
/// still runs would go on acknowledging. While one of them is live the call is refused; the cluster has
/// it lead by itself. A dry run says which copies there are, and what each lacks. Should one of those
/// that were given up come back, it follows, and removes what the new leader does not have.
#[utoipa::path(
    post, path = "/cluster/partitions/{topic_id}/{partition}/elect", operation_id = "electLeader", tag = "cluster",
    params(
        ("topic_id" = String, Path, description = "The topic's id", example = "0193f0a2c1d87c3e8a5b6f7d1e2c3b4a"),
        ("partition" = u32, Path, description = "Partition number", example = 0),
        ("dry_run" = Option<bool>, Query, description = "Say what would be lost, and change nothing"),
    ),
    request_body(content = Option<Elect>, description = "Which copy, and that the loss is accepted"),
    responses((status = 200, description = "Who leads, and what is lost", body = Election), ChangeProblems),
)]
pub async fn elect_leader(
    State(app): State<App>,
    May { call, .. }: May<ElectLeader, SignedIn>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let Elect {
        broker,
        accept_loss,
    } = json_body(&app, request).await?;
    let id = partition_of(path)?;
    let dry_run = intent.dry_run;
    let (gateway, caller) = (app.gateway.clone(), call.caller);
    let elected = async move {
        gateway
            .elect_with_loss(&intent, &caller, id, broker, accept_loss)
            .await
    };
    let election = Election::from(unbroken(elected).await?);
    Ok(answer(StatusCode::OK, None, dry_run, election))
}

fn partition_of(
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<PartitionId, Problem> {
    let named = path.ok().and_then(|Path((topic, partition))| {
        Some(PartitionId {
            topic: topic.parse().ok()?,
            partition: partition.parse().ok()?,
        })
    });
    named.ok_or_else(|| Problem::new(Code::NotFound, "no such partition"))
}
