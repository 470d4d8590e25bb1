//! One line of the result.

use std::io::{self, Write};

/// What is wanted of a ratio or a number.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// Not below.
    AtLeast(f64),
    /// Not above.
    AtMost(f64),
    /// Nothing is promised.
    None,
}

impl Target {
    fn is_met(self, value: f64) -> Option<bool> {
        match self {
            Target::AtLeast(least) => Some(value >= least),
            Target::AtMost(most) => Some(value <= most),
            Target::None => None,
        }
    }

    fn text(self) -> String {
        match self {
            Target::AtLeast(least) => format!(">= {least}"),
            Target::AtMost(most) => format!("<= {most}"),
            Target::None => "-".to_owned(),
        }
    }
}

/// The product's number beside a yardstick's.
#[derive(Debug)]
pub struct Line {
    /// The row.
    pub name: String,
    /// What the numbers count.
    pub unit: &'static str,
    /// The product's, if it could be measured.
    pub product: f64,
    /// What it is measured by, and that one's number; none: the number stands for itself.
    pub yardstick: Option<(&'static str, f64)>,
    /// Product by yardstick, or the number itself.
    pub judged: f64,
    /// What `judged` should be.
    pub target: Target,
    /// Why there are no numbers.
    pub failure: Option<String>,
}

impl Line {
    /// A row that could not be measured.
    pub fn failed(name: &str, reason: &str) -> Line {
        Line {
            name: name.to_owned(),
            unit: "",
            product: 0.0,
            yardstick: None,
            judged: 0.0,
            target: Target::None,
            failure: Some(reason.to_owned()),
        }
    }

    /// Writes the names of the columns.
    pub fn write_head(out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "{:<26} {:<12} {:>12} {:>12} {:<18} {:>8} {:>8}",
            "row", "unit", "headwater", "yardstick", "", "ratio", "target"
        )
    }

    /// Writes the columns.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(reason) = &self.failure {
            return writeln!(out, "{:<26} failed: {reason}", self.name);
        }
        let (yardstick, number, ratio) = match self.yardstick {
            Some((name, number)) => (name, short(number), format!("{:.2}", self.judged)),
            None => ("", String::new(), String::new()),
        };
        let verdict = match self.target.is_met(self.judged) {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        writeln!(
            out,
            "{:<26} {:<12} {:>12} {:>12} {:<18} {:>8} {:>8} {verdict}",
            self.name,
            self.unit,
            short(self.product),
            number,
            yardstick,
            ratio,
            self.target.text()
        )?;
        out.flush()
    }
}

fn short(number: f64) -> String {
    if number >= 100.0 {
        format!("{number:.0}")
    } else {
        format!("{number:.2}")
    }
}

/// The middle of some numbers; the mean of the two middle ones if there is none.
pub fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (odd, middle) if odd % 2 == 1 => sorted[middle],
        (_, middle) => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}
