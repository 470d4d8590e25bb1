//! What was found, for people and for programs.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::Serialize;

/// How it stands with what was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing is to be done.
    Ok,
    /// It works, but somebody should look at it.
    Warning,
    /// It must be fixed.
    Failed,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What was checked.
    pub check: &'static str,
    /// How it stands.
    pub status: Status,
    /// What is there, or what is wrong.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// What was measured, by names with units.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<&'static str, f64>,
}

impl Finding {
    fn new(check: &'static str, status: Status, found: String, advice: Option<String>) -> Self {
        Self {
            check,
            status,
            found,
            advice,
            figures: BTreeMap::new(),
        }
    }

    /// All is well.
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, Status::Ok, found.into(), None)
    }

    /// Somebody should look at it.
    pub fn warning(
        check: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::new(check, Status::Warning, found.into(), Some(advice.into()))
    }

    /// It must be fixed.
    pub fn failed(
        check: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::new(check, Status::Failed, found.into(), Some(advice.into()))
    }

    /// The same with something that was measured.
    pub fn with(mut self, name: &'static str, figure: f64) -> Self {
        self.figures.insert(name, figure);
        self
    }
}

/// Everything that was found, in the order it was looked for.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether nothing must be fixed.
    pub ok: bool,
    /// What each check found.
    pub checks: Vec<Finding>,
}

impl Report {
    /// A report of these findings.
    pub fn new(checks: Vec<Finding>) -> Self {
        Self {
            ok: checks.iter().all(|check| check.status != Status::Failed),
            checks,
        }
    }

    /// Writes it as one line a check.
    ///
    /// # Errors
    /// Nobody reads.
    pub fn write_text(&self, mut out: impl Write) -> io::Result<()> {
        for check in &self.checks {
            let status = match check.status {
                Status::Ok => "ok",
                Status::Warning => "warning",
                Status::Failed => "FAILED",
            };
            write!(out, "{status:<8} {:<20} {}", check.check, check.found)?;
            match &check.advice {
                Some(advice) => writeln!(out, ": {advice}")?,
                None => writeln!(out)?,
            }
        }
        let count = |status| {
            let alike = self.checks.iter().filter(|check| check.status == status);
            alike.count()
        };
        let (failed, warnings) = (count(Status::Failed), count(Status::Warning));
        match (failed, warnings) {
            (0, 0) => writeln!(out, "\nall is well"),
            (0, _) => writeln!(out, "\nnothing must be fixed; {warnings} to look at"),
            _ => writeln!(out, "\n{failed} must be fixed, {warnings} to look at"),
        }
    }

    /// Writes it as one JSON object.
    ///
    /// # Errors
    /// Nobody reads.
    pub fn write_json(&self, mut out: impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut out, self)?;
        writeln!(out)
    }
}
