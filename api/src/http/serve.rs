//! Connections: accepted up to a number, timed, and ended gracefully.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use super::{observe::Counted, router::App, service::Edge};
use crate::{
    limits::{CONNECTIONS_MAX, DRAIN_TIMEOUT, HEADER_TIMEOUT, UNREAD_TIMEOUT},
    quota::Connection,
};

/// Waits until a connection has said enough to tell HTTP/1 from HTTP/2.
async fn first_bytes(stream: &TcpStream) -> std::io::Result<()> {
    const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut seen = [0; HTTP2.len()];
    loop {
        let count = stream.peek(&mut seen).await?;
        let undecided = count > 0 && count < HTTP2.len() && HTTP2.starts_with(&seen[..count]);
        if !undecided {
            return Ok(());
        }
        // What was seen stays readable, so there is no event to wait for; this is a client that
        // sends the preface in pieces.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A listening server.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Binds the address.
    ///
    /// # Errors
    /// It is taken, or not of this machine.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
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
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20));
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let graceful = GracefulShutdown::new();
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
            let (edge, builder) = (edge.clone(), builder.clone());
            let mut draining = app.gateway.draining.clone();
            let connection = Arc::new(Connection::default());
            let service = service_fn(move |request| {
                let (edge, connection) = (edge.clone(), connection.clone());
                async move {
                    let answer = edge.handle(request, peer.ip(), connection).await;
                    Ok::<_, std::convert::Infallible>(answer)
                }
            });
            let watcher = graceful.watcher();
            let open = Counted::new(&app.metrics.connections);
            tokio::spawn(async move {
                // Finding the protocol waits for the first bytes, and hyper times only what follows.
                let spoke = tokio::select! {
                    spoke = tokio::time::timeout(HEADER_TIMEOUT, first_bytes(&stream)) => {
                        matches!(spoke, Ok(Ok(())))
                    }
                    _ = draining.wait_for(|draining| *draining) => false,
                };
                if spoke {
                    let connection = builder.serve_connection(TokioIo::new(stream), service);
                    if let Err(error) = watcher.watch(connection.into_owned()).await {
                        tracing::debug!(%error, "a connection ended early");
                    }
                }
                drop((permit, open));
            });
        }
        drop(self.listener);
        if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("some requests did not finish in time and are cut off");
        }
    }
}
