//! The OpenAPI documents: generated from the routes, checked in under `openapi/`, served with a page.

mod params;
mod problems;
mod records;
mod topics;

use axum::{Json, Router, routing::get};
use utoipa::{
    OpenApi,
    openapi::{
        security::{Http, HttpAuthScheme, SecurityScheme},
        server::{ServerBuilder, ServerVariableBuilder},
    },
};
use utoipa_axum::router::OpenApiRouter;

pub use self::{params::*, problems::*, records::*, topics::*};
use super::{
    management::management_document,
    router::{App, streaming},
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Headwater streaming API",
        description = "Topics, records, tails and consumer groups of one project. Durable by default: an answered \
            record is on stable storage. Paths are relative to a project's base URL.\n\n\
            Limits: a record 1 MiB by default and 8 MiB at most, a request 10 000 records or 8 MiB \
            after inflating, a key 32 KiB, 64 headers, JSON 64 levels deep, a long poll 60 s, \
            a lease 10 to 300 s and 45 s by default, 100 topics a group, \
            1 000 records a lease and leases a settlement, a delay of a day, 1 000 letters a redrive, \
            segments 64 KiB to 1 GiB, 1 000 partitions a topic.\n\n\
            Every error is an RFC 9457 problem: retry on `retryable` and `outcome` alone.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(ProblemSchema)),
    tags(
        (name = "topics", description = "Named logs and their partitions"),
        (name = "records", description = "Appending, reading and following"),
        (name = "groups", description = "Sharing topics out between members that commit how far they are"),
    ),
    security(("api_key" = [])),
)]
struct Streaming;

/// The streaming API's document.
pub fn streaming_document() -> utoipa::openapi::OpenApi {
    let (_, mut document) = OpenApiRouter::<App>::with_openapi(Streaming::openapi())
        .merge(streaming())
        .split_for_parts();
    let server = ServerBuilder::new()
        .url("{scheme}://{host}/v1/projects/{project}")
        .parameter(
            "scheme",
            ServerVariableBuilder::new()
                .default_value("http")
                .enum_values(Some(["http", "https"])),
        )
        .parameter(
            "host",
            ServerVariableBuilder::new().default_value("localhost:8080"),
        )
        .parameter(
            "project",
            ServerVariableBuilder::new().default_value("demo"),
        )
        .build();
    document.servers = Some(vec![server]);
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    describe_problems(&mut document);
    if let Some(components) = &mut document.components {
        components.add_security_scheme(
            "api_key",
            SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
        );
    }
    document
}

/// The documents and the page that renders them, from inside the binary.
pub fn docs() -> Router<App> {
    let config =
        utoipa_swagger_ui::Config::new(["/openapi/streaming.json", "/openapi/management.json"]);
    Router::new()
        .route(
            "/openapi/streaming.json",
            get(async || Json(streaming_document())),
        )
        .route(
            "/openapi/management.json",
            get(async || Json(management_document())),
        )
        .merge(utoipa_swagger_ui::SwaggerUi::new("/docs").config(config))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::auth::permissions::TABLE;

    #[test]
    fn every_operation_has_one_row_of_permissions() {
        let documents = [super::streaming_document(), super::management_document()];
        let documents = documents.map(|document| serde_json::to_value(document).expect("JSON"));
        let operations: BTreeSet<_> = documents
            .iter()
            .flat_map(|document| document["paths"].as_object().expect("paths").values())
            .flat_map(|methods| methods.as_object().expect("methods").values())
            .map(|method| method["operationId"].as_str().expect("an id").to_owned())
            .collect();
        let rows: Vec<_> = TABLE.iter().map(|row| row.operation.to_owned()).collect();
        assert_eq!(rows.len(), rows.iter().collect::<BTreeSet<_>>().len());
        let missing: Vec<_> = operations
            .iter()
            .filter(|operation| !rows.contains(operation))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        let stale: Vec<_> = rows
            .iter()
            .filter(|row| !operations.contains(*row))
            .collect();
        assert!(stale.is_empty(), "{stale:?}");
    }
}
