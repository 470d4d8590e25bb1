//! One answer of a fetch, and where the next one starts.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::Failure;
use super::resources::{not_understood, push_line};
use super::service::percent_encode;

/// The most bytes of records asked for at once.
const PAGE_BYTES: u64 = 4 * 1024 * 1024;
const PAGE_RECORDS: u64 = 10_000;

/// Where reading goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// `earliest`, `latest` or `tail-N`.
    From(String),
    /// RFC 3339 or milliseconds since the epoch.
    At(String),
    /// Over all partitions, as an answer gave it.
    Cursor(String),
    /// In one partition.
    Offset(u64),
}

impl Position {
    /// This position as a part of a query.
    pub fn query(&self) -> String {
        match self {
            Position::From(text) => format!("from={}", percent_encode(text)),
            Position::At(text) => format!("at={}", percent_encode(text)),
            Position::Cursor(text) => format!("cursor={}", percent_encode(text)),
            Position::Offset(offset) => format!("offset={offset}"),
        }
    }
}

/// The path of a fetch of at most `remaining` records.
pub fn path(
    topic: &str,
    partition: Option<u32>,
    position: &Position,
    remaining: Option<u64>,
    wait_ms: u64,
) -> String {
    let place = match partition {
        Some(partition) => format!("/topics/{topic}/partitions/{partition}/records"),
        None => format!("/topics/{topic}/records"),
    };
    let records = remaining.unwrap_or(PAGE_RECORDS).min(PAGE_RECORDS);
    let mut path = format!(
        "{place}?{}&max_records={records}&max_bytes={PAGE_BYTES}",
        position.query()
    );
    if wait_ms > 0 {
        path.push_str(&format!("&wait_ms={wait_ms}"));
    }
    path
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    records: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    cursor: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    next_offset: Option<&'a RawValue>,
    #[serde(borrow, default)]
    high_watermark: Option<&'a RawValue>,
    #[serde(borrow, default)]
    gaps: Vec<&'a RawValue>,
}

/// One answer, its records as lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// Each record's text as the service sent it, one a line.
    pub lines: Vec<u8>,
    /// How many records those are.
    pub records: u64,
    /// Where the next page starts, if the answer says.
    pub next: Option<Position>,
    /// Ranges that are missing, as JSON text.
    pub gaps: Vec<String>,
    /// Nothing more was there when the service answered.
    pub at_end: bool,
}

impl Page {
    /// Reads an answer to a fetch from `asked`.
    pub fn parse(body: &[u8], one_partition: bool, asked: &Position) -> Result<Page, Failure> {
        let body: Body<'_> = serde_json::from_slice(body).map_err(not_understood)?;
        let mut lines = Vec::with_capacity(body.records.iter().map(|r| r.get().len() + 1).sum());
        for record in &body.records {
            push_line(&mut lines, record.get().as_bytes());
        }
        let offset = |raw: Option<&RawValue>| raw.and_then(|raw| raw.get().parse::<u64>().ok());
        let next_offset = offset(body.next_offset);
        let next = match one_partition {
            true => next_offset.map(Position::Offset),
            false => body
                .cursor
                .map(|cursor| Position::Cursor(cursor.into_owned())),
        };
        // A page may be empty and yet make way, over a gap or over records that are gone.
        let behind = match (next_offset, offset(body.high_watermark)) {
            (Some(next), Some(end)) if one_partition => next < end,
            _ => false,
        };
        let moved = next.as_ref().is_some_and(|next| next != asked);
        let way = moved && (behind || !body.gaps.is_empty());
        Ok(Page {
            lines,
            records: body.records.len() as u64,
            next,
            gaps: body.gaps.iter().map(|gap| gap.get().to_owned()).collect(),
            at_end: body.records.is_empty() && !way,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_split_without_a_byte_changed() {
        let body = br#"{"records":[ {"value":1.50e+1,"x":"],}{\"\u00e9"} ,{"value":{"a":
 [1,2]}}],"cursor":"c\/1","next_offset":null,"gaps":[]}"#;
        let asked = Position::From("earliest".to_owned());
        let page = Page::parse(body, false, &asked).unwrap();
        let lines = std::str::from_utf8(&page.lines).unwrap();
        assert_eq!(
            lines,
            "{\"value\":1.50e+1,\"x\":\"],}{\\\"\\u00e9\"}\n{\"value\":{\"a\":  [1,2]}}\n"
        );
        assert_eq!((page.records, page.at_end), (2, false));
        assert_eq!(page.next, Some(Position::Cursor("c/1".to_owned())));
    }

    #[test]
    fn an_empty_page_ends_unless_it_makes_way() {
        let page = |text: &str, asked| {
            Page::parse(text.as_bytes(), true, &Position::Offset(asked))
                .unwrap()
                .at_end
        };
        assert!(page(
            r#"{"records":[],"next_offset":9,"high_watermark":9}"#,
            9
        ));
        assert!(page(
            r#"{"records":[],"next_offset":5,"high_watermark":9}"#,
            5
        ));
        assert!(!page(
            r#"{"records":[],"next_offset":7,"high_watermark":9}"#,
            5
        ));
        assert!(!page(
            r#"{"records":[],"next_offset":9,"high_watermark":9,"gaps":[{"from":5,"to":9}]}"#,
            5
        ));
    }

    #[test]
    fn paths_ask_for_no_more_than_needed() {
        let cursor = Position::Cursor("a+b".to_owned());
        assert_eq!(
            path("t", None, &cursor, Some(3), 0),
            "/topics/t/records?cursor=a%2Bb&max_records=3&max_bytes=4194304"
        );
        assert_eq!(
            path("t", Some(2), &Position::Offset(7), None, 100),
            "/topics/t/partitions/2/records?offset=7&max_records=10000&max_bytes=4194304&wait_ms=100"
        );
    }
}
