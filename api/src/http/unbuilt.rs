//! Calls of the contract that are not built yet: they say so, whatever the caller may do.

use axum::{Router, routing::any};

use super::{
    call::{InProject, May},
    router::App,
};
use crate::{
    auth::permissions::{FetchTopic, UseGroups},
    problem::{Code, Problem},
};

/// Paths inside a project.
pub fn project_routes() -> Router<App> {
    let paths = ["/groups", "/groups/{group}", "/groups/{group}/{*rest}"];
    let keys = Router::new().route("/topics/{topic}/keys/{key}", any(in_topic));
    paths
        .iter()
        .fold(keys, |router, path| router.route(path, any(in_group)))
}

async fn in_group(_call: May<UseGroups, InProject>) -> Problem {
    not_implemented().await
}

async fn in_topic(_call: May<FetchTopic, InProject>) -> Problem {
    not_implemented().await
}

async fn not_implemented() -> Problem {
    Problem::new(Code::NotImplemented, "this call is not built yet")
}
