//! `POST /topics/{topic}/records/bulk`: NDJSON in, results out while the body is still open.
//!
//! A reader task cuts the body into runs of lines and encodes them; the answering task appends one
//! run at a time, so that offsets follow line order, while the next is being read. Memory is one run
//! on each side, and a client that does not read its results stops being read.

use std::{collections::VecDeque, sync::Arc};

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use headwater_broker::Acks;
use http::{HeaderValue, Request, header};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, BufReader},
    sync::mpsc,
};
use tokio_util::io::StreamReader;

use super::{
    body::{Encoding, NDJSON_TYPES, broken_off, check_content_type, discard_refused, encoding},
    call::{InTopic, May},
    observe::Counted,
    openapi::{IdempotencyHeader, ProduceProblems},
    params::Params,
    produce::{append, idempotency_key},
    router::App,
};
use crate::{
    auth::permissions::ProduceBulk,
    gateway::{Encoded, Gateway, Held, IdempotencyKey},
    limits::{BODY_IDLE_TIMEOUT, BULK_KEYED_RUN_RECORDS, BULK_RUN_BYTES_MAX, BULK_RUN_RECORDS_MAX},
    metadata::Topic,
    problem::{Code, Outcome, Problem},
    quota::Resource,
};

/// Bytes of a line beside its key, value and headers.
const LINE_SLACK_BYTES: usize = 64 << 10;
/// Memory that a line keeps for the next one.
const LINE_KEPT_BYTES: usize = 256 << 10;
const READ_BYTES: usize = 128 << 10;
const HELD_STEP_BYTES: usize = 64 << 10;

/// Append records without end.
///
/// One record a line; the answer flows while the body is still open: for each committed run of lines
/// `{"from","n","partitions":[{"partition","base_offset","n"}]}`, for each refused line
/// `{"line","error"}`, at last `{"done":true,"accepted","rejected"}`. Lines count from 1. With an
/// `Idempotency-Key` runs are cut every 500 lines or 512 KiB, whether lines wait or not, so that repeating the same body appends nothing
/// twice.
#[utoipa::path(
    post, path = "/topics/{topic}/records/bulk", operation_id = "produceBulk", tag = "records",
    params(("topic" = String, Path, description = "Topic name", example = "orders"), IdempotencyHeader),
    request_body(content = Option<String>, content_type = "application/x-ndjson", description = "One record a line",
        example = "{\"key\":\"c1\",\"value\":{\"id\":17}}\n{\"key\":\"c2\",\"value\":{\"id\":18}}\n"),
    responses((status = 200, description = "Results, line by line", body = String, content_type = "application/x-ndjson",
        example = "{\"from\":1,\"n\":2,\"partitions\":[{\"partition\":2,\"base_offset\":900,\"n\":2}]}\n{\"done\":true,\"accepted\":2,\"rejected\":0}\n"), ProduceProblems),
)]
pub async fn produce_bulk(
    State(app): State<App>,
    May { call, .. }: May<ProduceBulk, InTopic>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    Params::parse(request.uri(), &[])?;
    check_content_type(request.headers(), NDJSON_TYPES)?;
    let key = idempotency_key(request.headers())?;
    let encoding = encoding(request.headers())?;
    // One who is in debt is slowed, one who may not write at all would wait for ever.
    let layers = call.access.layers();
    let admitted = match layers.check_any(Resource::IngressBytesPerSecond) {
        Ok(()) => call.check_stored(&app).await,
        refused => refused,
    };
    if let Err(problem) = admitted {
        return Err(discard_refused(request, problem).await);
    }
    let body = request
        .into_body()
        .into_data_stream()
        .map_err(std::io::Error::other)
        .boxed();
    let body = BufReader::with_capacity(READ_BYTES, StreamReader::new(body));
    let lines: Box<dyn AsyncBufRead + Send + Unpin> = match encoding {
        Encoding::Identity => Box::new(body),
        Encoding::Gzip => {
            let mut decoder = GzipDecoder::new(body);
            decoder.multiple_members(true);
            Box::new(BufReader::with_capacity(READ_BYTES, decoder))
        }
        Encoding::Zstd => {
            use async_compression::zstd::DParameter;
            let decoder = ZstdDecoder::with_params(body, &[DParameter::window_log_max(24)]);
            Box::new(BufReader::with_capacity(READ_BYTES, decoder))
        }
    };
    let open = Counted::new(&app.metrics.bulk_loads);
    let (runs, next_run) = mpsc::channel(1);
    let (results, answer) = mpsc::channel::<Bytes>(4);
    let reader = Reader {
        gateway: app.gateway.clone(),
        topic: call.topic.clone(),
        key,
        lines,
        line: Vec::new(),
        line_number: 0,
        runs: 0,
        draining: app.gateway.draining.clone(),
    };
    tokio::spawn(reader.read_all(runs));
    tokio::spawn(async move {
        let mut load = Load {
            app,
            call,
            results,
            accepted: 0,
            rejected: 0,
        };
        load.append_all(next_run).await;
        drop(open);
    });
    let answer = futures_util::stream::unfold(answer, |mut answer| async move {
        let line = answer.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(line), answer))
    });
    let mut response = Body::from_stream(answer).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Some consecutive lines, encoded.
struct Run {
    encoded: Option<Encoded>,
    /// The line of each record in `encoded`.
    record_lines: Vec<u64>,
    rejected: Vec<(u64, Problem)>,
    /// Whether the body ended with this run.
    last: bool,
    /// Why nothing comes after this run, if it is not the body's end.
    broken: Option<Problem>,
    held: Held,
}

/// Cuts the body into runs.
struct Reader {
    gateway: Arc<Gateway>,
    topic: Arc<Topic>,
    key: Option<IdempotencyKey>,
    lines: Box<dyn AsyncBufRead + Send + Unpin>,
    line: Vec<u8>,
    line_number: u64,
    runs: u64,
    draining: tokio::sync::watch::Receiver<bool>,
}

/// What reading a line came to.
enum Line {
    Read,
    TooLong,
    End,
}

impl Reader {
    async fn read_all(mut self, runs: mpsc::Sender<Run>) {
        let mut more = true;
        while more {
            let run;
            (run, more) = self.read_run().await;
            if runs.send(run).await.is_err() {
                return; // nobody wants results any more
            }
        }
    }

    /// The next run, and whether more may follow. Without a key, a run ends where the client has
    /// nothing more to read at once: whoever sends three lines hears of three lines.
    async fn read_run(&mut self) -> (Run, bool) {
        let key = self.key.map(|key| key.run(self.runs));
        self.runs += 1;
        let topic = self.topic.clone();
        let gateway = self.gateway.clone();
        let mut run = Run {
            encoded: None,
            record_lines: Vec::new(),
            rejected: Vec::new(),
            last: false,
            broken: None,
            held: Held::nothing(),
        };
        let mut encoder = gateway.encoder(&topic, key, BULK_RUN_BYTES_MAX / 4);
        let (mut lines, mut bytes) = (0, 0);
        let more = loop {
            let line = match self.read_line(&mut run.held).await {
                Ok(Line::End) => break false,
                Ok(line) => line,
                Err(problem) => {
                    run.broken = Some(problem);
                    break false;
                }
            };
            lines += 1;
            bytes += self.line.len();
            let blank = self.line.trim_ascii().is_empty();
            let result = match line {
                Line::TooLong => Err(Problem::new(
                    Code::PayloadTooLarge,
                    format!("a line may have {} bytes", self.line_bytes_max()),
                )),
                Line::Read if !blank => gateway.encode_line(&topic, &self.line, &mut encoder),
                Line::Read | Line::End => Ok(()),
            };
            match result {
                Ok(()) if blank => {}
                Ok(()) => run.record_lines.push(self.line_number),
                Err(problem) => run.rejected.push((self.line_number, problem)),
            }
            let cut = match key {
                Some(_) => lines >= BULK_KEYED_RUN_RECORDS || bytes >= BULK_RUN_BYTES_MAX,
                None => {
                    lines >= BULK_RUN_RECORDS_MAX
                        || bytes >= BULK_RUN_BYTES_MAX
                        || !self.line_is_buffered().await
                }
            };
            if cut {
                break true;
            }
        };
        if key.is_some() && run.broken.is_some() {
            // A run that the client did not finish would not be the same when it comes again.
            run.record_lines.clear();
            run.rejected.clear();
            return (run, false);
        }
        if encoder.record_count() > 0 {
            run.encoded = Some(gateway.finish(encoder, key));
        }
        run.last = !more;
        (run, more)
    }

    /// What a line may have: the largest record of the topic with all of it escaped.
    fn line_bytes_max(&self) -> usize {
        6 * self.topic.settings.max_record_bytes as usize + LINE_SLACK_BYTES
    }

    /// Reads one line into `self.line`, without its end. Its memory is taken as its bytes come.
    async fn read_line(&mut self, held: &mut Held) -> Result<Line, Problem> {
        self.line.clear();
        self.line.shrink_to(LINE_KEPT_BYTES);
        let line_bytes_max = self.line_bytes_max();
        let (mut dropped, mut uncharged) = (false, 0);
        loop {
            let chunk = tokio::select! {
                chunk = tokio::time::timeout(BODY_IDLE_TIMEOUT * 4, self.lines.fill_buf()) => chunk
                    .map_err(|_| Problem::new(Code::RequestTimeout, "no line came for a minute"))?
                    .map_err(|error| broken_off(&error))?,
                _ = self.draining.wait_for(|draining| *draining) => {
                    return Err(Problem::new(Code::Unavailable, "the service is stopping"));
                }
            };
            let end = memchr::memchr(b'\n', chunk);
            let take = end.unwrap_or(chunk.len());
            let consumed = take + usize::from(end.is_some());
            let ended = chunk.is_empty() || end.is_some();
            if self.line.len() + take > line_bytes_max {
                dropped = true;
                self.line = Vec::new();
            } else if !dropped {
                self.line.extend_from_slice(&chunk[..take]);
                uncharged += take;
            }
            self.lines.consume(consumed);
            if uncharged >= HELD_STEP_BYTES || (ended && uncharged > 0) {
                held.merge(
                    self.gateway
                        .budget
                        .take(std::mem::take(&mut uncharged))
                        .await?,
                );
            }
            if consumed == 0 && self.line.is_empty() && !dropped {
                return Ok(Line::End);
            }
            if ended {
                self.line_number += 1;
                return Ok(if dropped { Line::TooLong } else { Line::Read });
            }
        }
    }

    /// Whether a whole line can be read without waiting for the client.
    async fn line_is_buffered(&mut self) -> bool {
        let ready = futures_util::FutureExt::now_or_never(self.lines.fill_buf());
        matches!(ready, Some(Ok(chunk)) if memchr::memchr(b'\n', chunk).is_some())
    }
}

/// Appends runs and tells what became of them.
struct Load {
    app: App,
    call: InTopic,
    results: mpsc::Sender<Bytes>,
    accepted: u64,
    rejected: u64,
}

impl Load {
    async fn append_all(&mut self, mut runs: mpsc::Receiver<Run>) {
        while let Some(mut run) = runs.recv().await {
            // Meanwhile the client's lines stay in its socket.
            tokio::select! {
                () = self.call.wait_out_debt(&self.app) => {}
                () = self.results.closed() => {}
            }
            // A load goes on for long: its key may have gone meanwhile.
            let refused = self.call.check(&self.app).err();
            if refused.is_some() {
                run.encoded = None;
                run.record_lines.clear();
            }
            let is_over = refused.is_some();
            let (last, broken) = (run.last, refused.or(run.broken.take()));
            let mut lines = self.append(run).await;
            let (accepted, rejected) = (self.accepted, self.rejected);
            if let Some(mut problem) = broken {
                // Of lines that were sent and not answered the client knows nothing.
                problem.outcome = Outcome::Unknown;
                lines.extend_from_slice(b"{\"error\":");
                lines.extend_from_slice(&problem.to_json(&self.call.asked.request_id));
                let counts = format!(",\"accepted\":{accepted},\"rejected\":{rejected}}}\n");
                lines.extend_from_slice(counts.as_bytes());
            } else if last {
                let done =
                    format!("{{\"done\":true,\"accepted\":{accepted},\"rejected\":{rejected}}}\n");
                lines.extend_from_slice(done.as_bytes());
            }
            // A client that went away wants no results; what it sent is kept.
            if !lines.is_empty() && self.results.send(lines.into()).await.is_err() || is_over {
                return;
            }
        }
    }

    /// Appends a run and answers its result lines.
    async fn append(&mut self, run: Run) -> Vec<u8> {
        let Run {
            encoded,
            record_lines,
            rejected,
            held,
            ..
        } = run;
        let mut lines = Vec::new();
        let mut rejected: VecDeque<_> = rejected.into();
        if let Some(encoded) = encoded {
            let (app, call) = (&self.app, &self.call);
            let written = async {
                call.check_stored(app).await?;
                let turn = call.access.layers().turn(encoded.payload_bytes).await?;
                let mut placed = || {};
                let written = append(app, call, encoded, Acks::Quorum, &mut placed);
                turn.work(written).await
            };
            match written.await {
                Ok(written) => {
                    self.report(&written, &record_lines, &mut rejected, &mut lines);
                }
                Err(problem) => {
                    for line in record_lines {
                        rejected.push_back((line, problem.clone()));
                    }
                    rejected
                        .make_contiguous()
                        .sort_unstable_by_key(|(line, _)| *line);
                }
            }
        }
        for (line, problem) in rejected {
            self.reject(line, &problem, &mut lines);
        }
        drop(held);
        lines
    }

    /// One result for each stretch of consecutive accepted lines.
    fn report(
        &mut self,
        written: &crate::gateway::Written,
        record_lines: &[u64],
        rejected: &mut VecDeque<(u64, Problem)>,
        into: &mut Vec<u8>,
    ) {
        let parts: Vec<_> = written.partitions().collect();
        let mut taken = vec![0u64; parts.len()];
        let mut stretch: Vec<(usize, u64, u64)> = Vec::new();
        let (mut from, mut count) = (0, 0);
        for (&line, part) in record_lines.iter().zip(written.record_partitions()) {
            let nth = taken[part];
            taken[part] += 1;
            let (_, outcome, _) = parts[part];
            let follows = count > 0 && line == from + count;
            if (!follows || outcome.is_err()) && count > 0 {
                self.accept(from, count, &stretch, &parts, into);
                stretch.clear();
                count = 0;
            }
            while rejected.front().is_some_and(|(at, _)| *at < line) {
                if let Some((at, problem)) = rejected.pop_front() {
                    self.reject(at, &problem, into);
                }
            }
            match outcome {
                Ok(produced) => {
                    if count == 0 {
                        from = line;
                    }
                    count += 1;
                    match stretch.iter_mut().find(|(other, ..)| *other == part) {
                        Some((_, _, n)) => *n += 1,
                        None => stretch.push((part, produced.base_offset + nth, 1)),
                    }
                }
                Err(problem) => self.reject(line, problem, into),
            }
        }
        if count > 0 {
            self.accept(from, count, &stretch, &parts, into);
        }
    }

    fn accept(
        &mut self,
        from: u64,
        count: u64,
        stretch: &[(usize, u64, u64)],
        parts: &[(u32, &Result<headwater_broker::Produced, Problem>, usize)],
        into: &mut Vec<u8>,
    ) {
        self.accepted += count;
        let mut line = format!("{{\"from\":{from},\"n\":{count},\"partitions\":[");
        for (nth, (part, base_offset, n)) in stretch.iter().enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            let partition = parts[*part].0;
            line += &format!(
                "{comma}{{\"partition\":{partition},\"base_offset\":{base_offset},\"n\":{n}}}"
            );
        }
        line += "]}\n";
        into.extend_from_slice(line.as_bytes());
    }

    fn reject(&mut self, line: u64, problem: &Problem, into: &mut Vec<u8>) {
        self.rejected += 1;
        into.extend_from_slice(format!("{{\"line\":{line},\"error\":").as_bytes());
        into.extend_from_slice(&problem.to_json(&self.call.asked.request_id));
        into.extend_from_slice(b"}\n");
    }
}
