//! Connections: accepted up to a number, timed, and ended gracefully.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use headwater_broker::rpc;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

use super::{observe::Counted, router::App, service::Edge};
use crate::{
    limits::{CONNECTIONS_MAX, DRAIN_TIMEOUT, HEADER_TIMEOUT, UNREAD_TIMEOUT},
    quota::Connection,
};

/// What a connection begins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    /// A client, or an operator's tool.
    Http,
    /// Another node of the cluster.
    Node,
}

/// Waits until a connection has said enough to tell HTTP/1, HTTP/2 and other nodes apart.
async fn first_bytes(stream: &TcpStream) -> std::io::Result<Begins> {
    const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut seen = [0; HTTP2.len()];
    loop {
        let count = stream.peek(&mut seen).await?;
        let seen = &seen[..count];
        if seen.starts_with(rpc::MAGIC) {
            return Ok(Begins::Node);
        }
        let begins = |with: &[u8]| count > 0 && count < with.len() && with.starts_with(seen);
        if !begins(HTTP2) && !begins(rpc::MAGIC) {
            return Ok(Begins::Http);
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
    nodes: Option<Arc<rpc::Service>>,
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
        })
    }

    /// Serves the other nodes of the cluster on the same port.
    pub fn with_nodes(mut self, nodes: Arc<rpc::Service>) -> Self {
        self.nodes = Some(nodes);
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
            let (edge, builder) = (edge.clone(), builder.clone());
            let (mut stopping, nodes) = (stopping.clone(), self.nodes.clone());
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
                let begins = tokio::select! {
                    begins = tokio::time::timeout(HEADER_TIMEOUT, first_bytes(&stream)) => {
                        begins.ok().and_then(Result::ok)
                    }
                    _ = stopping.wait_for(|stopping| *stopping) => None,
                };
                match (begins, nodes) {
                    (None, _) => {}
                    (Some(Begins::Node), Some(nodes)) => {
                        let stop = async move {
                            // Its sender is gone when everything is over: that is a stop, too.
                            let _ = stopping.wait_for(|stopping| *stopping).await;
                        };
                        rpc::serve_connection(stream, peer, nodes, stop).await;
                    }
                    (Some(_), _) => {
                        let connection = builder.serve_connection(TokioIo::new(stream), service);
                        if let Err(error) = watcher.watch(connection.into_owned()).await {
                            tracing::debug!(%error, "a connection ended early");
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn the_first_bytes_tell_who_it_is() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let begins: [(&[u8], Begins); 5] = [
            (b"GET / HTTP/1.1\r\n", Begins::Http),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Begins::Http),
            (b"HEAD / HTTP/1.1\r\n", Begins::Http),
            (b"HWINTER1", Begins::Node),
            (b"HWINTER1 and more than eight bytes", Begins::Node),
        ];
        for (bytes, expected) in begins {
            let mut client = TcpStream::connect(address).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            let saying = async move {
                for piece in bytes.chunks(3) {
                    client.write_all(piece).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                client.shutdown().await.unwrap();
                client
            };
            let told = tokio::time::timeout(Duration::from_secs(5), first_bytes(&server));
            let (_client, told) = tokio::join!(saying, told);
            assert_eq!(told.unwrap().unwrap(), expected, "{bytes:?}");
        }
    }
}
