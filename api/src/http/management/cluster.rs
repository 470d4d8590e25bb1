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

use super::answer;
use crate::{
    auth::permissions::{DrainBroker, GetCluster, ListBrokers, RebalanceCluster},
    gateway::{BrokerLoad, ClusterState, broker_not_found},
    http::{
        body::json_body,
        call::{May, SignedIn, unbroken},
        openapi::{ChangeProblems, LookProblems, UnbuiltProblems},
        params::{Params, rfc3339},
        router::App,
    },
    problem::{Code, Problem},
};

/// The cluster.
#[derive(Serialize, ToSchema)]
#[schema(as = Cluster)]
pub struct ClusterInfo {
    /// Its name, made with its metadata.
    #[schema(example = "0193f0a2c1d87c3e8a5b6f7d1e2c3b4a")]
    cluster_id: String,
    /// The broker that elects leaders; null while none does.
    #[schema(example = 1)]
    controller: Option<BrokerId>,
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
pub struct BrokerList {
    /// By number.
    brokers: Vec<BrokerInfo>,
}

/// A broker.
#[derive(Serialize, ToSchema)]
#[schema(as = Broker)]
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

/// A partition of which copies move.
#[derive(Serialize, ToSchema)]
pub struct PartitionMove {
    /// The topic's id.
    topic_id: String,
    /// The partition.
    partition: u32,
    /// The brokers that have a copy, or are getting one.
    replicas: Vec<BrokerId>,
    /// The brokers that will have one.
    target: Vec<BrokerId>,
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
        let moves = cluster.moves.into_iter().map(|(id, place)| PartitionMove {
            topic_id: id.topic.to_string(),
            partition: id.partition,
            replicas: place.replicas.clone(),
            target: place.target.clone().unwrap_or_default(),
        });
        Self {
            cluster_id: cluster.cluster_id,
            controller: cluster.controller,
            brokers: cluster.brokers.into_iter().map(BrokerInfo::from).collect(),
            under_replicated: cluster.under_replicated,
            offline: cluster.offline,
            moves: moves.collect(),
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
            hot_bytes: None,
            last_seen: rfc3339(broker.row.last_seen),
        }
    }
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
/// A broker that drains is given no new partitions and leads only what nobody else can.
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
    let broker = broker.ok().and_then(|Path(broker)| broker.parse().ok());
    let broker: BrokerId = broker.ok_or_else(broker_not_found)?;
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

/// Spread leaders and replicas evenly. Not built yet.
#[utoipa::path(
    post, path = "/cluster/rebalance", operation_id = "rebalanceCluster", tag = "cluster",
    params(("dry_run" = Option<bool>, Query, description = "Say what would be moved, and move nothing")),
    responses(UnbuiltProblems),
)]
pub async fn rebalance_cluster(_call: May<RebalanceCluster, SignedIn>) -> Problem {
    Problem::new(Code::NotImplemented, "this call is not built yet")
}
