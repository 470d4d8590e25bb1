//! A `ProduceStream` on each connection, with so many batches in flight.

use std::{cell::RefCell, collections::VecDeque, convert::Infallible, io, rc::Rc, time::Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::stream;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{net::TcpStream, sync::mpsc};

use super::body::{key_of, push_value, seed_of};
use super::load::{Load, LoadArgs, Window, measure_load};
use super::report::LoadReport;
use super::tally::{Tally, Within};
use super::target::Target;
use crate::client::Failure;
use crate::http::pb::headwater::v1::{
    self as pb, produce_stream_request::Request as Part, produce_stream_response::Result as Told,
};

const BATCHES: u64 = 64;
/// All batches together stay below this, or they would fill every cache of the machine.
const POOL_BYTES: usize = 8 << 20;
const SEND_BUFFER_BYTES: usize = 4 << 20;

/// What to send.
pub struct Wanted {
    /// The topic.
    pub topic: String,
    /// Records of a batch.
    pub records: usize,
    /// Bytes of each value.
    pub value_bytes: usize,
    /// How many different keys there are; none: records without a key.
    pub keys: u32,
    /// What an answer waits for.
    pub acks: pb::Acks,
    /// Batches that are sent before the first of them is answered.
    pub in_flight: usize,
}

/// Measures.
pub async fn run(args: LoadArgs, wanted: Wanted, target: Target) -> Result<LoadReport, Failure> {
    let streams = Streams::new(&wanted, &target);
    let load = args.clone();
    let measured = tokio::task::spawn_blocking(move || measure_load(&load, &streams));
    let tally = measured
        .await
        .map_err(|error| Failure::Local(error.to_string()))?
        .map_err(|error| target.unreachable(error))?;
    Ok(LoadReport::new("produce over gRPC", &args, tally))
}

/// What all connections share.
struct Streams {
    address: String,
    authorization: Option<String>,
    /// Messages with what stands in front of them.
    open: Bytes,
    batches: Vec<Bytes>,
    records: u64,
    bytes: u64,
    in_flight: usize,
}

/// A stream that was opened.
struct Opened {
    number: u32,
    send: mpsc::Sender<Bytes>,
    answers: Incoming,
}

impl Streams {
    fn new(wanted: &Wanted, target: &Target) -> Self {
        let open = Part::Open(pb::ProduceStreamOpen {
            topic: wanted.topic.clone(),
            acks: wanted.acks.into(),
        });
        let first = framed(batch(wanted, 0));
        let count = (POOL_BYTES / first.len().max(1)).clamp(2, BATCHES as usize) as u64;
        Self {
            address: target.address.clone(),
            authorization: target.authorization.clone(),
            open: framed(open),
            batches: (0..count).map(|n| framed(batch(wanted, n))).collect(),
            records: wanted.records as u64,
            bytes: (wanted.records * wanted.value_bytes) as u64,
            in_flight: wanted.in_flight,
        }
    }

    async fn call(&self, number: u32) -> Result<Opened, Box<dyn std::error::Error + Send + Sync>> {
        let socket = TcpStream::connect(&self.address).await?;
        socket.set_nodelay(true)?;
        let (mut requests, connection) =
            hyper::client::conn::http2::Builder::new(TokioExecutor::new())
                .max_send_buf_size(SEND_BUFFER_BYTES)
                .handshake(TokioIo::new(socket))
                .await?;
        tokio::spawn(connection);
        let (send, messages) = mpsc::channel(self.in_flight + 1);
        let messages = stream::unfold(messages, |mut messages| async move {
            let message = messages.recv().await?;
            Some((Ok::<_, Infallible>(Frame::data(message)), messages))
        });
        let path = "/headwater.v1.RecordService/ProduceStream";
        let mut request = Request::post(format!("http://{}{path}", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.body(StreamBody::new(Box::pin(messages)))?;
        send.send(self.open.clone()).await?;
        let answers = requests.send_request(request).await?.into_body();
        Ok(Opened {
            number,
            send,
            answers,
        })
    }
}

impl Load for Streams {
    type Opened = Opened;

    async fn open(&self, number: u32) -> io::Result<Opened> {
        self.call(number).await.map_err(io::Error::other)
    }

    async fn run(&self, mut opened: Opened, window: Window, tally: Rc<RefCell<Tally>>) {
        tokio::time::sleep_until(window.origin.into()).await;
        let mut next = self.batches.iter().cycle().skip(opened.number as usize);
        let mut sent = VecDeque::with_capacity(self.in_flight);
        let mut unread = BytesMut::new();
        loop {
            while sent.len() < self.in_flight && Instant::now() < window.to {
                let batch = next.next().expect("there are batches").clone();
                sent.push_back(Instant::now());
                if opened.send.send(batch).await.is_err() {
                    break;
                }
            }
            if sent.is_empty() {
                return;
            }
            let answered = match answer(&mut opened.answers, &mut unread).await {
                Ok(answered) => answered,
                Err(reason) => return tally.borrow_mut().fail(reason),
            };
            let (end, began) = (Instant::now(), sent.pop_front());
            let within = end >= window.from && end < window.to;
            let judged = answered.map(|()| (self.records, self.bytes));
            let within = Within {
                ended: within,
                due: within,
            };
            let latency = end - began.unwrap_or(end);
            tally.borrow_mut().count(judged, within, latency);
        }
    }
}

/// The next answer: whether the batch was taken, or why there are no more.
async fn answer(
    answers: &mut Incoming,
    unread: &mut BytesMut,
) -> Result<Result<(), String>, String> {
    loop {
        if let Some((head, rest)) = unread.split_first_chunk::<5>() {
            let [_, length @ ..] = *head;
            let length = u32::from_be_bytes(length) as usize;
            if rest.len() >= length {
                unread.advance(head.len());
                let message = unread.split_to(length);
                let response = pb::ProduceStreamResponse::decode(message);
                return match response.map_err(|error| error.to_string())?.result {
                    Some(Told::Produced(_)) => Ok(Ok(())),
                    Some(Told::Error(problem)) => Ok(Err(problem.detail)),
                    None => Err("an answer without a result".to_owned()),
                };
            }
        }
        let frame = answers.frame().await.ok_or("the stream ended")?;
        let frame = frame.map_err(|error| error.to_string())?;
        match frame.into_data() {
            Ok(data) => unread.extend_from_slice(&data),
            Err(trailers) => {
                let trailers = trailers.into_trailers().unwrap_or_default();
                return Err(format!("the stream ended: {trailers:?}"));
            }
        }
    }
}

fn batch(wanted: &Wanted, number: u64) -> Part {
    let record = |index| {
        let seed = seed_of(number, index);
        let mut value = Vec::with_capacity(wanted.value_bytes);
        push_value(&mut value, seed, wanted.value_bytes);
        pb::Record {
            key: (wanted.keys > 0).then(|| key_of(seed, wanted.keys).into()),
            value: Some(value.into()),
            ..pb::Record::default()
        }
    };
    Part::Batch(pb::ProduceStreamBatch {
        sequence: number,
        records: (0..wanted.records).map(record).collect(),
        idempotency_key: String::new(),
    })
}

/// A message as it is sent.
fn framed(part: Part) -> Bytes {
    let message = pb::ProduceStreamRequest {
        request: Some(part),
    };
    let mut framed = BytesMut::with_capacity(5 + message.encoded_len());
    framed.put_u8(0);
    framed.put_u32(message.encoded_len() as u32);
    framed.extend_from_slice(&message.encode_to_vec());
    framed.freeze()
}
