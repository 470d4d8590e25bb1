//! TLS of a listener: its certificate comes from files, and is taken anew when they change.
//!
//! The files are compared by what is in them, at intervals and at SIGHUP, so that it does not matter how
//! they are replaced. New connections get the new certificate, open ones go on with theirs. Files that
//! cannot be used change nothing: a log line and a metric say so until they can.

mod files;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use headwater_broker::rpc;
use parking_lot::RwLock;
use rustls_pki_types::ServerName;
use tokio::{net::TcpStream, signal::unix::Signal, sync::Semaphore, time::timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector, server::TlsStream};

pub use files::{Loaded, TlsFiles};

use crate::limits::{CERTIFICATE_POLL, TLS_HANDSHAKE_TIMEOUT, TLS_HANDSHAKES_MAX};

/// The TLS of one listener.
pub struct Tls {
    listener: &'static str,
    files: TlsFiles,
    loaded: RwLock<Arc<Loaded>>,
    /// Whether the files are other ones than those in use, and cannot be used.
    is_stale: AtomicBool,
    handshakes: Semaphore,
}

impl Tls {
    /// Reads the files of the listener of that name.
    ///
    /// # Errors
    /// One line that says which file is wrong, and how.
    pub fn open(listener: &'static str, files: TlsFiles) -> Result<Arc<Self>, String> {
        let loaded = files.load()?;
        Ok(Arc::new(Self {
            listener,
            files,
            loaded: RwLock::new(Arc::new(loaded)),
            is_stale: AtomicBool::new(false),
            handshakes: Semaphore::new(TLS_HANDSHAKES_MAX),
        }))
    }

    /// Which listener it is.
    pub fn listener(&self) -> &'static str {
        self.listener
    }

    /// What is in use now.
    pub fn loaded(&self) -> Arc<Loaded> {
        self.loaded.read().clone()
    }

    /// Whether the files were changed into something that cannot be used.
    pub fn is_stale(&self) -> bool {
        self.is_stale.load(Ordering::Relaxed)
    }

    /// Does the handshake with a client, within bounds of time and number.
    ///
    /// # Errors
    /// The client wants something else, took too long, or showed a certificate that is not good.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let handshake = async {
            let _turn = self.handshakes.acquire().await.map_err(io::Error::other)?;
            let config = self.loaded().server.clone();
            TlsAcceptor::from(config).accept(stream).await
        };
        let done = timeout(TLS_HANDSHAKE_TIMEOUT, handshake).await;
        done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Looks at the files for as long as it is polled.
    pub async fn follow(self: Arc<Self>, mut hangup: Signal) {
        // Not the same failure again and again.
        let mut last_failure = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep(CERTIFICATE_POLL) => {}
                _ = hangup.recv() => {}
            }
            let this = self.clone();
            let looked = tokio::task::spawn_blocking(move || this.files.load()).await;
            let failure = match looked.unwrap_or_else(|error| Err(error.to_string())) {
                Ok(loaded) => {
                    self.take(loaded);
                    None
                }
                Err(why) => Some(why),
            };
            self.is_stale.store(failure.is_some(), Ordering::Relaxed);
            if let Some(why) = failure.as_ref().filter(|_| failure != last_failure) {
                tracing::error!(
                    listener = self.listener,
                    why,
                    "the new certificate cannot be used; the one before it stays in use"
                );
            }
            last_failure = failure;
        }
    }

    fn take(&self, loaded: Loaded) {
        if loaded.digest == self.loaded().digest {
            return;
        }
        tracing::info!(
            listener = self.listener,
            not_after_s = loaded.not_after_s,
            "a new certificate is in use"
        );
        *self.loaded.write() = Arc::new(loaded);
    }
}

impl rpc::Encryption for Tls {
    fn encrypt<'a>(&'a self, stream: TcpStream, host: &'a str) -> rpc::Encrypting<'a> {
        Box::pin(async move {
            let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
            let config = self.loaded().client.clone();
            let config = config.ok_or_else(|| io::Error::other("no authority is configured"))?;
            let stream = TlsConnector::from(config).connect(name, stream).await?;
            Ok(Box::new(stream) as Box<dyn rpc::Socket>)
        })
    }
}
