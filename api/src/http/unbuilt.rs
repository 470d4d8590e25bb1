//! Calls of the contract that are not built yet: they say so, whatever the caller may do.

use axum::{Router, routing::any};

use super::{
    call::{InProject, May},
    router::App,
};
use crate::{
    auth::permissions::UseGroups,
    problem::{Code, Problem},
};

/// Paths inside a project.
pub fn project_routes() -> Router<App> {
    let paths = ["/groups/{group}/lease", "/groups/{group}/settle"];
    paths.iter().fold(Router::new(), |router, path| {
        router.route(path, any(not_implemented))
    })
}

async fn not_implemented(_call: May<UseGroups, InProject>) -> Problem {
    Problem::new(Code::NotImplemented, "this call is not built yet")
}
