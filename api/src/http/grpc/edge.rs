//! From a request to its method.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, Method as Verb, Request, Uri, Version, header};
use tonic::body::Body as GrpcBody;
use tower::Service as _;

use super::{
    call::Call,
    frames::Frames,
    groups::GroupMethods,
    health::HealthMethods,
    methods::{Method, REFLECTION, Service},
    page::kept,
    records::RecordMethods,
    reflection::ReflectionMethods,
    services::{
        headwater::{
            group_service_server::GroupServiceServer, record_service_server::RecordServiceServer,
            topic_service_server::TopicServiceServer,
        },
        health::health_server::HealthServer,
        reflection::server_reflection_server::ServerReflectionServer,
    },
    status::{http_status, to_status},
    topics::TopicMethods,
};
use crate::{
    http::{body::Encoding, call::Asked, observe::Route, router::App},
    problem::{Code, Problem},
    quota::Connection,
};

/// All services.
#[derive(Clone)]
pub struct Grpc {
    app: App,
    topics: TopicServiceServer<TopicMethods>,
    records: RecordServiceServer<RecordMethods>,
    groups: GroupServiceServer<GroupMethods>,
    health: HealthServer<HealthMethods>,
    reflection: ServerReflectionServer<ReflectionMethods>,
}

impl Grpc {
    /// The services on what methods share.
    pub fn new(app: App) -> Self {
        // Sizes were checked when a message was read.
        Self {
            topics: TopicServiceServer::new(TopicMethods).max_decoding_message_size(usize::MAX),
            records: RecordServiceServer::new(RecordMethods).max_decoding_message_size(usize::MAX),
            groups: GroupServiceServer::new(GroupMethods).max_decoding_message_size(usize::MAX),
            health: HealthServer::new(HealthMethods::default()),
            reflection: ServerReflectionServer::new(ReflectionMethods),
            app,
        }
    }

    /// Whether a request is one of gRPC.
    pub fn is_asked(request: &Request<Body>) -> bool {
        const TYPE: &[u8] = b"application/grpc";
        let content_type = request.headers().get(header::CONTENT_TYPE);
        request.version() == Version::HTTP_2
            && request.method() == Verb::POST
            && content_type.is_some_and(|value| {
                let rest = value.as_bytes().strip_prefix(TYPE);
                // What is behind a dash is another protocol, that of browsers.
                rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
            })
    }

    /// Answers a request. A problem is left in the response for [`Grpc::refusal`].
    pub async fn answer(
        &self,
        request: Request<Body>,
        asked: Asked,
        connection: Arc<Connection>,
    ) -> (Result<Response, Problem>, Route) {
        let Some(method) = Method::of(request.uri().path()) else {
            let problem = Problem::new(Code::NotImplemented, "there is no such method");
            return (Err(problem), Route::OTHER);
        };
        let route = Route::of_method(method.path);
        (self.call(method, request, asked, connection).await, route)
    }

    async fn call(
        &self,
        method: &'static Method,
        request: Request<Body>,
        asked: Asked,
        connection: Arc<Connection>,
    ) -> Result<Response, Problem> {
        let (mut parts, body) = request.into_parts();
        check_type(&parts.headers)?;
        let encoding = encoding(&parts.headers)?;
        let call = Call::begin(&self.app, method, &parts.headers, asked, connection).await?;
        // Messages are plain from here on.
        parts.headers.remove("grpc-encoding");
        let frames = Frames {
            budget: self.app.gateway.budget.clone(),
            method,
            encoding,
            in_memory: call.in_memory.clone(),
            request_id: call.asked.request_id.clone(),
        };
        parts.extensions.insert(call);
        let mut request = Request::from_parts(parts, frames.of(body));
        let answered = match method.service {
            Service::Topics => self.topics.clone().call(request).await,
            Service::Records => self.records.clone().call(request).await,
            Service::Groups => self.groups.clone().call(request).await,
            Service::Health => self.health.clone().call(request).await,
            Service::Reflection => {
                *request.uri_mut() = Uri::from_static(REFLECTION);
                self.reflection.clone().call(request).await
            }
        };
        let mut response = match answered {
            Ok(response) => kept(response.map(Body::new)),
            Err(never) => match never {},
        };
        tell_encodings(&mut response);
        Ok(response)
    }

    /// A problem as an answer of its own.
    pub fn refusal(problem: &Problem, request_id: &str) -> Response {
        let status = to_status(problem, request_id);
        let mut response = status.into_http::<GrpcBody>().map(Body::new);
        tell_encodings(&mut response);
        response
    }

    /// The HTTP status that an answer would have over REST.
    pub fn status(response: &Response) -> u16 {
        http_status(response.headers())
    }
}

fn tell_encodings(response: &mut Response) {
    const ENCODINGS: HeaderValue = HeaderValue::from_static("identity,gzip,zstd");
    let headers = response.headers_mut();
    headers.insert("grpc-accept-encoding", ENCODINGS);
}

/// Messages are protobuf.
fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let essence = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let essence = essence.and_then(|value| value.split(|b| *b == b';').next());
    match essence.map(<[u8]>::trim_ascii_end) {
        Some(b"application/grpc" | b"application/grpc+proto") => Ok(()),
        _ => Err(Problem::new(
            Code::UnsupportedMediaType,
            "messages must be application/grpc+proto",
        )),
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    match headers.get("grpc-encoding").map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(Encoding::Identity),
        Some(b"gzip") => Ok(Encoding::Gzip),
        Some(b"zstd") => Ok(Encoding::Zstd),
        Some(_) => Err(Problem::new(
            Code::UnsupportedMediaType,
            "grpc-encoding must be gzip, zstd or identity",
        )),
    }
}
