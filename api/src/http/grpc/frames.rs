//! Messages out of a request's body: checked for their size, inflated and charged before anything
//! looks into them.

use std::{collections::VecDeque, sync::Arc};

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use parking_lot::Mutex;
use tonic::Status;

use super::{methods::Method, status::to_status};
use crate::{
    gateway::{Budget, Held},
    http::body::{Encoding, Pace, inflate, next_data, next_frame, too_large},
    problem::{Code, Problem},
};

/// A flag, and four bytes of length.
const HEAD_BYTES: usize = 5;

/// The memory of messages that were read, in their order, until they are let go of.
#[derive(Clone, Default)]
pub struct InMemory(Arc<Mutex<VecDeque<Held>>>);

impl InMemory {
    /// The memory of the oldest message that nobody has taken yet.
    pub fn take_first(&self) -> Held {
        self.0.lock().pop_front().unwrap_or_else(Held::nothing)
    }
}

/// Reads the body of one call.
pub struct Frames {
    /// What it may hold.
    pub budget: Budget,
    /// The call's method.
    pub method: &'static Method,
    /// How its messages are compressed, if they are.
    pub encoding: Encoding,
    /// What its messages hold.
    pub in_memory: InMemory,
    /// For problems.
    pub request_id: Arc<str>,
}

impl Frames {
    /// The body with every message plain.
    pub fn of(
        self,
        body: Body,
    ) -> impl http_body::Body<Data = Bytes, Error = Status> + Send + 'static {
        let request_id = self.request_id.clone();
        let reader = Reader {
            frames: self,
            body,
            unread: Bytes::new(),
            messages: 0,
            ready: VecDeque::new(),
        };
        StreamBody::new(stream::unfold(Some(reader), move |reader| {
            let request_id = request_id.clone();
            async move {
                let mut reader = reader?;
                match reader.next().await {
                    Ok(piece) => Some((Ok(Frame::data(piece?)), Some(reader))),
                    Err(problem) => Some((Err(to_status(&problem, &request_id)), None)),
                }
            }
        }))
    }
}

struct Reader {
    frames: Frames,
    body: Body,
    /// What came and was not looked at.
    unread: Bytes,
    messages: usize,
    /// Pieces of a message that was read.
    ready: VecDeque<Bytes>,
}

impl Reader {
    /// The next piece of a message that is read whole.
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        if self.ready.is_empty() && !self.read_message().await? {
            return Ok(None);
        }
        Ok(self.ready.pop_front())
    }

    /// Reads a message; false after the last.
    async fn read_message(&mut self) -> Result<bool, Problem> {
        let streams = self.frames.method.streams;
        // Whoever streams may be silent for as long as the connection lives.
        if streams && self.unread.is_empty() {
            match next_data(&mut self.body).await? {
                Some(data) => self.unread = data,
                None => return Ok(false),
            }
        }
        let mut pace = Pace::start();
        let Some(head) = self.read_head(&mut pace).await? else {
            return match self.messages {
                0 if !streams => Err(invalid("the call has no message")),
                _ => Ok(false),
            };
        };
        self.messages += 1;
        if self.messages > 1 && !streams {
            return Err(invalid("the call has one message, not more"));
        }
        let [flag, length @ ..] = head;
        let length = u32::from_be_bytes(length) as usize;
        let most = self.frames.method.message_bytes_max;
        if length > most {
            return Err(too_large(most));
        }
        let (mut pieces, mut held) = self.read_bytes(length, &mut pace).await?;
        let length = match (flag, self.frames.encoding) {
            (0, _) => length,
            (1, encoding @ (Encoding::Gzip | Encoding::Zstd)) => {
                held.merge(self.frames.budget.take(most).await?);
                let joined: Vec<u8> = pieces.iter().flatten().copied().collect();
                let inflated = inflate(&joined, encoding, most)?;
                held.shrink(inflated.len());
                let length = inflated.len();
                pieces = VecDeque::from([inflated]);
                length
            }
            (1, Encoding::Identity) => {
                return Err(invalid(
                    "the message is compressed, and no grpc-encoding says how",
                ));
            }
            _ => {
                return Err(invalid(
                    "a message begins with 0, or with 1 if it is compressed",
                ));
            }
        };
        let mut head = BytesMut::with_capacity(HEAD_BYTES);
        head.put_u8(0);
        head.put_u32(length as u32);
        pieces.push_front(head.freeze());
        self.ready = pieces;
        self.frames.in_memory.0.lock().push_back(held);
        Ok(true)
    }

    async fn read_head(&mut self, pace: &mut Pace) -> Result<Option<[u8; HEAD_BYTES]>, Problem> {
        let mut head = [0; HEAD_BYTES];
        let mut read = 0;
        while read < HEAD_BYTES {
            if self.unread.is_empty() {
                match next_frame(&mut self.body, pace).await? {
                    Some(data) => self.unread = data,
                    None if read == 0 => return Ok(None),
                    None => return Err(broken_off()),
                }
            }
            let count = self.unread.len().min(HEAD_BYTES - read);
            head[read..read + count].copy_from_slice(&self.unread.split_to(count));
            read += count;
        }
        Ok(Some(head))
    }

    /// Reads bytes as they come, and takes their memory then: a message that is only announced holds
    /// nothing.
    async fn read_bytes(
        &mut self,
        mut missing: usize,
        pace: &mut Pace,
    ) -> Result<(VecDeque<Bytes>, Held), Problem> {
        let (mut pieces, mut held) = (VecDeque::new(), Held::nothing());
        while missing > 0 {
            if self.unread.is_empty() {
                let data = next_frame(&mut self.body, pace).await?;
                self.unread = data.ok_or_else(broken_off)?;
            }
            let piece = self.unread.split_to(self.unread.len().min(missing));
            missing -= piece.len();
            held.merge(self.frames.budget.take(piece.len()).await?);
            pieces.push_back(piece);
        }
        Ok((pieces, held))
    }
}

fn invalid(why: &str) -> Problem {
    Problem::new(Code::InvalidRequest, why)
}

fn broken_off() -> Problem {
    invalid("the call ended in the middle of a message")
}
