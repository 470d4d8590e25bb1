//! `/cluster`: for operators.

use axum::{
    Json,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use headwater_broker::{BrokerId, controller::BrokerState};
use http::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{answer, gone};
use crate::{
    auth::permissions::{DrainBroker, GetCluster, ListBrokers, RebalanceCluster, RemoveBroker},
    gateway::{self, BrokerLoad, ClusterState, broker_not_found},
    http::{
        body::json_body,
        call::{May, SignedIn, unbroken},
        openapi::{ChangeProblems, LookProblems},
        params::{Params, rfc3339},
        router::App,
    },
    problem::Problem,
};

/// The cluster.
#[derive(Serialize, ToSchema)]
#[schema(as = Cluster, example = json!({
    "cluster_id": "0193f0a2c1d87c3e8a5b6f7d1e2c3b4a", "controller": 1, "brokers": [{"id": 1,
    "state": "live", "rack": "a", "leaders": 3, "replicas": 3, "hot_bytes": 1048576,
    "last_seen": "2026-01-31T12:00:00.000Z"}], "under_replicated": 0, "offline": 0, "moves": []
}))]
pub struct ClusterInfo {
    /// Its name, made with its metadata.
    #[schema(example = "0193f0a2c1d87c3e8a5b6f7d1e2c3b4a")]
    cluster_id: String,
    /// The broker that elects leaders; null while none does.
    #[schema(example = 1)]
    controller: Option<u32>,
    /// All brokers, by number.
    brokers: Vec<BrokerInfo>,
    /// Partitions of which a copy is not in sync.
    under_replicated: u64,
    /// Partitions that nobody leads.
    offline: u64,
    /// Partitions of which copies move.
    moves: Vec<PartitionMove>,
}

/// All brokers.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "brokers": [{"id": 1, "state": "live", "rack": "a", "leaders": 3, "replicas": 3,
    "hot_bytes": 1048576, "last_seen": "2026-01-31T12:00:00.000Z"}]
}))]
pub struct BrokerList {
    /// By number.
    brokers: Vec<BrokerInfo>,
}

/// A broker.
#[derive(Serialize, ToSchema)]
#[schema(as = Broker, example = json!({
    "id": 1, "state": "live", "rack": "a", "leaders": 3, "replicas": 3, "hot_bytes": 1048576,
    "last_seen": "2026-01-31T12:00:00.000Z"
}))]
pub struct BrokerInfo {
    /// Its number.
    #[schema(example = 1)]
    id: u32,
    /// Whether it takes part: `live`; `draining`, which is given nothing more; or `fenced`, which was
    /// not heard of for too long.
    #[schema(pattern = "^(live|draining|fenced)$", example = "live")]
    state: &'static str,
    /// Where it stands, if it says so.
    rack: Option<String>,
    /// Partitions that it leads.
    leaders: u64,
    /// Copies on it.
    replicas: u64,
    /// Bytes of them on its disk; null while they are not known.
    hot_bytes: Option<u64>,
    /// When it was heard of last, as RFC 3339.
    #[schema(example = "2025-06-01T12:00:00.000Z")]
    last_seen: String,
}

/// What a rebalance moves.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "moves": [{"topic_id": "01a201c022ee703d9e81d1eca9989242", "partition": 0, "replicas": [1, 2],
    "target": [2, 3], "bytes": 1048576, "copied_offset": 512, "high_watermark": 1024}]
}))]
pub struct Rebalance {
    /// Partitions whose copies, or preferred leaders, are to be elsewhere.
    moves: Vec<PartitionMove>,
}

/// A partition of which copies move, or are to.
#[derive(Serialize, ToSchema)]
pub struct PartitionMove {
    /// The topic's id.
    topic_id: String,
    /// The partition.
    partition: u32,
    /// The brokers that have a copy, or are getting one.
    replicas: Vec<u32>,
    /// The brokers that will have one, the one that leads by preference first.
    target: Vec<u32>,
    /// Bytes of one copy; null while they are not known.
    bytes: Option<u64>,
    /// How far the new copies have come, as an offset: the last of them; null before they begin.
    copied_offset: Option<u64>,
    /// Where they are done but for what is written meanwhile.
    high_watermark: Option<u64>,
}

/// Whether a broker shall drain.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"draining": true}))]
pub struct Drain {
    /// False has it take part again. Default true.
    #[serde(default = "yes")]
    #[schema(default = true)]
    draining: bool,
}

fn yes() -> bool {
    true
}

impl From<ClusterState> for ClusterInfo {
    fn from(cluster: ClusterState) -> Self {
        Self {
            cluster_id: cluster.cluster_id,
            controller: cluster.controller,
            brokers: cluster.brokers.into_iter().map(BrokerInfo::from).collect(),
            under_replicated: cluster.under_replicated,
            offline: cluster.offline,
            moves: moves(cluster.moves),
        }
    }
}

impl From<BrokerLoad> for BrokerInfo {
    fn from(broker: BrokerLoad) -> Self {
        Self {
            id: broker.row.number().unwrap_or_default(),
            state: match broker.row.view().state {
                BrokerState::Live => "live",
                BrokerState::Draining => "draining",
                BrokerState::Fenced | BrokerState::Retired => "fenced",
            },
            rack: broker.row.rack,
            leaders: broker.leaders,
            replicas: broker.replicas,
            hot_bytes: broker.hot_bytes,
            last_seen: rfc3339(broker.row.last_seen),
        }
    }
}

fn moves(moves: Vec<gateway::PartitionMove>) -> Vec<PartitionMove> {
    let moves = moves.into_iter().map(|moving| PartitionMove {
        topic_id: moving.id.topic.to_string(),
        partition: moving.id.partition,
        replicas: moving.replicas,
        target: moving.target,
        bytes: moving.held.map(|held| held.bytes),
        copied_offset: moving.held.and_then(|held| held.copied),
        high_watermark: moving.held.map(|held| held.high_watermark),
    });
    moves.collect()
}

/// See the state of the cluster.
#[utoipa::path(
    get, path = "/cluster", operation_id = "getCluster", tag = "cluster",
    responses((status = 200, description = "The brokers, and how partitions are", body = ClusterInfo), LookProblems),
)]
pub async fn get_cluster(
    State(app): State<App>,
    _call: May<GetCluster, SignedIn>,
    request: Request<Body>,
) -> Result<Json<ClusterInfo>, Problem> {
    Params::parse(request.uri(), &[])?;
    Ok(Json(app.gateway.cluster().await?.into()))
}

/// List the brokers.
#[utoipa::path(
    get, path = "/cluster/brokers", operation_id = "listBrokers", tag = "cluster",
    responses((status = 200, description = "All brokers that ever took part", body = BrokerList), LookProblems),
)]
pub async fn list_brokers(
    State(app): State<App>,
    _call: May<ListBrokers, SignedIn>,
    request: Request<Body>,
) -> Result<Json<BrokerList>, Problem> {
    Params::parse(request.uri(), &[])?;
    let ClusterInfo { brokers, .. } = app.gateway.cluster().await?.into();
    Ok(Json(BrokerList { brokers }))
}

/// Take a broker out of service, or back in.
///
/// A broker that drains is given no new partitions and leads only what nobody else can. Its copies move
/// to others, as far as there are brokers that have none: `GET /v1/cluster` says how far that is. One
/// that is lost for good is drained too. A restart needs no drain: a broker hands over when it stops.
#[utoipa::path(
    post, path = "/cluster/brokers/{broker}/drain", operation_id = "drainBroker", tag = "cluster",
    params(
        ("broker" = u32, Path, description = "The broker's number", example = 1),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    request_body(content = Option<Drain>, description = "Without a body it shall drain"),
    responses((status = 200, description = "The broker as it is now", body = BrokerInfo), ChangeProblems),
)]
pub async fn drain_broker(
    State(app): State<App>,
    May { call, .. }: May<DrainBroker, SignedIn>,
    broker: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let Drain { draining } = json_body(&app, request).await?;
    let broker = number(broker)?;
    let dry_run = intent.dry_run;
    let (gateway, caller) = (app.gateway.clone(), call.caller);
    let drained = async move {
        gateway
            .drain_broker(&intent, &caller, broker, draining)
            .await
    };
    let broker = BrokerInfo::from(unbroken(drained).await?);
    Ok(answer(StatusCode::OK, None, dry_run, broker))
}

/// Remove a broker for good.
///
/// It is stopped and holds no copies: drain it first.
#[utoipa::path(
    delete, path = "/cluster/brokers/{broker}", operation_id = "removeBroker", tag = "cluster",
    params(
        ("broker" = u32, Path, description = "The broker's number", example = 3),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    responses((status = 204, description = "It is removed"), ChangeProblems),
)]
pub async fn remove_broker(
    State(app): State<App>,
    May { call, .. }: May<RemoveBroker, SignedIn>,
    broker: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let broker = number(broker)?;
    let dry_run = intent.dry_run;
    let (gateway, caller) = (app.gateway.clone(), call.caller);
    let removed = async move { gateway.remove_broker(&intent, &caller, broker).await };
    unbroken(removed).await?;
    Ok(gone(dry_run))
}

/// Spread leaders and copies evenly.
///
/// Copies move out of racks that have another one, then so that brokers have as many copies and bytes,
/// and lead as many partitions; and away from brokers that drain. They are copied in the background, at
/// the pace that brokers allow; `GET /v1/cluster` says how far they are.
#[utoipa::path(
    post, path = "/cluster/rebalance", operation_id = "rebalanceCluster", tag = "cluster",
    params(("dry_run" = Option<bool>, Query, description = "Say what would be moved, and move nothing")),
    responses((status = 200, description = "What moves", body = Rebalance), ChangeProblems),
)]
pub async fn rebalance_cluster(
    State(app): State<App>,
    May { call, .. }: May<RebalanceCluster, SignedIn>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let dry_run = intent.dry_run;
    let (gateway, caller) = (app.gateway.clone(), call.caller);
    let rebalanced = async move { gateway.rebalance(&intent, &caller).await };
    let moves = moves(unbroken(rebalanced).await?);
    Ok(answer(StatusCode::OK, None, dry_run, Rebalance { moves }))
}

fn number(broker: Result<Path<String>, PathRejection>) -> Result<BrokerId, Problem> {
    let number = broker.ok().and_then(|Path(broker)| broker.parse().ok());
    number.ok_or_else(broker_not_found)
}
