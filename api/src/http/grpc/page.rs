//! Answers with records.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use http_body_util::BodyExt;

use super::call::Answer;
use crate::gateway::Held;

/// A message whose first field is `repeated Record records = 1`, or one record, which the gateway has
/// written already: what is written one behind the other is one message.
#[derive(Debug)]
pub struct Page<M> {
    /// That field.
    pub records: Vec<u8>,
    /// The message without it.
    pub rest: M,
}

/// The memory of an answer's records.
#[derive(Clone)]
struct Kept(#[allow(dead_code, reason = "held until it is dropped")] Arc<Held>);

/// An answer whose records hold memory.
///
/// # Errors
/// Those of the answer.
pub fn keeping<M>(answer: Answer<(Page<M>, Option<Held>)>) -> Answer<Page<M>> {
    answer.map(|answer| {
        let (metadata, (page, held), mut extensions) = answer.into_parts();
        if let Some(held) = held {
            extensions.insert(Kept(Arc::new(held)));
        }
        tonic::Response::from_parts(metadata, page, extensions)
    })
}

/// The response, keeping the memory of its records until it is sent.
pub fn kept(mut response: Response) -> Response {
    match response.extensions_mut().remove::<Kept>() {
        None => response,
        Some(kept) => response.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let _until_the_end = &kept;
                frame
            }))
        }),
    }
}
