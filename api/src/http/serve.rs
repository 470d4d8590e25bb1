//! Connections: accepted up to a number, timed, and ended gracefully.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use headwater_broker::rpc;
use http::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_rustls::server::TlsStream;

use super::{
    first_bytes::{Begins, Replayed, first_bytes, first_bytes_read},
    observe::Counted,
    router::App,
    service::Edge,
};
use crate::{
    limits::{CONNECTIONS_MAX, DRAIN_TIMEOUT, HEADER_TIMEOUT, UNREAD_TIMEOUT},
    quota::Connection,
    tls::Tls,
};

/// How the client came, for who decides by it: a proxy in front says it the same way.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A listening server.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    nodes: Option<Arc<rpc::Service>>,
    tls: Option<Arc<Tls>>,
}

impl Server {
    /// Binds the address.
    ///
    /// # Errors
    /// It is taken, or not of this machine.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            nodes: None,
            tls: None,
        })
    }

    /// Serves the other nodes of the cluster on the same port.
    pub fn with_nodes(mut self, nodes: Arc<rpc::Service>) -> Self {
        self.nodes = Some(nodes);
        self
    }

    /// Speaks TLS, and nothing else.
    pub fn with_tls(mut self, tls: Option<Arc<Tls>>) -> Self {
        self.tls = tls;
        self
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router` until `stop` resolves, then lets what is in flight finish, within bounds.
    pub async fn run(self, app: App, router: axum::Router, stop: impl Future<Output = ()>) {
        let edge = Arc::new(Edge::new(app.clone(), router));
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // Without a timer hyper's time limits never fire.
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(256)
            .initial_connection_window_size(8 << 20)
            .initial_stream_window_size(1 << 20)
            // A batch comes in one piece, which wakes its reader once.
            .max_frame_size(256 << 10)
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20));
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let graceful = GracefulShutdown::new();
        let (stopped, stopping) = watch::channel(false);
        tokio::pin!(stop);
        loop {
            // Beyond the number of connections the kernel's queue holds clients back.
            let permit = tokio::select! {
                permit = connections.clone().acquire_owned() => permit,
                () = &mut stop => break,
            };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut stop => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file handles, as a rule: others will close.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            // An answer is written whole: waiting to fill a packet only delays it.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY cannot be set");
            }
            // A client that stops reading would keep its answer in memory for ever.
            let socket = socket2::SockRef::from(&stream);
            if let Err(error) = socket.set_tcp_user_timeout(Some(UNREAD_TIMEOUT)) {
                tracing::debug!(%error, "TCP_USER_TIMEOUT cannot be set");
            }
            let open = Counted::new(&app.metrics.connections);
            let visit = Visit {
                peer,
                edge: edge.clone(),
                nodes: self.nodes.clone(),
                builder: builder.clone(),
                watcher: graceful.watcher(),
                stopping: stopping.clone(),
            };
            let (mut stopping, tls) = (stopping.clone(), self.tls.clone());
            tokio::spawn(async move {
                let stop = stopping.wait_for(|stopping| *stopping);
                match tls {
                    None => {
                        // Finding the protocol waits for the first bytes, and hyper times only what
                        // follows.
                        let begins = tokio::select! {
                            begins = timeout(HEADER_TIMEOUT, first_bytes(&stream)) => begins,
                            _ = stop => Ok(Err(std::io::ErrorKind::Interrupted.into())),
                        };
                        if let Ok(Ok(begins)) = begins {
                            visit.serve(begins, stream, false).await;
                        }
                    }
                    Some(tls) => {
                        let begun = tokio::select! {
                            begun = visit.begin(&tls, stream) => begun,
                            _ = stop => None,
                        };
                        if let Some((begins, stream)) = begun {
                            visit.serve(begins, stream, true).await;
                        }
                    }
                }
                drop((permit, open));
            });
        }
        drop(self.listener);
        stopped.send_replace(true);
        let ended = async {
            graceful.shutdown().await;
            // Those of other nodes hold their places, too.
            let _all = connections.acquire_many(CONNECTIONS_MAX as u32).await;
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, ended).await.is_err() {
            tracing::warn!("some requests did not finish in time and are cut off");
        }
    }
}

/// One connection, and all that serving it needs.
struct Visit {
    peer: SocketAddr,
    edge: Arc<Edge>,
    nodes: Option<Arc<rpc::Service>>,
    builder: auto::Builder<TokioExecutor>,
    watcher: Watcher,
    stopping: watch::Receiver<bool>,
}

type Begun = (Begins, Replayed<TlsStream<TcpStream>>);

impl Visit {
    /// The TLS handshake, and what is said first after it. Nothing if it is not to be served.
    async fn begin(&self, tls: &Tls, stream: TcpStream) -> Option<Begun> {
        let stream = match tls.accept(stream).await {
            Ok(stream) => stream,
            Err(error) => {
                self.refuse(&format!("TLS: {error}"));
                return None;
            }
        };
        let is_certified = stream.get_ref().1.peer_certificates().is_some();
        let begun = timeout(HEADER_TIMEOUT, first_bytes_read(stream)).await;
        let (begins, stream) = begun.ok()?.ok()?;
        if begins == Begins::Node && !is_certified {
            self.refuse("it shows no certificate: set tls_internal_cert on all nodes");
            return None;
        }
        Some((begins, stream))
    }

    fn refuse(&self, why: &str) {
        match &self.nodes {
            Some(nodes) => nodes.complain(self.peer, why),
            None => tracing::debug!(peer = %self.peer, why, "a connection is refused"),
        }
    }

    /// Serves the connection until it ends.
    async fn serve<S>(self, begins: Begins, stream: S, is_tls: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (peer, edge, mut stopping) = (self.peer, self.edge, self.stopping);
        if let (Begins::Node, Some(nodes)) = (begins, self.nodes) {
            let stop = async move {
                // Its sender is gone when everything is over: that is a stop, too.
                let _ = stopping.wait_for(|stopping| *stopping).await;
            };
            return rpc::serve_connection(stream, peer, nodes, stop).await;
        }
        let connection = Arc::new(Connection::default());
        let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
            let (edge, connection) = (edge.clone(), connection.clone());
            if is_tls {
                let https = HeaderValue::from_static("https");
                request.headers_mut().insert(FORWARDED_PROTO, https);
            }
            async move {
                let answer = edge.handle(request, peer.ip(), connection).await;
                Ok::<_, std::convert::Infallible>(answer)
            }
        });
        let served = self.builder.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = self.watcher.watch(served.into_owned()).await {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}
