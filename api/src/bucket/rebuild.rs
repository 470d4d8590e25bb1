//! Making rows out of objects. Topics are made one after the other, the newest first, and their partitions
//! are read a few at a time; so memory is bounded by the objects of these, whatever the bucket has.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use headwater_broker::{
    Clock, PartitionId, SystemClock,
    replica::{Beginning, Starts},
};
use headwater_tiered::{CLAIM_KEY, Descriptor, Store as Objects, TopicId};
use serde::Serialize;

use super::{
    Done, Failure, RebuildArgs,
    chain::{Chain, Piece},
    objects::Found,
    open_objects,
    report::{Finding, Kind, Report},
};
use crate::{
    auth::{encode_hex, random_secret},
    metadata::{
        Store, TopicRow,
        store::{Begun, OrganizationRow, ProjectRow, RebuiltPartition, RebuiltTopic, TopicNames},
    },
};

/// Partitions whose objects are read at once.
const PARTITIONS_AT_ONCE: usize = 4;
/// Rows of segments that are written by one transaction.
const SEGMENTS_AT_ONCE: usize = 1_000;
/// Copies of partitions of topics whose objects are from before they said how many.
const REPLICATION_FACTOR: u32 = 3;

#[derive(Default, Serialize)]
struct Summary {
    topics: u64,
    partitions: u64,
    segments: u64,
    segment_bytes: u64,
    stray: u64,
    stray_bytes: u64,
    damaged: u64,
    damaged_bytes: u64,
    holes: u64,
    dry_run: bool,
}

struct Rebuild {
    objects: Objects,
    /// Nothing is written without.
    store: Option<Store>,
    report: Report,
    summary: Summary,
    /// The most copies that a partition may have.
    copies_max: Option<u32>,
    at_ms: i64,
    /// An organization and a project in it, to tell how owners are made.
    some_project: Option<(String, String)>,
    /// Objects of segments that there are.
    listed: u64,
    /// Of these, how many were read.
    read: u64,
}

pub(super) async fn run(args: &RebuildArgs) -> Done<()> {
    let objects = open_objects(&args.places)?;
    let Some(cluster_id) = objects.claimed_by().await? else {
        return Err(Failure::Refused(format!(
            "{objects} is not Headwater's: there is no {} in it",
            CLAIM_KEY
        )));
    };
    let (report, at_ms) = (Report::new(), SystemClock.now_ms());
    let store = match args.dry_run {
        true => None,
        false => Some(begin(args, &cluster_id, &report, at_ms).await?),
    };
    let is_one_broker = store.as_ref().is_some_and(|store| !store.is_shared());
    let mut rebuild = Rebuild {
        objects,
        store,
        report,
        summary: Summary {
            dry_run: args.dry_run,
            ..Summary::default()
        },
        copies_max: is_one_broker.then_some(1).or(args.replication_factor),
        at_ms,
        some_project: None,
        listed: 0,
        read: 0,
    };
    rebuild.all().await?;
    let Rebuild {
        store,
        report,
        summary,
        some_project,
        ..
    } = rebuild;
    if let Some(store) = store {
        store.end_rebuild().await?;
        store.close().await;
        let (organization, project) = some_project.unwrap_or(("ORG".into(), "PROJECT".into()));
        report.note(&format!(
            "for each project, make an owner and a key: headwater admin bootstrap --database DATABASE \
             --org {organization} --project {project} --email YOU"
        ));
    }
    report.end(&summary)
}

async fn begin(args: &RebuildArgs, cluster_id: &str, report: &Report, at_ms: i64) -> Done<Store> {
    let store = Store::open(&args.places.database).await?;
    match store.begin_rebuild(cluster_id, at_ms).await? {
        Begun::Empty { removed_topics: 0 } => {}
        Begun::Empty { removed_topics } => report.note(&format!(
            "{removed_topics} topics of a rebuild that was interrupted were removed: it begins anew"
        )),
        Begun::InUse(why) => {
            return Err(Failure::Refused(format!(
                "rebuild needs an empty database, and this one is not: {why}"
            )));
        }
    }
    Ok(store)
}

impl Rebuild {
    async fn all(&mut self) -> Done<()> {
        let mut topics: BTreeMap<TopicId, BTreeSet<u32>> = BTreeMap::new();
        let mut listing = self.objects.list();
        while let Some(listed) = listing.try_next().await? {
            if let Some(segment) = listed.segment {
                let partitions = topics.entry(segment.topic_id).or_default();
                partitions.insert(segment.partition);
                self.listed += 1;
                self.report
                    .progress(format!("{} objects listed", self.listed));
            } else if listed.key != CLAIM_KEY {
                self.say(Finding::stray(&listed))?;
            }
        }
        // Ids grow with time: of topics with one name the newest keeps it.
        for (topic_id, partitions) in topics.into_iter().rev() {
            self.topic(topic_id, &partitions).await?;
        }
        Ok(())
    }

    async fn topic(&mut self, topic_id: TopicId, numbers: &BTreeSet<u32>) -> Done<()> {
        let objects = self.objects.clone();
        let mut partitions = stream::iter(numbers)
            .map(|number| async {
                let found = Found::of(&objects, topic_id, *number).await?;
                Ok::<_, Failure>((*number, found))
            })
            .buffered(PARTITIONS_AT_ONCE);
        let (mut rebuilt, mut best) = (Vec::new(), Found::default());
        let mut count = 0;
        while let Some((number, found)) = partitions.try_next().await? {
            self.read += found.count;
            self.report
                .progress(format!("{} of {} objects read", self.read, self.listed));
            if let Some(newest) = found.newest.clone() {
                count = count.max(newest.partitions).max(number + 1);
                best.learn(newest);
            }
            let id = PartitionId {
                topic: headwater_broker::TopicId(topic_id.0),
                partition: number,
            };
            rebuilt.push(self.partition(id, found).await?);
        }
        let Some(newest) = best.newest else {
            // Nothing of it can be read, and that was said.
            return Ok(());
        };
        // Partitions without an object begin at 0, as they did.
        for partition in 0..count {
            if !numbers.contains(&partition) {
                let id = PartitionId {
                    topic: headwater_broker::TopicId(topic_id.0),
                    partition,
                };
                rebuilt.push(self.partition(id, Found::default()).await?);
            }
        }
        self.summary.topics += 1;
        self.summary.partitions += rebuilt.len() as u64;
        self.write_topic(newest, count, rebuilt).await
    }

    /// Chooses the segments of a partition, and writes their rows.
    async fn partition(&mut self, id: PartitionId, found: Found) -> Done<RebuiltPartition> {
        let names = found.newest.as_ref().map(names).unwrap_or_default();
        for finding in found.damaged {
            self.say(finding.named(names.clone()))?;
        }
        let chain = Chain::choose(found.pieces);
        for Piece { segment, .. } in &chain.unused {
            let detail = "other objects make the partition's log";
            let finding = Finding::of_key(Kind::Stray, &segment.key, segment.size_bytes, detail);
            self.say(finding.named(names.clone()))?;
        }
        if let Some(hole) = &chain.hole {
            self.say(Finding {
                finding: Kind::Hole,
                key: None,
                bytes: None,
                names,
                topic_id: Some(id.topic.to_string()),
                partition: Some(id.partition),
                base_offset: Some(hole.start),
                end_offset: Some(hole.end),
                detail: format!("the log begins after it, at {}", hole.end),
                action: None,
            })?;
        }
        let segments: Vec<_> = chain.pieces.iter().map(|p| p.segment.clone()).collect();
        self.summary.segments += segments.len() as u64;
        self.summary.segment_bytes += segments.iter().map(|s| s.size_bytes).sum::<u64>();
        if let Some(store) = &self.store {
            for part in segments.chunks(SEGMENTS_AT_ONCE) {
                store.add_rebuilt_segments(id, part).await?;
            }
        }
        let too_high = |_| Failure::Refused(format!("{id} has no higher epoch for a leader"));
        Ok(RebuiltPartition {
            id,
            leader_epoch: i32::try_from(u64::from(found.epoch_max) + 1).map_err(too_high)?,
            beginning: Beginning {
                starts: Starts {
                    log: chain.start(),
                    local: chain.end(),
                },
                epochs: chain.epochs(),
            },
        })
    }

    async fn write_topic(
        &mut self,
        newest: Descriptor,
        count: u32,
        partitions: Vec<RebuiltPartition>,
    ) -> Done<()> {
        let names = names(&newest);
        let Descriptor {
            organization,
            project,
            topic,
            ..
        } = newest;
        self.some_project
            .get_or_insert_with(|| (organization.id.clone(), project.id.clone()));
        let Some(store) = &self.store else {
            return Ok(());
        };
        let copies = match newest.replication_factor {
            0 => REPLICATION_FACTOR,
            said => said,
        };
        let rebuilt = RebuiltTopic {
            topic: TopicRow {
                id: newest.topic_id.to_string(),
                project_id: project.id.clone(),
                name: topic.name.clone(),
                partitions: i64::from(count),
                replication_factor: i64::from(copies.min(self.copies_max.unwrap_or(copies))),
                config: newest.settings,
                description: String::new(),
                version: i64::try_from(newest.settings_version).unwrap_or(i64::MAX),
                created_at: self.at_ms,
                deleted_at: None,
            },
            project: ProjectRow {
                id: project.id,
                organization_id: organization.id.clone(),
                name: project.name,
                cursor_secret: encode_hex(&random_secret()),
                version: 1,
                created_at: self.at_ms,
            },
            organization: OrganizationRow {
                id: organization.id,
                name: organization.name,
                version: 1,
                created_at: self.at_ms,
            },
            partitions,
        };
        let mut change = store.change(self.at_ms).await?;
        let name = change.add_rebuilt(rebuilt).await?;
        change.commit().await?;
        if name == topic.name {
            return Ok(());
        }
        self.say(Finding {
            finding: Kind::Renamed,
            key: None,
            bytes: None,
            names,
            topic_id: Some(newest.topic_id.to_string()),
            partition: None,
            base_offset: None,
            end_offset: None,
            detail: format!("a newer topic has its name; it is {name} now"),
            action: None,
        })
    }

    fn say(&mut self, finding: Finding) -> Done<()> {
        let bytes = finding.bytes.unwrap_or(0);
        match finding.finding {
            Kind::Damaged => {
                self.summary.damaged += 1;
                self.summary.damaged_bytes += bytes;
            }
            Kind::Hole => self.summary.holes += 1,
            Kind::Stray => {
                self.summary.stray += 1;
                self.summary.stray_bytes += bytes;
            }
            Kind::Missing | Kind::Renamed => {}
        }
        self.report.line(&finding)
    }
}

/// Whose it is, as an object says.
fn names(descriptor: &Descriptor) -> TopicNames {
    TopicNames {
        organization: Some(descriptor.organization.id.clone()),
        project: Some(descriptor.project.id.clone()),
        topic: Some(descriptor.topic.name.clone()),
    }
}
