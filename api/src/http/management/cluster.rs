//! `/cluster`: for operators. What they do comes with the cluster.

use crate::{
    auth::permissions::{DrainBroker, GetCluster, ListBrokers, RebalanceCluster},
    http::{
        call::{May, SignedIn},
        openapi::UnbuiltProblems,
    },
    problem::{Code, Problem},
};

/// See the state of the cluster. Not built yet.
#[utoipa::path(
    get,
    path = "/cluster",
    operation_id = "getCluster",
    tag = "cluster",
    responses(UnbuiltProblems)
)]
pub async fn get_cluster(_call: May<GetCluster, SignedIn>) -> Problem {
    not_built()
}

/// List the brokers. Not built yet.
#[utoipa::path(
    get,
    path = "/cluster/brokers",
    operation_id = "listBrokers",
    tag = "cluster",
    responses(UnbuiltProblems)
)]
pub async fn list_brokers(_call: May<ListBrokers, SignedIn>) -> Problem {
    not_built()
}

/// Take a broker out of service without losing a leader. Not built yet.
#[utoipa::path(
    post, path = "/cluster/brokers/{broker}/drain", operation_id = "drainBroker", tag = "cluster",
    params(("broker" = u32, Path, description = "The broker's number", example = 1)),
    responses(UnbuiltProblems),
)]
pub async fn drain_broker(_call: May<DrainBroker, SignedIn>) -> Problem {
    not_built()
}

/// Spread leaders and replicas evenly. Not built yet.
#[utoipa::path(
    post, path = "/cluster/rebalance", operation_id = "rebalanceCluster", tag = "cluster",
    params(("dry_run" = Option<bool>, Query, description = "Say what would be moved, and move nothing")),
    responses(UnbuiltProblems),
)]
pub async fn rebalance_cluster(_call: May<RebalanceCluster, SignedIn>) -> Problem {
    not_built()
}

fn not_built() -> Problem {
    Problem::new(Code::NotImplemented, "this call is not built yet")
}
