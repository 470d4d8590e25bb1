//! What is said on standard output, one JSON object a line, and on a terminal while it takes its time.

use std::io::{IsTerminal, Write};

use headwater_tiered::{Listed, SegmentKey};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{Done, Failure};
use crate::metadata::store::TopicNames;

/// What is wrong with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A row without its object.
    Missing,
    /// An object that is not what its row says, or what its name says.
    Damaged,
    /// An object that nothing refers to, or a file that is no segment's.
    Stray,
    /// Offsets that are in no object.
    Hole,
    /// A topic that has another name now.
    Renamed,
}

/// One line.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// What it is.
    pub finding: Kind,
    /// Name of the object below the bucket's prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its bytes; of what is missing those that it had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Whose it is, as far as the database or the object says.
    #[serde(flatten)]
    pub names: TopicNames,
    /// The topic's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
    /// The partition's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// First offset that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_offset: Option<u64>,
    /// One past the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_offset: Option<u64>,
    /// In words.
    pub detail: String,
    /// What is done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<&'static str>,
}

impl Finding {
    /// About an object of this name, of which that tells what it can.
    pub fn of_key(finding: Kind, key: &str, bytes: u64, detail: impl ToString) -> Self {
        let segment = SegmentKey::parse(key);
        Self {
            finding,
            key: Some(key.to_owned()),
            bytes: Some(bytes),
            names: TopicNames::default(),
            topic_id: segment.map(|segment| segment.topic_id.to_string()),
            partition: segment.map(|segment| segment.partition),
            base_offset: segment.map(|segment| segment.base_offset),
            end_offset: segment.map(|segment| segment.end_offset),
            detail: detail.to_string(),
            action: None,
        }
    }

    /// About an object that nothing refers to.
    pub fn stray(listed: &Listed) -> Self {
        let detail = match listed.segment {
            Some(_) => "no row names it",
            None => "it is no segment's name",
        };
        Self::of_key(Kind::Stray, &listed.key, listed.size_bytes, detail)
    }

    /// The same of a topic with these names.
    pub fn named(self, names: TopicNames) -> Self {
        Self { names, ..self }
    }
}

/// Writes findings, and shows how far the work is.
pub struct Report {
    bar: ProgressBar,
}

impl Report {
    /// Draws on standard error if that is a terminal.
    pub fn new() -> Self {
        let bar = match std::io::stderr().is_terminal() {
            true => ProgressBar::new_spinner(),
            false => ProgressBar::hidden(),
        };
        let style = ProgressStyle::with_template("{spinner} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        Self { bar }
    }

    /// Shows how far the work is.
    pub fn progress(&self, text: String) {
        self.bar.set_message(text);
    }

    /// Writes one line.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn line(&self, line: &impl Serialize) -> Done<()> {
        let mut text = serde_json::to_vec(line)
            .map_err(|error| Failure::Output(std::io::Error::other(error)))?;
        text.push(b'\n');
        let write = || std::io::stdout().lock().write_all(&text);
        self.bar.suspend(write).map_err(Failure::Output)
    }

    /// Writes one line to standard error, for people.
    pub fn note(&self, text: &str) {
        // Nobody is left to tell when standard error is closed.
        let write = || drop(writeln!(std::io::stderr(), "headwater: {text}"));
        self.bar.suspend(write);
    }

    /// Writes the last line.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn end(self, summary: &impl Serialize) -> Done<()> {
        self.bar.finish_and_clear();
        self.line(&serde_json::json!({ "summary": summary }))
    }
}
