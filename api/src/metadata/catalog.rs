//! The snapshot of metadata in memory: every request is answered from it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use headwater_broker::{
    BrokerId, PartitionPlacement, Placement, TopicId, TopicPlacement,
    TopicSettings as BrokerSettings,
};
use parking_lot::RwLock;

use super::{
    settings::{TopicConfig, TopicSettings},
    store::{Store, StoreError, TopicRow},
};

/// A project.
#[derive(Debug)]
pub struct Project {
    /// Unique in the service.
    pub id: String,
    /// Signs the project's cursors.
    pub cursor_secret: [u8; 32],
}

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
    projects: HashMap<String, ProjectTopics>,
    placements: HashMap<TopicId, Arc<TopicPlacement>>,
}

struct ProjectTopics {
    project: Arc<Project>,
    topics: BTreeMap<String, Arc<Topic>>,
}

/// All projects and topics. A read is a lock held for one lookup.
#[derive(Default)]
pub struct Catalog {
    snapshot: RwLock<Snapshot>,
}

impl Catalog {
    /// Fills the catalog with everything that `store` knows. Answers the topics with a tombstone,
    /// whose data is to be removed.
    ///
    /// # Errors
    /// The database failed, or holds rows that this service did not write.
    pub async fn fill(&self, store: &Store, broker: BrokerId) -> Result<Vec<TopicRow>, StoreError> {
        for row in store.projects().await? {
            let mut cursor_secret = [0; 32];
            crate::auth::decode_hex(&row.cursor_secret, &mut cursor_secret)
                .ok_or_else(|| StoreError(format!("project {}: bad cursor secret", row.id)))?;
            self.put_project(Project {
                id: row.id,
                cursor_secret,
            });
        }
        let topics = store.topics().await?;
        let (dead, live): (Vec<_>, Vec<_>) =
            topics.into_iter().partition(|row| row.deleted_at.is_some());
        for row in &live {
            self.put_topic(Topic::from_row(row, broker)?);
        }
        Ok(dead)
    }

    /// Adds or replaces a project.
    pub fn put_project(&self, project: Project) {
        let mut snapshot = self.snapshot.write();
        let project = Arc::new(project);
        snapshot
            .projects
            .entry(project.id.clone())
            .and_modify(|p| p.project = project.clone())
            .or_insert_with(|| ProjectTopics {
                project,
                topics: BTreeMap::new(),
            });
    }

    /// Adds or replaces a topic.
    pub fn put_topic(&self, topic: Topic) -> Arc<Topic> {
        let topic = Arc::new(topic);
        let mut snapshot = self.snapshot.write();
        snapshot
            .placements
            .insert(topic.id, topic.placement.clone());
        if let Some(project) = snapshot.projects.get_mut(&topic.project) {
            project.topics.insert(topic.name.clone(), topic.clone());
        }
        topic
    }

    /// Forgets a topic.
    pub fn remove_topic(&self, topic: &Topic) {
        let mut snapshot = self.snapshot.write();
        snapshot.placements.remove(&topic.id);
        if let Some(project) = snapshot.projects.get_mut(&topic.project) {
            project.topics.remove(&topic.name);
        }
    }

    /// The project of that id.
    pub fn project(&self, id: &str) -> Option<Arc<Project>> {
        self.snapshot
            .read()
            .projects
            .get(id)
            .map(|p| p.project.clone())
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

    /// Topics of a project by name, from the first after `after`, at most `most`.
    pub fn topics(&self, project: &str, after: Option<&str>, most: usize) -> Vec<Arc<Topic>> {
        use std::ops::Bound;
        let snapshot = self.snapshot.read();
        let Some(project) = snapshot.projects.get(project) else {
            return Vec::new();
        };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = project.topics.range::<str, _>((from, Bound::Unbounded));
        range.take(most).map(|(_, topic)| topic.clone()).collect()
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.snapshot.read().placements.len()
    }
}

impl Placement for Catalog {
    fn topic(&self, id: TopicId) -> Option<Arc<TopicPlacement>> {
        self.snapshot.read().placements.get(&id).cloned()
    }
}
