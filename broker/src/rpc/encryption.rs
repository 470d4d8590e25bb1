//! What connections to other nodes go through, if what is said on them is to be for them alone.

use std::{io, pin::Pin, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::Secret;

/// Makes a connection to another node private, and finds out that it leads to that node.
pub trait Encryption: Send + Sync {
    /// The same connection, encrypted, once `host` has shown at its end that it is that host.
    fn encrypt<'a>(&'a self, stream: TcpStream, host: &'a str) -> Encrypting<'a>;
}

/// A connection that is being encrypted.
pub type Encrypting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Socket>>> + Send + 'a>>;

/// What bytes go through in both directions.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// What this node is let in by at others.
#[derive(Clone)]
pub(super) struct Access {
    /// Without it nobody lets it in.
    pub(super) secret: Option<Secret>,
    /// Without it what is said can be overheard.
    pub(super) encryption: Option<Arc<dyn Encryption>>,
}
