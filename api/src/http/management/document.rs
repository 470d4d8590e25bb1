//! The management API's OpenAPI document.

use utoipa::{
    OpenApi,
    openapi::{
        path::Operation,
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
        server::{Server, ServerBuilder, ServerVariableBuilder},
    },
};
use utoipa_axum::router::OpenApiRouter;

use super::{management, well_known};
use crate::http::{
    openapi::{ProblemSchema, describe_problems},
    router::App,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Headwater management API",
        description = "Organizations, their people, projects, keys and what they may. Every PUT, POST, \
            PATCH and DELETE of them takes `dry_run=true`: everything is checked, nothing changes, and \
            the answer is what it would be, without secrets.\n\n\
            What a caller may not see answers 404, as what does not exist.\n\n\
            Every error is an RFC 9457 problem: retry on `retryable` and `outcome` alone.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(ProblemSchema)),
    tags(
        (name = "sessions", description = "Signing in, and who one is"),
        (name = "organizations", description = "Customers of the service"),
        (name = "members", description = "People and what they are in an organization"),
        (name = "issuers", description = "Others whose tokens an organization trusts"),
        (name = "projects", description = "Where topics and keys are"),
        (name = "keys", description = "What programs call with"),
        (name = "cluster", description = "The brokers, for operators of the service"),
        (name = "usage", description = "What was written, read and stored"),
        (name = "quotas", description = "What organizations and projects may use, and do use"),
        (name = "audit", description = "What was done and refused"),
    ),
    security(("bearer" = [])),
)]
struct Management;

/// The management API's document.
pub fn management_document() -> utoipa::openapi::OpenApi {
    let (_, mut document) = OpenApiRouter::<App>::with_openapi(Management::openapi())
        .merge(management())
        .split_for_parts();
    let (_, mut at_root) = well_known().split_for_parts();
    for item in at_root.paths.paths.values_mut() {
        for operation in item.get.iter_mut() {
            operation.servers = Some(vec![server("{scheme}://{host}")]);
        }
    }
    document.merge(at_root);
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            need_nothing(operation);
        }
    }
    document.servers = Some(vec![server("{scheme}://{host}/v1")]);
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    describe_problems(&mut document);
    if let Some(components) = &mut document.components {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("bearer", bearer);
    }
    document
}

/// No requirement at all says better than an empty one that a call takes no credential: generators of
/// clients ask for one otherwise.
fn need_nothing(operation: &mut Operation) {
    let empty = [SecurityRequirement::default()];
    if operation.security.as_deref() == Some(empty.as_slice()) {
        operation.security = Some(Vec::new());
    }
}

fn server(url: &str) -> Server {
    let scheme = ServerVariableBuilder::new()
        .default_value("http")
        .enum_values(Some(["http", "https"]));
    let host = ServerVariableBuilder::new().default_value("localhost:8080");
    ServerBuilder::new()
        .url(url)
        .parameter("scheme", scheme)
        .parameter("host", host)
        .build()
}
