//! Streams that are read while they flow: NDJSON lines and server-sent events.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::Response;
use tokio::sync::mpsc;

use crate::client::Api;
use crate::harness::soon;

/// The lines of a response that is still arriving.
pub struct Lines {
    chunks: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    buffered: Vec<u8>,
}

/// One server-sent event.
#[derive(Debug, Default, Clone)]
pub struct Event {
    pub name: String,
    pub id: Option<String>,
    pub data: String,
}

impl Lines {
    /// Opens a tail.
    pub async fn open(api: &Api, path: &str) -> Self {
        let response = api.request("GET", path).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        Self::new(response)
    }

    pub fn new(response: Response) -> Self {
        Self {
            chunks: Box::pin(response.bytes_stream()),
            buffered: Vec::new(),
        }
    }

    /// The next line without its end, or nothing when the stream ended cleanly.
    pub async fn next(&mut self) -> Option<String> {
        soon("a line", self.try_next())
            .await
            .expect("the stream is whole")
    }

    /// The next line; a broken stream is an answer too.
    pub async fn try_next(&mut self) -> reqwest::Result<Option<String>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffered[searched..]
                .iter()
                .position(|byte| *byte == b'\n')
            {
                let rest = self.buffered.split_off(searched + at + 1);
                let line = std::mem::replace(&mut self.buffered, rest);
                let line = String::from_utf8(line).expect("UTF-8");
                return Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()));
            }
            searched = self.buffered.len();
            match self.chunks.next().await {
                Some(chunk) => self.buffered.extend_from_slice(&chunk?),
                None => {
                    assert!(self.buffered.is_empty(), "the last line has no end");
                    return Ok(None);
                }
            }
        }
    }

    /// The next event that is not a comment.
    pub async fn event(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let line = self.next().await?;
            match line.split_once(':') {
                None if line.is_empty() && event.name.is_empty() && event.data.is_empty() => {}
                None if line.is_empty() => return Some(event),
                Some(("event", rest)) => event.name = rest.trim_start().to_owned(),
                Some(("id", rest)) => event.id = Some(rest.trim_start().to_owned()),
                Some(("data", rest)) => {
                    if !event.data.is_empty() {
                        event.data.push('\n');
                    }
                    event.data.push_str(rest.strip_prefix(' ').unwrap_or(rest));
                }
                _ => {}
            }
        }
    }

    /// The next event of this name; heartbeats before it are let pass.
    pub async fn event_named(&mut self, name: &str) -> Event {
        loop {
            let event = self
                .event()
                .await
                .unwrap_or_else(|| panic!("the stream ended before {name}"));
            if event.name == name {
                return event;
            }
            assert_eq!(event.name, "heartbeat", "unexpected {event:?}");
        }
    }
}

/// A request body that a test writes as it goes; dropping the sender ends it.
pub fn open_body() -> (mpsc::Sender<String>, reqwest::Body) {
    let (sender, receiver) = mpsc::channel::<String>(16);
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
        let chunk = receiver.recv().await?;
        Some((
            Ok::<_, std::convert::Infallible>(Bytes::from(chunk)),
            receiver,
        ))
    });
    (sender, reqwest::Body::wrap_stream(stream))
}
