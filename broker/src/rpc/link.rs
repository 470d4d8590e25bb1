//! A connection to another broker that is opened when it is needed, and again after it broke.

use std::{sync::Arc, time::Duration};

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::{net::TcpStream, time::Instant};

use super::{
    CONNECTION_WINDOW, FRAME_BYTES, PING_INTERVAL, PING_TIMEOUT, STREAM_WINDOW,
    auth::{self, Secret},
    encryption::{Access, Encryption, Socket},
    seldom::Seldom,
    wire::Wire,
};
use crate::{placement::BrokerId, session::Unreachable};

/// How long a connection may take, its name's lookup included and the handshake not.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A connection that lived for less counts as one more failure: whoever accepts and closes is not
/// asked again at once.
const LIVED: Duration = Duration::from_secs(1);

/// One connection to one address.
pub(super) struct Link {
    broker: BrokerId,
    address: String,
    /// What it carries, for logs.
    carries: &'static str,
    access: Access,
    open: Mutex<Option<Wire>>,
    /// One attempt at a time; others wait for how it ends.
    attempts: tokio::sync::Mutex<Attempts>,
    logged: Seldom<()>,
}

#[derive(Default)]
struct Attempts {
    failures: u32,
    /// No attempt before this.
    not_before: Option<Instant>,
    /// When the last one succeeded.
    opened: Option<Instant>,
    /// Why the last one failed.
    why: String,
}

/// What to do while the next attempt is not due.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Early {
    /// Fail at once: the caller has somebody waiting.
    Fail,
    /// Wait until it is, about a second at most.
    Wait,
}

impl Link {
    pub(super) fn new(
        broker: BrokerId,
        address: String,
        carries: &'static str,
        access: Access,
    ) -> Self {
        Self {
            broker,
            address,
            carries,
            access,
            open: Mutex::default(),
            attempts: tokio::sync::Mutex::default(),
            logged: Seldom::default(),
        }
    }

    /// The open connection, or a new one.
    pub(super) async fn wire(&self, early: Early) -> Result<Wire, Unreachable> {
        if let Some(wire) = self.current() {
            return Ok(wire);
        }
        let mut attempts = self.attempts.lock().await;
        if let Some(wire) = self.current() {
            return Ok(wire);
        }
        attempts.note_broken();
        if let Some(due) = attempts.not_before
            && due > Instant::now()
        {
            match early {
                Early::Fail => return Err(self.unreachable(&attempts.why)),
                Early::Wait => tokio::time::sleep_until(due).await,
            }
        }
        match self.connect().await {
            Ok(wire) => {
                *self.open.lock() = Some(wire.clone());
                attempts.opened = Some(Instant::now());
                tracing::info!(
                    broker = self.broker,
                    address = %self.address,
                    carries = self.carries,
                    "connected to another broker"
                );
                Ok(wire)
            }
            Err(why) => {
                if self.logged.now(()) {
                    tracing::warn!(
                        broker = self.broker,
                        address = %self.address,
                        carries = self.carries,
                        %why,
                        "another broker cannot be reached; this is logged at most once a minute"
                    );
                }
                attempts.note_failed(why);
                Err(self.unreachable(&attempts.why))
            }
        }
    }

    fn current(&self) -> Option<Wire> {
        let mut open = self.open.lock();
        if open.as_ref().is_some_and(Wire::is_closed) {
            *open = None;
        }
        open.clone()
    }

    fn unreachable(&self, why: &str) -> Unreachable {
        Unreachable(format!(
            "broker {} at {} cannot be reached: {why}",
            self.broker, self.address
        ))
    }

    async fn connect(&self) -> Result<Wire, String> {
        let Some(secret) = &self.access.secret else {
            return Err("this node has no cluster secret: set cluster_secret_file".into());
        };
        let connecting = TcpStream::connect(&self.address);
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| "no connection in time".to_owned())?
            .map_err(|error| error.to_string())?;
        // A call is written whole: waiting to fill a packet only delays it.
        stream
            .set_nodelay(true)
            .map_err(|error| error.to_string())?;
        let Some(encryption) = &self.access.encryption else {
            return self.talk(stream, secret).await;
        };
        let encrypting = encryption.encrypt(stream, host(&self.address));
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, encrypting)
            .await
            .map_err(|_| "no TLS handshake in time".to_owned())?
            .map_err(|error| format!("TLS: {error}"))?;
        // A certificate that the other end refuses is only heard of when something is read.
        let talking = self.talk(stream, secret).await;
        talking.map_err(|why| format!("{why}; its log says if it refuses this node's certificate"))
    }

    /// Proves who this is, and opens the protocol.
    async fn talk<S>(&self, mut stream: S, secret: &Secret) -> Result<Wire, String>
    where
        S: Socket + 'static,
    {
        auth::prove(&mut stream, secret)
            .await
            .map_err(|error| error.to_string())?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME_BYTES)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            // Readers that go away reset their fetches, many at once: that is no attack here.
            .max_local_error_reset_streams(None)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let (broker, carries) = (self.broker, self.carries);
        tokio::spawn(async move {
            match connection.await {
                Ok(()) => tracing::info!(broker, carries, "a connection to another broker ended"),
                Err(error) => {
                    tracing::warn!(broker, carries, %error, "a connection to another broker broke");
                }
            }
        });
        Ok(Wire::new(sender))
    }
}

/// Opens a connection to a node as another node does, and closes it: whether it can be reached, and lets
/// in who has this secret.
///
/// # Errors
/// Why not, in one line.
pub async fn greet(
    address: &str,
    secret: &Secret,
    encryption: Option<Arc<dyn Encryption>>,
) -> Result<(), String> {
    let access = Access {
        secret: Some(secret.clone()),
        encryption,
    };
    let link = Link::new(0, address.to_owned(), "a greeting", access);
    link.connect().await.map(drop)
}

/// The host of `host:port`.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

impl Attempts {
    /// Looks how long the connection lived that broke now.
    fn note_broken(&mut self) {
        let Some(opened) = self.opened.take() else {
            return;
        };
        if opened.elapsed() < LIVED {
            self.note_failed("the connection broke at once".into());
        } else {
            self.failures = 0;
            self.not_before = None;
        }
    }

    fn note_failed(&mut self, why: String) {
        let factor = 1 << self.failures.min(5);
        let longest = (BACKOFF_MIN * factor).min(BACKOFF_MAX);
        // Half of it to all of it, so that many nodes do not come back in step.
        let random = getrandom::u32().unwrap_or(u32::MAX);
        let wait = longest.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX));
        self.failures += 1;
        self.not_before = Some(Instant::now() + wait);
        self.why = why;
    }
}
