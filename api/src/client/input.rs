//! Cuts a stream of lines into the bodies of produce requests.
//!
//! Records pass as text: a line is checked to be one JSON value, then copied into the request as
//! it is. Cuts depend on the input and the limits alone, never on timing, unless the caller asks
//! for an early cut: so a second run over the same file makes the same requests.

use std::collections::VecDeque;
use std::io::Read;
use std::time::Instant;

use serde::de::IgnoredAny;
use tokio::sync::mpsc;

use super::key::push_key;

/// A batch is cut before it grows over this, unless a single line is larger.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// No record is larger than 8 MiB; the rest is room for base64 and the envelope.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
const CHUNK_BYTES: usize = 256 * 1024;
const CHUNKS_QUEUED: usize = 4;

/// What a line is.
#[derive(Debug, Clone)]
pub enum Shape {
    /// A record as the service takes it.
    Record,
    /// A bare JSON value; the key is the text of this field, if one is named.
    Value {
        /// The top-level field that holds the key.
        key_field: Option<String>,
    },
}

/// One produce request.
#[derive(Debug)]
pub struct Batch {
    /// Counts from 0.
    pub number: u64,
    /// The request body.
    pub body: Vec<u8>,
    /// The line in the input of each record, counted from 1.
    pub lines: Vec<u64>,
    /// Input bytes it stands for, line ends included.
    pub input_bytes: u64,
}

/// A line that cannot be sent.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// Cuts input into batches.
#[derive(Debug)]
pub struct Cutter {
    shape: Shape,
    records_max: usize,
    /// What ends a body after its last record.
    tail: Vec<u8>,
    line: u64,
    carry: Vec<u8>,
    body: Vec<u8>,
    lines: Vec<u64>,
    input_bytes: u64,
    started: Option<Instant>,
    number: u64,
    ready: VecDeque<Batch>,
}

impl Cutter {
    /// Makes batches of at most `records_max` records, with `acks` named if given.
    pub fn new(shape: Shape, records_max: usize, acks: Option<&str>) -> Cutter {
        let tail = match acks {
            Some(acks) => format!("],\"acks\":\"{acks}\"}}").into_bytes(),
            None => b"]}".to_vec(),
        };
        Cutter {
            shape,
            records_max,
            tail,
            line: 0,
            carry: Vec::new(),
            body: Vec::new(),
            lines: Vec::new(),
            input_bytes: 0,
            started: None,
            number: 0,
            ready: VecDeque::new(),
        }
    }

    /// Takes the next piece of the input, which may begin and end anywhere.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), BadLine> {
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            if self.carry.is_empty() {
                self.push_line(line, 1)?;
            } else {
                let mut whole = std::mem::take(&mut self.carry);
                whole.extend_from_slice(line);
                self.push_line(&whole, 1)?;
                whole.clear();
                self.carry = whole;
            }
            rest = after;
        }
        self.carry.extend_from_slice(rest);
        if self.carry.len() > LINE_BYTES_MAX {
            return Err(BadLine {
                line: self.line + 1,
                reason: format!("longer than {} MiB", LINE_BYTES_MAX / 1024 / 1024),
            });
        }
        Ok(())
    }

    /// The input has ended: what is left becomes the last batch.
    pub fn finish(&mut self) -> Result<(), BadLine> {
        let last = std::mem::take(&mut self.carry);
        if !last.is_empty() {
            self.push_line(&last, 0)?;
        }
        self.cut();
        Ok(())
    }

    /// Ends the present batch early, if it has records.
    pub fn cut(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        self.body.extend_from_slice(&self.tail);
        self.ready.push_back(Batch {
            number: self.number,
            body: std::mem::take(&mut self.body),
            lines: std::mem::take(&mut self.lines),
            input_bytes: std::mem::take(&mut self.input_bytes),
        });
        self.number += 1;
        self.started = None;
    }

    /// When the first record of the present, unfinished batch came.
    pub fn started(&self) -> Option<Instant> {
        self.started
    }

    /// Finished batches, in order.
    pub fn ready(&mut self) -> &mut VecDeque<Batch> {
        &mut self.ready
    }

    fn push_line(&mut self, line: &[u8], ends: u64) -> Result<(), BadLine> {
        self.line += 1;
        let mut line_bytes = line.len() as u64 + ends;
        let text = line.trim_ascii();
        let text = if self.line == 1 {
            without_mark(text)
        } else {
            text
        };
        if text.is_empty() {
            // Counts towards the progress of a file with blank lines.
            self.input_bytes += line_bytes;
            return Ok(());
        }
        let bad = |reason: String| BadLine {
            line: self.line,
            reason,
        };
        let text = std::str::from_utf8(text)
            .map_err(|error| bad(format!("not UTF-8 at byte {}", error.valid_up_to() + 1)))?;
        if self.lines.len() >= self.records_max
            || (!self.lines.is_empty() && self.body.len() + text.len() + 64 > BATCH_BYTES_MAX)
        {
            // Blank lines before this one belong to the batch that ends here.
            self.cut();
            line_bytes += std::mem::take(&mut self.input_bytes);
        }
        let before = self.body.len();
        if self.lines.is_empty() {
            self.body.extend_from_slice(b"{\"records\":[");
        } else {
            self.body.push(b',');
        }
        if let Err(reason) = append(&mut self.body, text, &self.shape) {
            self.body.truncate(before);
            return Err(BadLine {
                line: self.line,
                reason,
            });
        }
        self.lines.push(self.line);
        self.input_bytes += line_bytes;
        self.started.get_or_insert_with(Instant::now);
        Ok(())
    }
}

/// Appends one record made of one line.
fn append(body: &mut Vec<u8>, text: &str, shape: &Shape) -> Result<(), String> {
    match shape {
        Shape::Record => {
            if !text.starts_with('{') {
                return Err("a record is a JSON object; for bare values use --values".to_owned());
            }
            one_value(text)?;
            body.extend_from_slice(text.as_bytes());
        }
        Shape::Value { key_field } => {
            body.push(b'{');
            match key_field {
                Some(field) => {
                    body.extend_from_slice(b"\"key\":");
                    push_key(body, text, field)?;
                    body.push(b',');
                }
                None => one_value(text)?,
            }
            body.extend_from_slice(b"\"value\":");
            body.extend_from_slice(text.as_bytes());
            body.push(b'}');
        }
    }
    Ok(())
}

/// A line must be exactly one JSON value, or it could change the request around it.
fn one_value(text: &str) -> Result<(), String> {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(error) if error.is_eof() => Err("the JSON ends too early".to_owned()),
        // The line number in serde's message would be 1 for every line.
        Err(error) => Err(error
            .to_string()
            .replace(" at line 1 column ", " at column ")),
    }
}

/// Some editors begin files with a byte order mark.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xEF\xBB\xBF")
        .unwrap_or(text)
        .trim_ascii_start()
}

/// Reads `source` on a thread of its own; the channel ends with the input, or after an error.
pub fn read_chunks(mut source: Box<dyn Read + Send>) -> mpsc::Receiver<std::io::Result<Vec<u8>>> {
    let (chunks, queue) = mpsc::channel(CHUNKS_QUEUED);
    std::thread::spawn(move || {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let outcome = match source.read(&mut chunk) {
                Ok(0) => return,
                Ok(length) => {
                    chunk.truncate(length);
                    Ok(chunk)
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let last = outcome.is_err();
            if chunks.blocking_send(outcome).is_err() || last {
                return;
            }
        }
    });
    queue
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(cutter: &mut Cutter) -> Vec<String> {
        cutter
            .ready()
            .drain(..)
            .map(|batch| String::from_utf8(batch.body).unwrap())
            .collect()
    }

    #[test]
    fn lines_become_bodies_byte_for_byte_wherever_chunks_end() {
        let text = "\u{feff}{\"value\": 1.0e+5 }\r\n\n  {\"value\":\"é\"}\n{\"value\":3}";
        for step in 1..text.len() {
            let mut cutter = Cutter::new(Shape::Record, 2, None);
            for chunk in text.as_bytes().chunks(step) {
                cutter.push(chunk).unwrap();
            }
            cutter.finish().unwrap();
            let lines: Vec<_> = cutter
                .ready()
                .iter()
                .map(|batch| batch.lines.clone())
                .collect();
            assert_eq!(lines, [vec![1, 3], vec![4]]);
            let bytes: u64 = cutter.ready().iter().map(|batch| batch.input_bytes).sum();
            assert_eq!(bytes, text.len() as u64);
            assert_eq!(
                bodies(&mut cutter),
                [
                    "{\"records\":[{\"value\": 1.0e+5 },{\"value\":\"é\"}]}",
                    "{\"records\":[{\"value\":3}]}"
                ]
            );
        }
    }

    #[test]
    fn batches_are_cut_by_bytes_too() {
        let mut cutter = Cutter::new(Shape::Record, 500, Some("leader"));
        let record = format!("{{\"value\":\"{}\"}}\n", "x".repeat(400_000));
        for _ in 0..5 {
            cutter.push(record.as_bytes()).unwrap();
        }
        cutter.finish().unwrap();
        let counts: Vec<_> = cutter
            .ready()
            .iter()
            .map(|batch| batch.lines.len())
            .collect();
        assert_eq!(counts, [2, 2, 1]);
        assert!(
            cutter
                .ready()
                .iter()
                .all(|batch| batch.body.len() <= BATCH_BYTES_MAX)
        );
        assert!(bodies(&mut cutter)[0].ends_with("],\"acks\":\"leader\"}"));
    }

    #[test]
    fn bare_values_are_wrapped() {
        let mut cutter = Cutter::new(
            Shape::Value {
                key_field: Some("id".to_owned()),
            },
            500,
            None,
        );
        cutter.push(b"{\"id\":7,\"x\":1e400}\n").unwrap();
        cutter.finish().unwrap();
        assert_eq!(
            bodies(&mut cutter),
            ["{\"records\":[{\"key\":\"7\",\"value\":{\"id\":7,\"x\":1e400}}]}"]
        );
        let mut cutter = Cutter::new(Shape::Value { key_field: None }, 500, None);
        cutter.push(b"null\n[1]\n").unwrap();
        cutter.finish().unwrap();
        assert_eq!(
            bodies(&mut cutter),
            ["{\"records\":[{\"value\":null},{\"value\":[1]}]}"]
        );
    }

    #[test]
    fn a_bad_line_is_named_and_leaves_whole_batches_alone() {
        let bad = [
            "{\"value\":1},{\"value\":2}",
            "{\"value\":1}],\"acks\":\"none\",\"x\":[{}",
            "{\"value\":}",
            "{\"value\":1",
            "7",
            "\u{0}",
        ];
        for line in bad {
            let mut cutter = Cutter::new(Shape::Record, 2, None);
            cutter
                .push(b"{\"value\":1}\n{\"value\":2}\n{\"value\":3}\n")
                .unwrap();
            let error = cutter.push(format!("{line}\n").as_bytes()).unwrap_err();
            assert_eq!(error.line, 4, "{line}");
            assert_eq!(
                bodies(&mut cutter),
                ["{\"records\":[{\"value\":1},{\"value\":2}]}"]
            );
        }
        let mut cutter = Cutter::new(Shape::Record, 2, None);
        let error = cutter.push(b"{\"value\":\"\xff\"}\n").unwrap_err();
        assert_eq!(
            error,
            BadLine {
                line: 1,
                reason: "not UTF-8 at byte 11".to_owned()
            }
        );
    }
}
