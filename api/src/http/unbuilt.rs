//! Calls of the contract that are not built yet: they say so, whatever the caller may do.

use axum::{Router, routing::any};

use super::{call::InProject, router::App};
use crate::problem::{Code, Problem};

/// Paths inside a project.
pub fn project_routes() -> Router<App> {
    let paths = [
        "/groups",
        "/groups/{group}",
        "/groups/{group}/{*rest}",
        "/topics/{topic}/keys/{key}",
    ];
    paths.iter().fold(Router::new(), |router, path| {
        router.route(path, any(in_project))
    })
}

/// Paths of the management API.
pub fn management_routes() -> Router<App> {
    let paths = [
        "/sessions",
        "/sessions/{*rest}",
        "/me",
        "/organizations",
        "/organizations/{*rest}",
        "/invitations/{*rest}",
        "/cluster",
        "/cluster/{*rest}",
        "/projects/{project}",
        "/projects/{project}/keys",
        "/projects/{project}/keys/{*rest}",
        "/projects/{project}/quotas",
        "/projects/{project}/usage",
    ];
    paths.iter().fold(Router::new(), |router, path| {
        router.route(path, any(not_implemented))
    })
}

async fn in_project(_call: InProject) -> Problem {
    not_implemented().await
}

async fn not_implemented() -> Problem {
    Problem::new(Code::NotImplemented, "this call is not built yet")
}
