//! What a connection begins as, told by its first bytes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use headwater_broker::rpc;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
};

const HTTP2: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection begins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// A client, or an operator's tool.
    Http,
    /// Another node of the cluster.
    Node,
}

impl Begins {
    /// What these bytes say, if they are enough to tell HTTP/1, HTTP/2 and other nodes apart.
    fn with(seen: &[u8]) -> Option<Self> {
        if seen.starts_with(rpc::MAGIC) {
            return Some(Self::Node);
        }
        let may_become =
            |all: &[u8]| !seen.is_empty() && seen.len() < all.len() && all.starts_with(seen);
        let is_open = may_become(HTTP2) || may_become(rpc::MAGIC);
        (!is_open).then_some(Self::Http)
    }
}

/// Waits until a socket has said enough; what was said stays unread.
///
/// # Errors
/// The connection broke.
pub async fn first_bytes(stream: &TcpStream) -> io::Result<Begins> {
    let mut seen = [0; HTTP2.len()];
    loop {
        let count = stream.peek(&mut seen).await?;
        if let Some(begins) = Begins::with(&seen[..count]) {
            return Ok(begins);
        }
        // What was seen stays readable, so there is no event to wait for; this is a client that
        // sends the preface in pieces.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The same of a stream that cannot be peeked into: what was read is read once more.
///
/// # Errors
/// The connection broke.
pub async fn first_bytes_read<S>(mut stream: S) -> io::Result<(Begins, Replayed<S>)>
where
    S: AsyncRead + Unpin,
{
    let (mut seen, mut count) = ([0; HTTP2.len()], 0);
    let begins = loop {
        let more = stream.read(&mut seen[count..]).await?;
        count += more;
        match Begins::with(&seen[..count]) {
            Some(begins) => break begins,
            None if more == 0 => break Begins::Http,
            None => {}
        }
    };
    let replayed = Replayed {
        seen,
        unread: 0..count,
        stream,
    };
    Ok((begins, replayed))
}

/// A stream whose first bytes are read a second time.
pub struct Replayed<S> {
    seen: [u8; HTTP2.len()],
    unread: std::ops::Range<usize>,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Replayed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, into);
        }
        let count = self.unread.len().min(into.remaining());
        let start = self.unread.start;
        into.put_slice(&self.seen[start..start + count]);
        self.unread.start += count;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Replayed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpListener, time::timeout};

    use super::*;

    const BEGINNINGS: [(&[u8], Begins); 6] = [
        (b"GET / HTTP/1.1\r\n", Begins::Http),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Begins::Http),
        (b"HEAD / HTTP/1.1\r\n", Begins::Http),
        (b"HWINTER1", Begins::Node),
        (b"HWINTER1 and more than eight bytes", Begins::Node),
        (b"HWIN", Begins::Http),
    ];

    #[tokio::test]
    async fn the_first_bytes_tell_who_it_is() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // The last one ends too early, and would be waited for until the time is over.
        for (bytes, expected) in &BEGINNINGS[..5] {
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
            let told = timeout(Duration::from_secs(5), first_bytes(&server));
            let (_client, told) = tokio::join!(saying, told);
            assert_eq!(told.unwrap().unwrap(), *expected, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn what_was_read_first_is_read_again() {
        for (bytes, expected) in BEGINNINGS {
            // A pipe of three bytes gives them in pieces.
            let (mut client, server) = tokio::io::duplex(3);
            let saying = async move {
                client.write_all(bytes).await.unwrap();
                client.shutdown().await.unwrap();
            };
            let reading = async {
                let (begins, mut replayed) = first_bytes_read(server).await.unwrap();
                let mut all = Vec::new();
                replayed.read_to_end(&mut all).await.unwrap();
                (begins, all)
            };
            let ((), (begins, all)) = tokio::join!(saying, reading);
            assert_eq!((begins, all.as_slice()), (expected, bytes));
        }
    }
}
