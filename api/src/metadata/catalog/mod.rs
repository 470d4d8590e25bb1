//! The snapshot of metadata in memory: every request is answered from it.

mod feed;
mod tenants;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use headwater_broker::{
    BrokerId, PartitionPlacement, Placement, TopicId, TopicPlacement,
    TopicSettings as BrokerSettings,
};
use parking_lot::RwLock;
use tokio::sync::watch;

use super::{
    settings::{TopicConfig, TopicSettings},
    store::{StoreError, TopicRow},
};
use crate::{auth::Role, limits::METADATA_OUTAGE_MAX};

use tenants::Members;
pub use tenants::{Key, Project};

/// A topic as requests see it.
#[derive(Debug)]
pub struct Topic {
    /// Never reused.
    pub id: TopicId,
    /// Its label, unique in the project.
    pub name: String,
    /// The project it is in.
    pub project: String,
    /// How many replicas each partition has.
    pub replication_factor: u32,
    /// The settings that were given.
    pub config: TopicConfig,
    /// The settings in force.
    pub settings: TopicSettings,
    /// Free text.
    pub description: String,
    /// Grows with every change: the ETag.
    pub version: i64,
    /// Milliseconds since the epoch.
    pub created_at_ms: i64,
    /// Where its partitions are.
    pub placement: Arc<TopicPlacement>,
}

impl Topic {
    /// How many partitions it has.
    pub fn partitions(&self) -> u32 {
        self.placement.partitions.len() as u32
    }

    /// The broker that leads a partition, if the topic has it.
    pub fn leader_of(&self, partition: u32) -> Option<BrokerId> {
        let place = self.placement.partitions.get(partition as usize)?;
        Some(place.leader)
    }

    /// The topic of a row, with all partitions on `broker`.
    ///
    /// # Errors
    /// The row is not one that this service wrote.
    pub fn from_row(row: &TopicRow, broker: BrokerId) -> Result<Self, StoreError> {
        let bad = |what: String| StoreError(format!("topic {}: {what}", row.id));
        let id: TopicId = row.id.parse().map_err(|_| bad("bad id".into()))?;
        let config: TopicConfig =
            serde_json::from_str(&row.config).map_err(|error| bad(error.to_string()))?;
        let settings = config.effective();
        let partitions = u32::try_from(row.partitions).map_err(|e| bad(e.to_string()))?;
        Ok(Self {
            id,
            name: row.name.clone(),
            project: row.project_id.clone(),
            replication_factor: u32::try_from(row.replication_factor)
                .map_err(|e| bad(e.to_string()))?,
            description: row.description.clone(),
            version: row.version,
            created_at_ms: row.created_at,
            placement: Arc::new(TopicPlacement {
                id,
                partitions: vec![
                    PartitionPlacement {
                        leader: broker,
                        epoch: 0
                    };
                    partitions as usize
                ],
                settings: BrokerSettings {
                    segment_bytes: settings.segment_bytes,
                    retention_ms: settings.retention_ms,
                    retention_bytes: settings.retention_bytes,
                },
            }),
            config,
            settings,
        })
    }

    /// The row that this topic is written as.
    pub fn to_row(&self) -> Result<TopicRow, StoreError> {
        Ok(TopicRow {
            id: self.id.to_string(),
            project_id: self.project.clone(),
            name: self.name.clone(),
            partitions: i64::from(self.partitions()),
            replication_factor: i64::from(self.replication_factor),
            config: serde_json::to_string(&self.config)
                .map_err(|error| StoreError(error.to_string()))?,
            description: self.description.clone(),
            version: self.version,
            created_at: self.created_at_ms,
            deleted_at: None,
        })
    }
}

#[derive(Default)]
struct Snapshot {
    organizations: HashMap<String, Members>,
    projects: HashMap<String, ProjectTopics>,
    keys: HashMap<String, Arc<Key>>,
    topics: HashMap<TopicId, Arc<Topic>>,
}

struct ProjectTopics {
    project: Arc<Project>,
    topics: BTreeMap<String, Arc<Topic>>,
}

impl Snapshot {
    fn put_project(&mut self, project: Project) {
        let project = Arc::new(project);
        self.projects
            .entry(project.id.clone())
            .and_modify(|entry| entry.project = project.clone())
            .or_insert_with(|| ProjectTopics {
                project,
                topics: BTreeMap::new(),
            });
    }

    /// Forgets a project, its keys and its topics.
    fn remove_project(&mut self, id: &str) {
        self.keys.retain(|_, key| key.project != id);
        if let Some(entry) = self.projects.remove(id) {
            for topic in entry.topics.values() {
                self.topics.remove(&topic.id);
            }
        }
    }

    fn put_topic(&mut self, topic: Topic) {
        let topic = Arc::new(topic);
        if let Some(entry) = self.projects.get_mut(&topic.project) {
            self.topics.insert(topic.id, topic.clone());
            entry.topics.insert(topic.name.clone(), topic);
        }
    }

    /// Forgets a topic. Its name may be another's by now.
    fn remove_topic(&mut self, id: TopicId) {
        let Some(topic) = self.topics.remove(&id) else {
            return;
        };
        if let Some(entry) = self.projects.get_mut(&topic.project)
            && entry
                .topics
                .get(&topic.name)
                .is_some_and(|named| named.id == id)
        {
            entry.topics.remove(&topic.name);
        }
    }
}

/// Everything that requests are answered from. A read is a lock held for a lookup or two.
pub struct Catalog {
    snapshot: RwLock<Snapshot>,
    /// The feed's number that the snapshot is at; `None` before the first look.
    heard: tokio::sync::Mutex<Option<i64>>,
    started: Instant,
    /// When the database answered last, in milliseconds after `started`.
    heard_at_ms: AtomicU64,
    /// Told after the snapshot changed.
    changed: watch::Sender<()>,
}

impl Default for Catalog {
    fn default() -> Self {
        Self {
            snapshot: RwLock::default(),
            heard: tokio::sync::Mutex::default(),
            started: Instant::now(),
            heard_at_ms: AtomicU64::new(0),
            changed: watch::Sender::new(()),
        }
    }
}

impl Catalog {
    fn heard_at(&self) -> Duration {
        Duration::from_millis(self.heard_at_ms.load(Ordering::Relaxed))
    }

    /// Whether the snapshot is young enough to let anybody in.
    pub fn is_current(&self) -> bool {
        self.started.elapsed().saturating_sub(self.heard_at()) < METADATA_OUTAGE_MAX
    }

    /// Changes whenever the snapshot does.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The API key of that public id.
    pub fn key(&self, id: &str) -> Option<Arc<Key>> {
        self.snapshot.read().keys.get(id).cloned()
    }

    /// What a user is in the organization of a project.
    pub fn role(&self, project: &str, email: &str) -> Option<Role> {
        let snapshot = self.snapshot.read();
        let entry = snapshot.projects.get(project)?;
        let members = snapshot.organizations.get(&entry.project.organization)?;
        members.role(email)
    }

    /// The project of that id.
    pub fn project(&self, id: &str) -> Option<Arc<Project>> {
        self.snapshot
            .read()
            .projects
            .get(id)
            .map(|entry| entry.project.clone())
    }

    /// The topic of that name in that project.
    pub fn topic(&self, project: &str, name: &str) -> Option<Arc<Topic>> {
        self.snapshot
            .read()
            .projects
            .get(project)?
            .topics
            .get(name)
            .cloned()
    }

    /// Topics of a project that `wanted` names, from the first after `after`, at most `most`.
    pub fn topics(
        &self,
        project: &str,
        after: Option<&str>,
        most: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> Vec<Arc<Topic>> {
        use std::ops::Bound;
        let snapshot = self.snapshot.read();
        let Some(entry) = snapshot.projects.get(project) else {
            return Vec::new();
        };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = entry.topics.range::<str, _>((from, Bound::Unbounded));
        range
            .filter(|(name, _)| wanted(name))
            .take(most)
            .map(|(_, topic)| topic.clone())
            .collect()
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.snapshot.read().topics.len()
    }
}

impl Placement for Catalog {
    fn topic(&self, id: TopicId) -> Option<Arc<TopicPlacement>> {
        let snapshot = self.snapshot.read();
        snapshot
            .topics
            .get(&id)
            .map(|topic| topic.placement.clone())
    }
}
