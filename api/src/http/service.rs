//! What happens to every request and every answer: ids, problems, metrics, compression.

use std::{net::IpAddr, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{
    body::Body,
    extract::{MatchedPath, State},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Method, Request, header};
use tower::Service;

use super::{
    body::discard_refused,
    call::{Asked, InTopic, May, Peer, RequestId},
    grpc::Grpc,
    observe::Route,
    produce::produce_records,
    router::App,
};
use crate::{
    auth::without_secrets,
    problem::{Code, Problem},
    quota::Connection,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The router, with what surrounds it.
#[derive(Clone)]
pub struct Edge {
    app: App,
    grpc: Grpc,
    plain: axum::Router,
    compressed: axum::Router,
}

impl Edge {
    /// Wraps a router.
    pub fn new(app: App, router: axum::Router) -> Self {
        use tower_http::compression::{
            CompressionLayer, Predicate,
            predicate::{NotForContentType, SizeAbove},
        };
        // Events must leave at once, and a compressor would hold them back.
        let worth = SizeAbove::new(256)
            .and(NotForContentType::const_new("text/event-stream"))
            .and(NotForContentType::const_new("application/x-ndjson"));
        let compressed = router.clone().layer(
            CompressionLayer::new()
                .gzip(true)
                .zstd(true)
                .compress_when(worth),
        );
        Self {
            grpc: Grpc::new(app.clone()),
            app,
            plain: router,
            compressed,
        }
    }

    /// Answers one request, that came over `connection`.
    pub async fn handle(
        &self,
        request: Request<hyper::body::Incoming>,
        peer: IpAddr,
        connection: Arc<Connection>,
    ) -> Response {
        let started = Instant::now();
        let request = request.map(Body::new);
        let id = request_id(&request);
        let traceparent = request.headers().get(TRACEPARENT).cloned();
        let method = request.method().clone();
        let path =
            tracing::enabled!(tracing::Level::DEBUG).then(|| without_secrets(request.uri().path()));
        let compress = request.headers().contains_key(header::ACCEPT_ENCODING);
        let is_grpc = Grpc::is_asked(&request);
        // A panic is a fault of ours in one request; the locks that requests share are held over
        // plain moves of data only.
        let answered = async {
            if !is_grpc {
                return self
                    .answer(request, id.clone(), peer, connection, compress)
                    .await;
            }
            let asked = Asked {
                peer,
                request_id: id.clone(),
            };
            let (answered, route) = self.grpc.answer(request, asked, connection).await;
            (answered.unwrap_or_else(Problem::into_response), route)
        };
        let answered = AssertUnwindSafe(answered).catch_unwind().await;
        let (mut response, route) = answered.unwrap_or_else(|_| {
            let problem = Problem::new(Code::Internal, "the request hit a fault of the service");
            (problem.into_response(), Route::OTHER)
        });
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            response = match is_grpc {
                true => Grpc::refusal(&problem, &id),
                false => render(&problem, &id, response),
            };
        }
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        if let Some(traceparent) = traceparent {
            response.headers_mut().insert(TRACEPARENT, traceparent);
        }
        let status = match is_grpc {
            true => Grpc::status(&response),
            false => response.status().as_u16(),
        };
        let seconds = started.elapsed().as_secs_f64();
        self.app.metrics.request(&method, route, status, seconds);
        if let Some(path) = path {
            tracing::debug!(request_id = %id, %method, path, status, seconds, "request");
        }
        response
    }

    async fn answer(
        &self,
        mut request: Request<Body>,
        id: Arc<str>,
        peer: IpAddr,
        connection: Arc<Connection>,
        compress: bool,
    ) -> (Response, Route) {
        // Most requests append records: they do not pay for a router made for all.
        if request.method() == Method::POST && !compress {
            let uri = request.uri().clone();
            if let Some((project, topic)) = produce_path(uri.path()) {
                let (app, headers) = (&self.app, request.headers());
                let asked = Asked {
                    peer,
                    request_id: id,
                };
                let opened = match asked.identify_in_project(app, headers).await {
                    Ok(caller) => {
                        May::<_, InTopic>::open(app, project, topic, &caller, asked, &connection)
                    }
                    Err(problem) => Err(problem),
                };
                let produced = match opened {
                    Ok(call) => produce_records(State(app.clone()), call, request).await,
                    Err(problem) => Err(discard_refused(request, problem).await),
                };
                return (
                    produced.unwrap_or_else(Problem::into_response),
                    Route::PRODUCE,
                );
            }
        }
        request.extensions_mut().insert(RequestId(id));
        request.extensions_mut().insert(Peer(peer));
        request.extensions_mut().insert(connection);
        let router = if compress {
            &self.compressed
        } else {
            &self.plain
        };
        // A router is always ready and cannot fail.
        let mut response = match router.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let route = response.extensions_mut().remove::<Route>();
        (response, route.unwrap_or(Route::OTHER))
    }
}

/// The project and topic of a path that appends records. Names that need decoding are the router's.
fn produce_path(path: &str) -> Option<(&str, &str)> {
    let rest = path
        .strip_prefix("/v1/projects/")?
        .strip_suffix("/records")?;
    let (project, topic) = rest.split_once("/topics/")?;
    let plain = |name: &str| !name.bytes().any(|b| b == b'/' || b == b'%');
    (plain(project) && plain(topic)).then_some((project, topic))
}

/// Tells the metrics, outside of the router, which route was taken.
pub async fn remember_route(request: Request<Body>, next: axum::middleware::Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| Route::of(path.as_str()));
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    response
}

impl IntoResponse for Problem {
    /// The status alone: [`Edge::handle`] knows the request's id and writes the body.
    fn into_response(self) -> Response {
        let status = http::StatusCode::from_u16(self.code.status())
            .unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

fn render(problem: &Problem, id: &str, response: Response) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_ENCODING);
    parts.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    if let Some(retry_after_ms) = problem.retry_after_ms {
        parts
            .headers
            .insert(header::RETRY_AFTER, retry_after_ms.div_ceil(1_000).into());
    }
    if let Some(limit) = problem.rate_limit {
        let reset = problem.retry_after_ms.unwrap_or(0).div_ceil(1_000);
        let said = [
            ("ratelimit-limit", limit),
            ("ratelimit-remaining", 0),
            ("ratelimit-reset", reset),
        ];
        for (name, number) in said {
            let name = HeaderName::from_static(name);
            parts.headers.insert(name, number.into());
        }
    }
    if problem.code == Code::Unauthenticated {
        parts.headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"headwater\""),
        );
    }
    if let Some(allow) = &problem.allow {
        parts.headers.insert(header::ALLOW, allow.clone());
    }
    problem.log(id);
    Response::from_parts(parts, Body::from(problem.to_json(id)))
}

/// The client's id for the request if it is a sane one, else a new one.
fn request_id(request: &Request<Body>) -> Arc<str> {
    request
        .headers()
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|text| (1..=128).contains(&text.len()))
        .map_or_else(
            || format!("{:016x}", rand::random::<u64>()).into(),
            Arc::from,
        )
}
