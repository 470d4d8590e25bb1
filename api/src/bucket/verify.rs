//! Comparing rows and objects. Two walks, neither of which needs the other's order or more memory than a
//! page: over the rows by name, each of which finds its object; and over the listing, in whatever order
//! the store has, each page of which finds its rows.

use futures_util::{StreamExt, TryStreamExt, stream};
use headwater_tiered::{
    CLAIM_KEY, SegmentRef, Store as Objects, StoreError as ObjectError, StoreErrorKind, VerifyError,
};
use serde::Serialize;

use super::{
    Done, VerifyArgs, open_both, parts_of,
    report::{Finding, Kind, Report},
};
use crate::metadata::{
    Store,
    store::{HeldRow, TopicNames},
};

/// Rows that are read at once.
const ROWS_AT_ONCE: usize = 1_000;
/// Objects that are read at once: each takes up to 16 MiB.
const READ_AT_ONCE: usize = 4;
/// Objects whose sizes are asked for at once.
const ASKED_AT_ONCE: usize = 32;

/// What a verification has met.
#[derive(Default, Serialize)]
struct Summary {
    /// Live rows that were compared with their objects.
    compared: u64,
    /// Bytes of these objects.
    compared_bytes: u64,
    /// Objects in the bucket.
    listed: u64,
    /// Bytes of these.
    listed_bytes: u64,
    missing: u64,
    missing_bytes: u64,
    damaged: u64,
    damaged_bytes: u64,
    stray: u64,
    stray_bytes: u64,
    /// Rows whose objects brokers are about to delete.
    doomed: u64,
    /// Rows of objects that are being written, or whose writing was given up.
    uploading: u64,
}

impl Summary {
    fn count(&mut self, finding: &Finding) {
        let bytes = finding.bytes.unwrap_or(0);
        let (count, sum) = match finding.finding {
            Kind::Missing => (&mut self.missing, &mut self.missing_bytes),
            Kind::Damaged => (&mut self.damaged, &mut self.damaged_bytes),
            _ => (&mut self.stray, &mut self.stray_bytes),
        };
        *count += 1;
        *sum += bytes;
    }

    fn is_clean(&self) -> bool {
        self.missing + self.damaged + self.stray == 0
    }
}

struct Verification {
    objects: Objects,
    store: Store,
    report: Report,
    shallow: bool,
    summary: Summary,
}

pub(super) async fn run(args: &VerifyArgs) -> Done<bool> {
    let (objects, store) = open_both(&args.places).await?;
    let mut verification = Verification {
        objects,
        store,
        report: Report::new(),
        shallow: args.shallow,
        summary: Summary::default(),
    };
    verification.rows().await?;
    verification.listing().await?;
    let Verification {
        store,
        report,
        summary,
        ..
    } = verification;
    report.end(&summary)?;
    store.close().await;
    Ok(summary.is_clean())
}

impl Verification {
    /// Finds the object of every live row.
    async fn rows(&mut self) -> Done<()> {
        let mut after = String::new();
        loop {
            let mut connection = self.store.connection().await?;
            let page = HeldRow::page(&mut connection, &after, ROWS_AT_ONCE).await?;
            drop(connection);
            let Some(last) = page.last() else {
                return Ok(());
            };
            after.clone_from(&last.object_key);
            let mut live = Vec::new();
            for row in page {
                match row.state.as_str() {
                    _ if row.is_live() => live.push(row),
                    "uploading" => self.summary.uploading += 1,
                    _ => self.summary.doomed += 1,
                }
            }
            let at_once = match self.shallow {
                true => ASKED_AT_ONCE,
                false => READ_AT_ONCE,
            };
            let (objects, store, shallow) =
                (self.objects.clone(), self.store.clone(), self.shallow);
            let mut compared = stream::iter(live)
                .map(|row| compare(&objects, &store, row, shallow))
                .buffer_unordered(at_once);
            while let Some((bytes, finding)) = compared.try_next().await? {
                self.summary.compared += 1;
                self.summary.compared_bytes += bytes;
                if let Some(finding) = finding {
                    self.say(finding).await?;
                }
                self.tell();
            }
        }
    }

    /// Finds the rows of every object.
    async fn listing(&mut self) -> Done<()> {
        let mut parts = parts_of(&self.objects);
        while let Some(part) = parts.try_next().await? {
            let keys: Vec<_> = part.iter().map(|listed| listed.key.as_str()).collect();
            let mut connection = self.store.connection().await?;
            let known = HeldRow::known(&mut connection, self.store.engine(), &keys).await?;
            drop(connection);
            for listed in &part {
                self.summary.listed += 1;
                self.summary.listed_bytes += listed.size_bytes;
                if listed.key == CLAIM_KEY || known.contains(&listed.key) {
                    continue;
                }
                // Its row may have gone after it did, which was after the listing had it.
                if self.objects.find(&listed.key).await?.is_some() {
                    self.say(Finding::stray(listed)).await?;
                }
            }
            self.tell();
        }
        Ok(())
    }

    async fn say(&mut self, finding: Finding) -> Done<()> {
        let mut connection = self.store.connection().await?;
        let names = match &finding.topic_id {
            Some(topic_id) => TopicNames::of(&mut connection, topic_id).await?,
            None => TopicNames::default(),
        };
        self.summary.count(&finding);
        self.report.line(&finding.named(names))
    }

    fn tell(&self) {
        let Summary {
            compared, listed, ..
        } = self.summary;
        self.report
            .progress(format!("{compared} objects compared, {listed} listed"));
    }
}

/// Compares an object with its row; the object's bytes, and what is wrong.
async fn compare(
    objects: &Objects,
    store: &Store,
    row: HeldRow,
    shallow: bool,
) -> Done<(u64, Option<Finding>)> {
    let key = &row.object_key;
    let (bytes, wrong) = match row.segment() {
        Ok(segment) => {
            let wrong = wrong_with(objects, &segment, shallow).await?;
            (segment.size_bytes, wrong)
        }
        Err(error) => {
            let detail = format!("its row cannot be read: {error}");
            (0, Some((Kind::Damaged, detail)))
        }
    };
    let Some((kind, detail)) = wrong else {
        return Ok((bytes, None));
    };
    // Its row may have been doomed meanwhile, and the object deleted.
    let mut connection = store.connection().await?;
    let is_same = HeldRow::get(&mut connection, key).await?.as_ref() == Some(&row);
    let finding = is_same.then(|| Finding::of_key(kind, key, bytes, detail));
    Ok((bytes, finding))
}

async fn wrong_with(
    objects: &Objects,
    segment: &SegmentRef,
    shallow: bool,
) -> Result<Option<(Kind, String)>, ObjectError> {
    let compared = match shallow {
        false => objects.verify(segment).await,
        true => match objects.find(&segment.key).await? {
            None => Err(VerifyError::Missing),
            Some(found) if found.size_bytes != segment.size_bytes => Err(VerifyError::Size {
                written: segment.size_bytes,
                found: found.size_bytes,
            }),
            Some(_) => Ok(()),
        },
    };
    match compared {
        Ok(()) => Ok(None),
        Err(VerifyError::Store(error)) if error.kind() != StoreErrorKind::Corrupt => Err(error),
        Err(error @ VerifyError::Missing) => Ok(Some((Kind::Missing, error.to_string()))),
        Err(error) => Ok(Some((Kind::Damaged, error.to_string()))),
    }
}
