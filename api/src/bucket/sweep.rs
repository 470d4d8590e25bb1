//! Deleting what was abandoned. A name is used for one upload alone, and its row comes before its object:
//! so an object with a segment's name and without a row is referred to by nobody, and never will be.

use std::collections::HashSet;

use futures_util::TryStreamExt;
use headwater_tiered::{CLAIM_KEY, Listed, Store as Objects};
use serde::Serialize;

use super::{
    Done, SweepArgs, open_both, parts_of,
    report::{Finding, Report},
};
use crate::metadata::{
    Store,
    store::{HeldRow, StrayRow, TopicNames},
};

#[derive(Default, Serialize)]
struct Summary {
    listed: u64,
    /// Strays that wait for a later look.
    noted: u64,
    noted_bytes: u64,
    deleted: u64,
    deleted_bytes: u64,
    /// Files that are no segment's: they stay.
    foreign: u64,
    foreign_bytes: u64,
    dry_run: bool,
}

struct Sweep {
    objects: Objects,
    store: Store,
    report: Report,
    summary: Summary,
    /// When this look began, by the database's clock.
    look: i64,
    older_than_ms: i64,
    dry_run: bool,
}

pub(super) async fn run(args: &SweepArgs) -> Done<()> {
    let (objects, store) = open_both(&args.places).await?;
    let look = store.now_ms().await?;
    let mut sweep = Sweep {
        objects,
        store,
        report: Report::new(),
        summary: Summary {
            dry_run: args.dry_run,
            ..Summary::default()
        },
        look,
        older_than_ms: i64::try_from(args.older_than.as_millis()).unwrap_or(i64::MAX),
        dry_run: args.dry_run,
    };
    let mut parts = parts_of(&sweep.objects);
    while let Some(part) = parts.try_next().await? {
        sweep.part(part).await?;
        let Summary {
            listed, deleted, ..
        } = sweep.summary;
        sweep
            .report
            .progress(format!("{listed} objects listed, {deleted} deleted"));
    }
    let Sweep {
        store,
        report,
        summary,
        ..
    } = sweep;
    if !args.dry_run {
        let mut connection = store.connection().await?;
        StrayRow::forget_before(&mut connection, look).await?;
    }
    report.end(&summary)?;
    store.close().await;
    Ok(())
}

/// Whether an object that was asked for by its name is the one of the listing. Servers tell such askers
/// whole seconds only.
fn is_same(found: &Listed, listed: &Listed) -> bool {
    found.size_bytes == listed.size_bytes
        && found.last_modified_ms / 1000 == listed.last_modified_ms / 1000
}

impl Sweep {
    async fn part(&mut self, part: Vec<Listed>) -> Done<()> {
        self.summary.listed += part.len() as u64;
        let (mut segments, mut foreign) = (part, Vec::new());
        segments.retain(|listed| {
            if listed.segment.is_none() && listed.key != CLAIM_KEY {
                foreign.push(listed.clone());
            }
            listed.segment.is_some()
        });
        for listed in foreign {
            self.summary.foreign += 1;
            self.summary.foreign_bytes += listed.size_bytes;
            self.say(&listed, "kept").await?;
        }
        self.keep_unknown(&mut segments).await?;
        if segments.is_empty() {
            return Ok(());
        }
        let rows = self.seen(&segments).await?;
        let mut due = Vec::new();
        for (listed, row) in segments.into_iter().zip(rows) {
            // Another look, not this one, has seen it first.
            let is_due =
                row.first_seen < self.look && self.look - row.first_seen >= self.older_than_ms;
            match is_due {
                true => due.push(listed),
                false => {
                    self.summary.noted += 1;
                    self.summary.noted_bytes += listed.size_bytes;
                    self.say(&listed, "noted").await?;
                }
            }
        }
        self.delete(due).await
    }

    /// Leaves those that have no row.
    async fn keep_unknown(&self, segments: &mut Vec<Listed>) -> Done<()> {
        let keys: Vec<_> = segments.iter().map(|listed| listed.key.as_str()).collect();
        let mut connection = self.store.connection().await?;
        let known: HashSet<_> = HeldRow::known(&mut connection, self.store.engine(), &keys).await?;
        segments.retain(|listed| !known.contains(&listed.key));
        Ok(())
    }

    /// What is known of these strays, this look counted.
    async fn seen(&self, strays: &[Listed]) -> Done<Vec<StrayRow>> {
        let keys: Vec<_> = strays.iter().map(|listed| listed.key.as_str()).collect();
        let mut connection = self.store.connection().await?;
        let engine = self.store.engine();
        let before = StrayRow::of(&mut connection, engine, &keys).await?;
        let rows = strays.iter().map(|listed| {
            let size_bytes = i64::try_from(listed.size_bytes).unwrap_or(i64::MAX);
            let is_unchanged = |row: &&StrayRow| {
                row.size_bytes == size_bytes && row.last_modified == listed.last_modified_ms
            };
            let before = before.get(&listed.key).filter(is_unchanged);
            StrayRow {
                object_key: listed.key.clone(),
                size_bytes,
                last_modified: listed.last_modified_ms,
                first_seen: before.map_or(self.look, |row| row.first_seen),
                last_seen: self.look,
            }
        });
        let rows: Vec<_> = rows.collect();
        if !self.dry_run {
            StrayRow::note(&mut connection, engine, &rows).await?;
        }
        Ok(rows)
    }

    /// Deletes what is still as it was seen, and still has no row.
    async fn delete(&mut self, mut due: Vec<Listed>) -> Done<()> {
        if due.is_empty() {
            return Ok(());
        }
        self.keep_unknown(&mut due).await?;
        let mut same = Vec::with_capacity(due.len());
        for listed in due {
            let found = self.objects.find(&listed.key).await?;
            if found.is_some_and(|found| is_same(&found, &listed)) {
                same.push(listed);
            }
        }
        if !self.dry_run {
            let keys = same.iter().map(|listed| listed.key.clone()).collect();
            self.objects.delete(keys).await?;
        }
        for listed in same {
            self.summary.deleted += 1;
            self.summary.deleted_bytes += listed.size_bytes;
            self.say(&listed, "deleted").await?;
        }
        Ok(())
    }

    async fn say(&self, listed: &Listed, action: &'static str) -> Done<()> {
        let mut finding = Finding::stray(listed);
        finding.action = Some(action);
        if let Some(topic_id) = &finding.topic_id {
            let mut connection = self.store.connection().await?;
            let names = TopicNames::of(&mut connection, topic_id).await?;
            finding = finding.named(names);
        }
        self.report.line(&finding)
    }
}
