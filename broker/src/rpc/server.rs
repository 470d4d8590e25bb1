//! Serving connections of other nodes.

use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tonic::codegen::Service as _;

use super::{
    CONNECTION_WINDOW, FRAME_BYTES, Identity, MESSAGE_BYTES_MAX, PING_INTERVAL, PING_TIMEOUT,
    STREAM_WINDOW, Secret,
    auth::{self, AuthError},
    handlers::Handlers,
    proto::broker_server::BrokerServer,
    seldom::Seldom,
};
use crate::{broker::Broker, session::SessionHost};

/// Calls under way on one connection: a gateway has a long poll here for each of its readers.
const STREAMS_MAX: u32 = 32_768;
/// How long a stop waits for calls under way.
const GRACE: Duration = Duration::from_secs(5);

/// What other nodes reach on this one.
pub struct Service {
    pub(super) broker: Arc<dyn Broker>,
    pub(super) sessions: Arc<dyn SessionHost>,
    pub(super) identity: Arc<OnceLock<Identity>>,
    secret: Option<Secret>,
    pub(super) complaints: Seldom<IpAddr>,
}

impl Service {
    /// A service that answers once `identity` is set. Without a secret it lets nobody in.
    pub fn new(
        broker: Arc<dyn Broker>,
        sessions: Arc<dyn SessionHost>,
        identity: Arc<OnceLock<Identity>>,
        secret: Option<Secret>,
    ) -> Self {
        Self {
            broker,
            sessions,
            identity,
            secret,
            complaints: Seldom::default(),
        }
    }

    /// Says in the log, now and then, why a connection is not served.
    pub fn complain(&self, peer: SocketAddr, why: &str) {
        if self.complaints.now(peer.ip()) {
            tracing::warn!(
                %peer,
                why,
                "a connection of another node is refused; this is logged at most once a minute"
            );
        }
    }
}

/// Serves one connection, whose first bytes are [`MAGIC`](super::MAGIC) and still unread, until it
/// ends. When `stop` resolves its sessions end, and calls under way have a few seconds.
pub async fn serve_connection<S>(
    mut stream: S,
    peer: SocketAddr,
    service: Arc<Service>,
    stop: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some(secret) = &service.secret else {
        service.complain(
            peer,
            "this node has no cluster secret: set cluster_secret_file to the same contents on all \
             nodes of the cluster, or let only health checks reach the internal port",
        );
        return;
    };
    match auth::demand(&mut stream, secret).await {
        Ok(()) => {}
        Err(error @ AuthError::Broken(_)) => {
            tracing::debug!(%peer, %error, "a connection of another node ended early");
            return;
        }
        Err(error) => return service.complain(peer, &error.to_string()),
    }
    let ending = CancellationToken::new();
    // The connection's sessions end with it.
    let _ended = ending.clone().drop_guard();
    let handlers = BrokerServer::new(Handlers {
        service,
        peer,
        stop: ending.clone(),
    })
    .max_decoding_message_size(MESSAGE_BYTES_MAX)
    .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let answer = service_fn(move |request| handlers.clone().call(request));
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        // Readers that go away reset their fetches, many at once: whoever knows the secret may.
        .max_local_error_reset_streams(None)
        .max_pending_accept_reset_streams(STREAMS_MAX as usize);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), answer));
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        () = stop => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            ending.cancel();
            connection.as_mut().graceful_shutdown();
            let ended = tokio::time::timeout(GRACE, connection).await;
            ended.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection of another node broke");
    }
}
