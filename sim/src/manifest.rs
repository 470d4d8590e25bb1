//! The rows of segments, changed by the rules of the service's SQL: `TermChange` and `SegmentRow` in
//! `api/src/metadata/store`. SQL and Rust cannot share a rule; each function here says what it mirrors.

use headwater_broker::{
    ColdSummary, Written,
    replica::{Rule, Rules},
};

use crate::store::Micros;

/// How long a row stays doomed before its object is deleted.
const DELETE_DELAY: Micros = 2_000_000;

/// What a leader asks about its partition's segments.
#[derive(Debug, Clone)]
pub enum Ask {
    /// What is live.
    Summary,
    /// All live rows that end after an offset.
    Live(u64),
    /// A name is about to be written to, for these offsets.
    Intend {
        /// The name.
        key: u64,
        /// The first offset,
        base: u64,
        /// and one past the last.
        end: u64,
        /// It is to take the place of live ones.
        is_instead: bool,
    },
    /// The object of this name is to be live.
    Publish(u64),
    /// The object of this name is to be live in the place of these.
    Replace(u64, Vec<u64>),
    /// What was intended is given up.
    Abandon,
    /// What ends here or before is to go.
    Retire(u64),
}

/// What it is told.
#[derive(Debug, Clone)]
pub enum Told {
    /// What is live.
    Summary(ColdSummary),
    /// Live rows, by offset.
    Live(Vec<Row>),
    /// What became of a change.
    Written(Written),
}

/// What a row says of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It may be written.
    Uploading,
    /// It is read.
    Live,
    /// It is to be deleted.
    Doomed,
}

/// A segment's row.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The object's name.
    pub key: u64,
    /// Its first offset,
    pub base: u64,
    /// and one past its last.
    pub end: u64,
    /// The term in which it was intended.
    pub epoch: i32,
    /// What it says.
    pub state: State,
    /// Compaction has been over it.
    pub is_clean: bool,
    since: Micros,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It went live behind the last one,
    Published,
    /// or in the place of others.
    Replaced,
    /// It ceased to be live.
    Retired,
}

/// One partition's rows.
#[derive(Debug, Default)]
struct Part {
    cold_end: u64,
    rows: Vec<Row>,
}

/// All rows.
#[derive(Debug)]
pub struct Manifest {
    parts: Vec<Part>,
    rules: Rules,
    /// Intents that were given up.
    pub abandoned: u64,
    /// Rows that went live or ceased to be, with their partitions: to be checked.
    pub changed: Vec<(usize, Row, Change)>,
}

impl Manifest {
    /// No rows.
    pub fn new(partitions: usize, rules: Rules) -> Self {
        Self {
            parts: (0..partitions).map(|_| Part::default()).collect(),
            rules,
            abandoned: 0,
            changed: Vec::new(),
        }
    }

    /// Does what is asked in a term, whole. `term` is the partition's now.
    pub fn ask(
        &mut self,
        now: Micros,
        partition: usize,
        (epoch, term): (i32, i32),
        ask: Ask,
    ) -> Told {
        // `change_in_term`: the transaction holds the partition's row, and the term is its.
        let is_fenced = epoch != term && self.rules.hold(Rule::SegmentInTerm);
        let written = match ask {
            Ask::Summary => return Told::Summary(self.summary(partition)),
            Ask::Live(from) => return Told::Live(self.segments(partition, from)),
            _ if is_fenced => Written::Fenced,
            Ask::Intend {
                key,
                base,
                end,
                is_instead,
            } => {
                let row = Row {
                    key,
                    base,
                    end,
                    epoch,
                    state: State::Uploading,
                    is_clean: is_instead,
                    since: now,
                };
                self.intend(partition, row)
            }
            Ask::Publish(key) => self.publish(now, partition, epoch, key),
            Ask::Replace(key, replaced) => self.replace(now, partition, (epoch, key), &replaced),
            Ask::Abandon => self.doom(now, partition, |row| {
                row.state == State::Uploading && row.epoch <= epoch
            }),
            Ask::Retire(log_start) => self.doom(now, partition, |row| {
                row.state == State::Live && row.end <= log_start
            }),
        };
        Told::Written(written)
    }

    /// `SegmentRow::summaries`.
    fn summary(&self, partition: usize) -> ColdSummary {
        let live = || self.live(partition);
        let end = self.parts[partition].cold_end;
        ColdSummary {
            start: live().map(|row| row.base).min().unwrap_or(end),
            end,
            bytes: live().map(|row| row.end - row.base).sum(),
            segments: live().count() as u64,
        }
    }

    /// `TermChange::intend`.
    fn intend(&mut self, partition: usize, row: Row) -> Written {
        let part = &mut self.parts[partition];
        let fits = match row.is_clean {
            false => row.base >= part.cold_end,
            true => row.end <= part.cold_end,
        };
        if !fits && self.rules.hold(Rule::SegmentIsNext) {
            return Written::NotNext(part.cold_end);
        }
        part.rows.push(row);
        Written::Done
    }

    /// `TermChange::publish`. No answer is asked for twice here, so none is repeated.
    fn publish(&mut self, now: Micros, partition: usize, epoch: i32, key: u64) -> Written {
        let is_next = |row: &Row, part: &Part| {
            let any_live = part.rows.iter().any(|row| row.state == State::Live);
            row.base == part.cold_end || row.base > part.cold_end && !any_live
        };
        let intended =
            |row: &Row| row.key == key && row.epoch == epoch && row.state == State::Uploading;
        let part = &mut self.parts[partition];
        let Some(at) = part.rows.iter().position(intended) else {
            return Written::Fenced;
        };
        if !is_next(&part.rows[at], part) && self.rules.hold(Rule::SegmentIsNext) {
            return Written::NotNext(part.cold_end);
        }
        let row = &mut part.rows[at];
        (row.state, row.since) = (State::Live, now);
        part.cold_end = row.end;
        self.changed.push((partition, *row, Change::Published));
        Written::Done
    }

    /// `TermChange::replace`.
    fn replace(
        &mut self,
        now: Micros,
        partition: usize,
        (epoch, key): (i32, u64),
        replaced: &[u64],
    ) -> Written {
        let intended =
            |row: &Row| row.key == key && row.epoch == epoch && row.state == State::Uploading;
        let Some(intent) = self.rows(partition).iter().copied().find(intended) else {
            return Written::Fenced;
        };
        let theirs = |row: &Row| row.state == State::Live && replaced.contains(&row.key);
        let mut rows: Vec<Row> = self.live(partition).copied().filter(theirs).collect();
        rows.sort_unstable_by_key(|row| row.base);
        let end = rows
            .iter()
            .try_fold(intent.base, |at, row| (row.base == at).then_some(row.end));
        if rows.len() != replaced.len() || end != Some(intent.end) {
            return Written::NotThere;
        }
        for row in &mut self.parts[partition].rows {
            if theirs(row) {
                (row.state, row.since) = (State::Doomed, now);
            } else if row.key == key {
                (row.state, row.since) = (State::Live, now);
                self.changed.push((partition, *row, Change::Replaced));
            }
        }
        Written::Done
    }

    /// `SegmentRow::after`.
    fn segments(&self, partition: usize, from: u64) -> Vec<Row> {
        let live = self.live(partition).filter(|row| row.end > from);
        let mut rows: Vec<Row> = live.copied().collect();
        rows.sort_unstable_by_key(|row| row.base);
        rows
    }

    /// `TermChange::doom`.
    fn doom(&mut self, now: Micros, partition: usize, goes: impl Fn(&Row) -> bool) -> Written {
        for row in self.parts[partition].rows.iter_mut().filter(|r| goes(r)) {
            let was_live = row.state == State::Live;
            self.abandoned += u64::from(!was_live);
            (row.state, row.since) = (State::Doomed, now);
            let retired = was_live.then_some((partition, *row, Change::Retired));
            self.changed.extend(retired);
        }
        Written::Done
    }

    /// `SegmentRow::doomed`: names of objects to delete.
    pub fn doomed(&self, now: Micros) -> Vec<u64> {
        let rows = self.parts.iter().flat_map(|part| &part.rows);
        rows.filter(|row| row.state == State::Doomed && row.since + DELETE_DELAY <= now)
            .map(|row| row.key)
            .collect()
    }

    /// `SegmentRow::forget`.
    pub fn forget(&mut self, keys: &[u64]) {
        for part in &mut self.parts {
            let goes = |row: &Row| row.state == State::Doomed && keys.contains(&row.key);
            part.rows.retain(|row| !goes(row));
        }
    }

    /// A partition's rows, in the order of their intents.
    pub fn rows(&self, partition: usize) -> &[Row] {
        &self.parts[partition].rows
    }

    /// Those that are live.
    pub fn live(&self, partition: usize) -> impl Iterator<Item = &Row> {
        let rows = self.parts[partition].rows.iter();
        rows.filter(|row| row.state == State::Live)
    }

    /// The live row of an offset.
    pub fn row_of(&self, partition: usize, offset: u64) -> Option<Row> {
        let mut live = self.live(partition);
        live.find(|row| (row.base..row.end).contains(&offset))
            .copied()
    }
}
