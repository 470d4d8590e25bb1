//! Generated clients over one HTTP/2 connection, and the same connection for raw bytes.

use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt;

use super::pb::group_service_client::GroupServiceClient;
use super::pb::health::health_client::HealthClient;
use super::pb::record_service_client::RecordServiceClient;
use super::pb::reflection::server_reflection_client::ServerReflectionClient;
use super::pb::topic_service_client::TopicServiceClient;
use crate::client::Api;
use crate::harness::soon;

/// One connection, with the metadata that every call has.
#[derive(Clone)]
pub struct Grpc {
    send: http2::SendRequest<Body>,
    root: String,
    metadata: HeaderMap,
}

/// What raw bytes were answered.
pub struct Answer {
    pub status: Status,
    pub messages: Vec<Bytes>,
}

impl Grpc {
    /// A connection with the caller's credential, and nothing that names a project.
    pub async fn connect(api: &Api) -> Self {
        Self::connect_with(api, http2::Builder::new(TokioExecutor::new())).await
    }

    /// The same over a connection of this kind.
    pub async fn connect_with(api: &Api, builder: http2::Builder<TokioExecutor>) -> Self {
        let address = api.root.trim_start_matches("http://");
        let socket = TcpStream::connect(address).await.expect("a connection");
        Self::connect_over(api, builder, socket).await
    }

    /// The same over what is connected already.
    pub async fn connect_over<S>(
        api: &Api,
        builder: http2::Builder<TokioExecutor>,
        socket: S,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (send, connection) = builder
            .handshake(TokioIo::new(socket))
            .await
            .expect("a handshake");
        tokio::spawn(connection);
        let grpc = Self {
            send,
            root: api.root.clone(),
            metadata: HeaderMap::new(),
        };
        match api.key.as_str() {
            "" => grpc,
            key => grpc.with("authorization", &format!("Bearer {key}")),
        }
    }

    /// The same with more metadata.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut more = self.clone();
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        let value = HeaderValue::from_str(value).expect("a value");
        more.metadata.insert(name, value);
        more
    }

    fn origin(&self) -> Uri {
        self.root.parse().expect("a URI")
    }

    pub fn topics(&self) -> TopicServiceClient<Self> {
        TopicServiceClient::with_origin(self.clone(), self.origin())
    }

    pub fn records(&self) -> RecordServiceClient<Self> {
        RecordServiceClient::with_origin(self.clone(), self.origin())
            .max_decoding_message_size(64 << 20)
    }

    pub fn groups(&self) -> GroupServiceClient<Self> {
        GroupServiceClient::with_origin(self.clone(), self.origin())
    }

    pub fn health(&self) -> HealthClient<Self> {
        HealthClient::with_origin(self.clone(), self.origin())
    }

    pub fn reflection(&self) -> ServerReflectionClient<Self> {
        ServerReflectionClient::with_origin(self.clone(), self.origin())
    }

    /// Sends a body as it is, and reads the whole answer; of one that goes on only that it does.
    pub async fn raw(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        let request = Request::post(format!("{}{path}", self.root))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Body::new(Full::new(body.into())))
            .expect("a request");
        let mut grpc = self.clone();
        let response = tower::Service::call(&mut grpc, request);
        let response = soon("an answer", response).await.expect("an answer");
        assert_eq!(
            response.status(),
            200,
            "{path}: errors are told in trailers"
        );
        read_answer(path, response).await
    }
}

async fn read_answer(path: &str, response: Response<Incoming>) -> Answer {
    let (parts, mut body) = response.into_parts();
    let mut status = Status::from_header_map(&parts.headers);
    let mut bytes = BytesMut::new();
    let is_endless = path.ends_with("/Tail") || path.ends_with("/Watch");
    while status.is_none() && !is_endless {
        let frame = soon("the answer ends", body.frame()).await;
        let frame = frame.expect("trailers").expect("a whole answer");
        match frame.into_data() {
            Ok(data) => bytes.put(data),
            Err(trailers) => {
                let trailers = trailers.into_trailers().expect("trailers");
                status = Some(Status::from_header_map(&trailers).expect("a status"));
            }
        }
    }
    let mut messages = Vec::new();
    while bytes.has_remaining() {
        assert_eq!(bytes.get_u8(), 0);
        let length = bytes.get_u32() as usize;
        messages.push(bytes.split_to(length).freeze());
    }
    Answer {
        status: status.unwrap_or_else(|| Status::ok("")),
        messages,
    }
}

impl tower::Service<Request<Body>> for Grpc {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Self::Response, hyper::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.send.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.headers_mut().extend(self.metadata.clone());
        let mut send = self.send.clone();
        Box::pin(async move { send.send_request(request).await })
    }
}

/// A message with its head.
pub fn framed(message: &impl prost::Message) -> Vec<u8> {
    framed_bytes(0, &message.encode_to_vec())
}

/// Bytes with the head of a message.
pub fn framed_bytes(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![flag];
    bytes.put_u32(message.len() as u32);
    bytes.extend_from_slice(message);
    bytes
}

/// Asserts a status with everything that clients rely on.
#[track_caller]
pub fn refused(status: &Status, code: Code, reason: &str) {
    let info = error_info(status);
    let (got, told) = (status.code(), info["reason"].as_str());
    assert_eq!((got, told), (code, reason), "{status:?}");
    assert_eq!(info["outcome"], "not_applied", "{status:?}");
}

/// What `google.rpc.ErrorInfo` says; it says all of it always.
#[track_caller]
pub fn error_info(status: &Status) -> std::collections::HashMap<String, String> {
    let details = status.get_error_details();
    let info = details
        .error_info()
        .unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "headwater");
    let mut told = info.metadata.clone();
    assert!(
        ["true", "false"].contains(&told["retryable"].as_str()),
        "{status:?}"
    );
    assert!(
        ["not_applied", "unknown"].contains(&told["outcome"].as_str()),
        "{status:?}"
    );
    told.insert("reason".to_owned(), info.reason.clone());
    told
}
