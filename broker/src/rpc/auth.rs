//! The handshake at the start of each connection: both ends prove that they know the cluster's secret.
//!
//! ```text
//! client: "HWINTER1", 32 random bytes
//! server: 32 random bytes, HMAC(secret, "server" client's server's)
//! client: HMAC(secret, "client" server's client's)
//! ```
//!
//! The secret does not travel, and what was overheard opens no second connection. Labels and order
//! differ, so that no end can be made to compute the other's proof.

use std::{fmt, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

/// What a connection between nodes begins with; nothing of HTTP begins so.
pub const MAGIC: &[u8; 8] = b"HWINTER1";
/// How long the handshake may take: a stranger holds a connection for no longer.
const TIMEOUT: Duration = Duration::from_secs(5);
const NONCE: usize = 32;
const PROOF: usize = 32;

/// What the nodes of a cluster know and nobody else does.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// The secret is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretError;

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a cluster secret has at least {} bytes",
            Secret::BYTES_MIN
        )
    }
}

impl std::error::Error for SecretError {}

impl Secret {
    /// Shorter ones could be guessed from one overheard handshake.
    pub const BYTES_MIN: usize = 16;

    /// Takes the bytes; whitespace around them is no part of the secret.
    ///
    /// # Errors
    /// They are fewer than [`Secret::BYTES_MIN`].
    pub fn new(bytes: &[u8]) -> Result<Self, SecretError> {
        let bytes = bytes.trim_ascii();
        if bytes.len() < Self::BYTES_MIN {
            return Err(SecretError);
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    fn hmac(&self, label: &[u8], first: &[u8], second: &[u8]) -> Hmac<Sha256> {
        let mut hmac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        hmac.update(label);
        hmac.update(first);
        hmac.update(second);
        hmac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Why a handshake failed.
#[derive(Debug)]
pub(super) enum AuthError {
    /// The other end knows another secret, or none.
    OtherSecret,
    /// It does not speak this protocol.
    Stranger,
    /// It did not answer in time.
    TimedOut,
    /// The connection broke.
    Broken(std::io::Error),
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherSecret => f.write_str(
                "the two nodes do not have the same cluster secret: set cluster_secret_file to the \
                 same contents on all nodes of the cluster, and restart those that had another",
            ),
            Self::Stranger => f.write_str("no node of a cluster is there"),
            Self::TimedOut => f.write_str("the handshake was not answered in time"),
            Self::Broken(error) => write!(f, "the connection broke in the handshake: {error}"),
        }
    }
}

impl From<std::io::Error> for AuthError {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error)
    }
}

/// The client's part.
pub(super) async fn prove<S>(stream: &mut S, secret: &Secret) -> Result<(), AuthError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    bounded(async {
        let own = nonce()?;
        let mut hello = [0; MAGIC.len() + NONCE];
        hello[..MAGIC.len()].copy_from_slice(MAGIC);
        hello[MAGIC.len()..].copy_from_slice(&own);
        stream.write_all(&hello).await?;
        stream.flush().await?;
        let (mut theirs, mut proof) = ([0; NONCE], [0; PROOF]);
        // Whoever has no secret, or speaks something else, closes here.
        read(stream, &mut theirs, AuthError::OtherSecret).await?;
        read(stream, &mut proof, AuthError::Stranger).await?;
        let expected = secret.hmac(b"server", &own, &theirs);
        // In constant time.
        expected
            .verify_slice(&proof)
            .map_err(|_| AuthError::OtherSecret)?;
        let answer = secret.hmac(b"client", &theirs, &own).finalize();
        stream.write_all(&answer.into_bytes()).await?;
        stream.flush().await?;
        Ok(())
    })
    .await
}

/// The server's part, from the magic on.
pub(super) async fn demand<S>(stream: &mut S, secret: &Secret) -> Result<(), AuthError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    bounded(async {
        let mut hello = [0; MAGIC.len() + NONCE];
        read(stream, &mut hello, AuthError::Stranger).await?;
        let (magic, theirs) = hello.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(AuthError::Stranger);
        }
        let own = nonce()?;
        let proof = secret.hmac(b"server", theirs, &own).finalize();
        let mut answer = [0; NONCE + PROOF];
        answer[..NONCE].copy_from_slice(&own);
        answer[NONCE..].copy_from_slice(&proof.into_bytes());
        stream.write_all(&answer).await?;
        stream.flush().await?;
        let mut proof = [0; PROOF];
        // A client that finds the proof wrong closes.
        read(stream, &mut proof, AuthError::OtherSecret).await?;
        let expected = secret.hmac(b"client", &own, theirs);
        expected
            .verify_slice(&proof)
            .map_err(|_| AuthError::OtherSecret)
    })
    .await
}

async fn bounded(handshake: impl Future<Output = Result<(), AuthError>>) -> Result<(), AuthError> {
    let done = tokio::time::timeout(TIMEOUT, handshake).await;
    done.unwrap_or(Err(AuthError::TimedOut))
}

fn nonce() -> Result<[u8; NONCE], AuthError> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce)
        .map_err(|error| AuthError::Broken(std::io::Error::other(error.to_string())))?;
    Ok(nonce)
}

/// Reads all of `into`; an end before it is `closed`.
async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    into: &mut [u8],
    closed: AuthError,
) -> Result<(), AuthError> {
    use std::io::ErrorKind::{ConnectionReset, UnexpectedEof};
    match stream.read_exact(into).await {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), UnexpectedEof | ConnectionReset) => Err(closed),
        Err(error) => Err(error.into()),
    }
}
