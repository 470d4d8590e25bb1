//! HTTP/1.1 with the least work: one request at a time on a raw connection.

use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const READ_BYTES: usize = 64 * 1024;

/// A kept-alive connection. After an error it is of no more use.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// What was read of the present answer, from its status line on.
    buffer: Vec<u8>,
    body: Range<usize>,
    chunks: Option<Chunks>,
    /// The present answer's body if it came in chunks.
    joined: Vec<u8>,
}

impl Connection {
    /// Connects to `host:port`.
    pub async fn open(address: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            buffer: Vec::with_capacity(READ_BYTES),
            body: 0..0,
            chunks: None,
            joined: Vec::new(),
        })
    }

    /// Sends a request and reads its whole answer; gives the status.
    pub async fn call(&mut self, head: &[u8], body: &[u8]) -> io::Result<u16> {
        let answer = self.start(head, body).await?;
        match answer.length {
            Length::Known(length) => {
                let end = answer.head_bytes + length;
                while self.buffer.len() < end {
                    self.buffer.reserve(end - self.buffer.len());
                    self.fill().await?;
                }
                self.body = answer.head_bytes..end;
            }
            Length::Chunked => while !self.next_piece().await? {},
        }
        Ok(answer.status)
    }

    /// The body of the last answer.
    pub fn body(&self) -> &[u8] {
        match self.chunks {
            Some(_) => &self.joined,
            None => &self.buffer[self.body.clone()],
        }
    }

    /// Sends a request and reads the answer's head, whose body is then read by `next_piece`.
    pub async fn start(&mut self, head: &[u8], body: &[u8]) -> io::Result<Head> {
        self.send(head, body).await?;
        self.buffer.clear();
        self.joined.clear();
        self.chunks = None;
        loop {
            self.buffer.reserve(READ_BYTES);
            self.fill().await?;
            if let Some(answer) = Head::parse(&self.buffer)? {
                if answer.length == Length::Chunked {
                    let mut chunks = Chunks::default();
                    chunks.push(&self.buffer[answer.head_bytes..], &mut self.joined)?;
                    self.chunks = Some(chunks);
                }
                return Ok(answer);
            }
        }
    }

    /// Reads more of a body in chunks; true at its end.
    pub async fn next_piece(&mut self) -> io::Result<bool> {
        let Some(mut chunks) = self.chunks.take() else {
            return Ok(true);
        };
        if !chunks.ended() {
            self.buffer.clear();
            self.buffer.reserve(READ_BYTES);
            self.fill().await?;
            chunks.push(&self.buffer, &mut self.joined)?;
        }
        let ended = chunks.ended();
        self.chunks = Some(chunks);
        Ok(ended)
    }

    /// The pieces of the body read so far, which the caller empties as it likes.
    pub fn pieces(&mut self) -> &mut Vec<u8> {
        &mut self.joined
    }

    async fn send(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        if body.is_empty() {
            return self.stream.write_all(head).await;
        }
        let mut sent = 0;
        while sent < head.len() {
            let parts = [IoSlice::new(&head[sent..]), IoSlice::new(body)];
            let written = self.stream.write_vectored(&parts).await?;
            if written == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            sent += written;
        }
        self.stream.write_all(&body[sent - head.len()..]).await
    }

    async fn fill(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// The beginning of an answer.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Head {
    /// The HTTP status.
    pub status: u16,
    head_bytes: usize,
    length: Length,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Length {
    Known(usize),
    Chunked,
}

impl Head {
    /// Reads status and length once the whole head is there.
    fn parse(buffer: &[u8]) -> io::Result<Option<Head>> {
        let bad = || io::Error::new(ErrorKind::InvalidData, "not an HTTP/1.1 answer");
        let Some(end) = find(buffer, b"\r\n\r\n") else {
            return if buffer.len() > READ_BYTES {
                Err(bad())
            } else {
                Ok(None)
            };
        };
        let text = std::str::from_utf8(&buffer[..end]).map_err(|_| bad())?;
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.get(9..12))
            .ok_or_else(bad)?;
        let status = status.parse().map_err(|_| bad())?;
        let mut length = Length::Known(0);
        for line in lines {
            let (name, value) = line.split_once(':').ok_or_else(bad)?;
            if name.eq_ignore_ascii_case("content-length") {
                length = Length::Known(value.trim().parse().map_err(|_| bad())?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                length = Length::Chunked;
            }
        }
        Ok(Some(Head {
            status,
            head_bytes: end + 4,
            length,
        }))
    }
}

/// Where `needle` begins in `text`.
pub fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, rest) = needle.split_first()?;
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|byte| byte == first) {
        if text[from + at + 1..].starts_with(rest) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// Takes a body in chunks apart (RFC 9112, section 7.1).
#[derive(Debug, Default)]
struct Chunks {
    state: ChunkState,
    size: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum ChunkState {
    /// In the hexadecimal size.
    #[default]
    Size,
    /// In an extension after the size, up to the end of the line.
    Extension,
    /// In the chunk, of which `size` bytes are missing.
    Data,
    /// In the line end after the chunk.
    DataEnd,
    /// In the lines after the last chunk; true at the beginning of a line.
    Trailer(bool),
    Ended,
}

impl Chunks {
    fn ended(&self) -> bool {
        self.state == ChunkState::Ended
    }

    fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        while let Some((&byte, rest)) = input.split_first() {
            if self.state == ChunkState::Data {
                let taken = self.size.min(input.len());
                out.extend_from_slice(&input[..taken]);
                input = &input[taken..];
                self.size -= taken;
                if self.size == 0 {
                    self.state = ChunkState::DataEnd;
                }
                continue;
            }
            input = rest;
            self.step(byte)?;
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) -> io::Result<()> {
        let after_size = |size| match size {
            0 => ChunkState::Trailer(true),
            _ => ChunkState::Data,
        };
        match (&self.state, byte) {
            (ChunkState::Size | ChunkState::Extension, b'\n') => self.state = after_size(self.size),
            (ChunkState::Size, b';') => self.state = ChunkState::Extension,
            (ChunkState::Size, b'\r') => {}
            (ChunkState::Size, digit) => match char::from(digit).to_digit(16) {
                Some(digit) if self.size < 1 << 40 => self.size = self.size * 16 + digit as usize,
                _ => return Err(io::Error::new(ErrorKind::InvalidData, "a bad chunk size")),
            },
            (ChunkState::DataEnd, b'\n') => self.state = ChunkState::Size,
            (ChunkState::Trailer(true), b'\n') => self.state = ChunkState::Ended,
            (ChunkState::Trailer(_), b'\n') => self.state = ChunkState::Trailer(true),
            (ChunkState::Trailer(true), b'\r') => {}
            (ChunkState::Trailer(_), _) => self.state = ChunkState::Trailer(false),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_tell_status_and_length() {
        let text = b"HTTP/1.1 207 Multi-Status\r\nContent-length: 12\r\nx: y\r\n\r\nbody";
        let head = Head::parse(text).unwrap().unwrap();
        assert_eq!((head.status, head.length), (207, Length::Known(12)));
        assert_eq!(&text[head.head_bytes..], b"body");
        assert_eq!(Head::parse(&text[..20]).unwrap(), None);
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(
            Head::parse(chunked).unwrap().unwrap().length,
            Length::Chunked
        );
        assert!(Head::parse(b"ICY 200\r\n\r\n").is_err());
    }

    #[test]
    fn chunks_may_be_cut_anywhere() {
        let wire = b"5\r\nhello\r\nC;x=y\r\n, wide world\r\n0\r\nA: b\r\n\r\n";
        for step in 1..wire.len() {
            let mut chunks = Chunks::default();
            let mut out = Vec::new();
            for piece in wire.chunks(step) {
                assert!(!chunks.ended());
                chunks.push(piece, &mut out).unwrap();
            }
            assert!(chunks.ended());
            assert_eq!(out, b"hello, wide world");
        }
        assert!(Chunks::default().push(b"zz\r\n", &mut Vec::new()).is_err());
    }
}
