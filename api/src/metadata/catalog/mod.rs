//! The snapshot of metadata in memory: every request is answered from it.

mod feed;
mod partitions;
mod tenants;
mod topics;
mod unreadable;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use headwater_broker::{
    BrokerDirectory, PartitionId, Placement, TopicDescription, TopicId, TopicPlacement,
    replica::Assignment,
};
use parking_lot::RwLock;
use tokio::sync::watch;

use super::store::TopicRow;
use crate::{
    auth::{Role, signing::VerifyingKey},
    limits::METADATA_OUTAGE_MAX,
    quota::Allowances,
    usage::Meters,
};

use partitions::PartitionChanges;
pub use tenants::{IssuerRule, Key, Organization, Project};
pub use topics::Topic;

use unreadable::Unreadable;

/// A project, and what somebody is in it.
pub type ProjectRole = (Arc<Project>, Role);

#[derive(Default)]
struct Snapshot {
    organizations: HashMap<String, OrganizationProjects>,
    /// The organizations of each user.
    organizations_of: HashMap<String, BTreeSet<String>>,
    projects: HashMap<String, ProjectTopics>,
    keys: HashMap<String, Arc<Key>>,
    topics: HashMap<TopicId, Arc<Topic>>,
    /// Topics that have a row and no tombstone, those that cannot be read among them.
    existing: HashSet<TopicId>,
    group_log: Option<Arc<Topic>>,
    operators: HashSet<String>,
    /// Sessions that ended while access tokens of them may be about, and when they did, in
    /// milliseconds since the epoch.
    ended_sessions: HashMap<String, i64>,
    signing_keys: BTreeMap<String, VerifyingKey>,
    /// What topics and projects are counted with, however often they are read anew.
    meters: Meters,
    brokers: Arc<BrokerDirectory>,
    /// Where topics were before everything was read anew.
    before: HashMap<TopicId, Arc<TopicPlacement>>,
    /// Partitions that were put and are not as they were.
    moved: Vec<(PartitionId, Arc<Assignment>)>,
}

struct OrganizationProjects {
    organization: Arc<Organization>,
    projects: BTreeSet<String>,
}

struct ProjectTopics {
    project: Arc<Project>,
    topics: BTreeMap<String, Arc<Topic>>,
}

impl Snapshot {
    fn put_organization(&mut self, organization: Organization) {
        let id = organization.id.clone();
        let projects = self.remove_organization(&id);
        for email in organization.members() {
            let organizations = self.organizations_of.entry(email.to_owned()).or_default();
            organizations.insert(id.clone());
        }
        let organization = Arc::new(organization);
        let entry = OrganizationProjects {
            organization,
            projects,
        };
        self.organizations.insert(id, entry);
    }

    /// Forgets an organization, and answers its projects.
    fn remove_organization(&mut self, id: &str) -> BTreeSet<String> {
        let Some(entry) = self.organizations.remove(id) else {
            return BTreeSet::new();
        };
        for email in entry.organization.members() {
            if let Some(organizations) = self.organizations_of.get_mut(email) {
                organizations.remove(id);
                if organizations.is_empty() {
                    self.organizations_of.remove(email);
                }
            }
        }
        entry.projects
    }

    fn put_project(&mut self, mut project: Project) {
        project.meter = self.meters.of(&project.organization, &project.id, "");
        let project = Arc::new(project);
        if let Some(entry) = self.organizations.get_mut(&project.organization) {
            entry.projects.insert(project.id.clone());
        }
        self.projects
            .entry(project.id.clone())
            .and_modify(|entry| entry.project = project.clone())
            .or_insert_with(|| ProjectTopics {
                project,
                topics: BTreeMap::new(),
            });
    }

    /// Forgets a project and its topics; its keys are [`Snapshot::forget_keys_of`]'s.
    fn remove_project(&mut self, id: &str) {
        if let Some(entry) = self.projects.remove(id) {
            for topic in entry.topics.values() {
                self.topics.remove(&topic.id);
            }
            if let Some(owner) = self.organizations.get_mut(&entry.project.organization) {
                owner.projects.remove(id);
            }
        }
    }

    /// Forgets the keys of projects. It looks at every key there is, so it is done once for all of them:
    /// nobody else is let in meanwhile.
    fn forget_keys_of(&mut self, projects: &HashSet<String>) {
        if !projects.is_empty() {
            self.keys.retain(|_, key| !projects.contains(&key.project));
        }
    }

    /// Puts a key. When it was used last outlives a change of it.
    fn put_key(&mut self, mut key: Key) {
        if let Some(old) = self.keys.get(&key.id) {
            key.used_ms = old.used_ms.clone();
        }
        self.keys.insert(key.id.clone(), key.into());
    }

    /// Becomes another snapshot; when keys were used last stays known.
    fn replace(&mut self, new: Self) {
        let old = std::mem::replace(self, new);
        Arc::make_mut(&mut self.brokers).controller = old.brokers.controller;
        for (id, key) in &self.keys {
            if let Some(old) = old.keys.get(id) {
                let used_ms = old.used_ms.load(Ordering::Relaxed);
                key.used_ms.store(used_ms, Ordering::Relaxed);
            }
        }
    }

    fn put_topic(&mut self, mut topic: Topic) {
        let known = self.topics.get(&topic.id).map(|known| &known.placement);
        let known = known.or_else(|| self.before.get(&topic.id));
        let moved = topic.keep_unchanged(known.map(|known| &**known));
        let topic = if let Some(entry) = self.projects.get_mut(&topic.project) {
            let organization = &entry.project.organization;
            topic.meter = self.meters.of(organization, &topic.project, &topic.name);
            let topic = Arc::new(topic);
            entry.topics.insert(topic.name.clone(), topic.clone());
            topic
        } else if topic.is_group_log() {
            // No tenant's: it is in no project, and not counted.
            let topic = Arc::new(topic);
            self.group_log = Some(topic.clone());
            topic
        } else {
            return;
        };
        self.moved.extend(moved);
        self.topics.insert(topic.id, topic);
    }

    /// Forgets a topic. Its name may be another's by now.
    fn remove_topic(&mut self, id: TopicId) {
        let Some(topic) = self.topics.remove(&id) else {
            return;
        };
        self.group_log.take_if(|log| log.id == id);
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
    /// Grows whenever the snapshot changes, while nobody else can look at it.
    version: AtomicU64,
    /// Topics whose data somebody has to remove.
    dead_topics: parking_lot::Mutex<Vec<TopicRow>>,
    /// What the owners in the snapshot may use: they outlive every snapshot.
    allowances: Allowances,
    unreadable: Unreadable,
    partition_changes: PartitionChanges,
}

impl Default for Catalog {
    fn default() -> Self {
        Self {
            snapshot: RwLock::default(),
            heard: tokio::sync::Mutex::default(),
            started: Instant::now(),
            heard_at_ms: AtomicU64::new(0),
            changed: watch::Sender::new(()),
            version: AtomicU64::new(1),
            dead_topics: parking_lot::Mutex::default(),
            allowances: Allowances::default(),
            unreadable: Unreadable::default(),
            partition_changes: PartitionChanges::default(),
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

    /// A number that is another one whenever the snapshot may be; never 0. What is looked up after it
    /// was read stays true for as long as it is the same.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Changes the snapshot, and has everybody know.
    fn put<T>(&self, change: impl FnOnce(&mut Snapshot) -> T) -> T {
        let mut snapshot = self.snapshot.write();
        let changed = change(&mut snapshot);
        self.partition_changes
            .note(std::mem::take(&mut snapshot.moved));
        self.version.fetch_add(1, Ordering::Release);
        drop(snapshot);
        self.changed.send_replace(());
        changed
    }

    /// Leaves topics whose data is to be removed to who follows the feed.
    pub fn leave_dead(&self, topics: Vec<TopicRow>) {
        self.dead_topics.lock().extend(topics);
    }

    /// Takes what was left.
    pub fn take_dead(&self) -> Vec<TopicRow> {
        std::mem::take(&mut *self.dead_topics.lock())
    }

    /// The API key of that public id, with its project and what its maker is there, if they still are
    /// anything. It is asked at every request, so it is one look.
    pub fn key(&self, id: &str) -> Option<(Arc<Key>, Option<ProjectRole>)> {
        let snapshot = self.snapshot.read();
        let key = snapshot.keys.get(id)?.clone();
        let place = snapshot.projects.get(&key.project).and_then(|entry| {
            let owner = snapshot.organizations.get(&entry.project.organization)?;
            let role = owner.organization.role(&key.created_by)?;
            Some((entry.project.clone(), role))
        });
        Some((key, place))
    }

    /// The organization of that id.
    pub fn organization(&self, id: &str) -> Option<Arc<Organization>> {
        let snapshot = self.snapshot.read();
        snapshot
            .organizations
            .get(id)
            .map(|entry| entry.organization.clone())
    }

    /// The organizations that a user is in, by id, and what they are there.
    pub fn organizations_of(&self, email: &str) -> Vec<(Arc<Organization>, Role)> {
        let snapshot = self.snapshot.read();
        let ids = snapshot.organizations_of.get(email).into_iter().flatten();
        ids.filter_map(|id| {
            let organization = &snapshot.organizations.get(id)?.organization;
            Some((organization.clone(), organization.role(email)?))
        })
        .collect()
    }

    /// The organizations that trust an issuer, by id.
    pub fn organizations_that_trust(&self, issuer: &str) -> Vec<Arc<Organization>> {
        let snapshot = self.snapshot.read();
        let all = snapshot.organizations.values();
        let mut trusting: Vec<_> = all
            .filter(|entry| entry.organization.audiences(issuer).next().is_some())
            .map(|entry| entry.organization.clone())
            .collect();
        trusting.sort_by(|a, b| a.id.cmp(&b.id));
        trusting
    }

    /// An organization's projects, by id.
    pub fn projects_of(&self, organization: &str) -> Vec<Arc<Project>> {
        let snapshot = self.snapshot.read();
        let entry = snapshot.organizations.get(organization);
        let ids = entry.into_iter().flat_map(|entry| &entry.projects);
        ids.filter_map(|id| Some(snapshot.projects.get(id)?.project.clone()))
            .collect()
    }

    /// Whether a user may see and change the cluster.
    pub fn is_operator(&self, email: &str) -> bool {
        self.snapshot.read().operators.contains(email)
    }

    /// Whether a session was ended, for as long as its access tokens live.
    pub fn session_ended(&self, session: &str) -> bool {
        self.snapshot.read().ended_sessions.contains_key(session)
    }

    /// The public half of a key that signs access tokens.
    pub fn signing_key(&self, id: &str) -> Option<VerifyingKey> {
        self.snapshot.read().signing_keys.get(id).cloned()
    }

    /// All keys that access tokens may be signed with.
    pub fn signing_keys(&self) -> Vec<VerifyingKey> {
        let snapshot = self.snapshot.read();
        snapshot.signing_keys.values().cloned().collect()
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

    /// The topic of that id, as it is now.
    pub fn topic_of(&self, id: TopicId) -> Option<Arc<Topic>> {
        self.snapshot.read().topics.get(&id).cloned()
    }

    /// Topics of a project that `wanted` names, from the first after `after`, at most `most`.
    pub fn topics(
        &self,
        project: &str,
        after: &str,
        most: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> Vec<Arc<Topic>> {
        use std::ops::Bound;
        let snapshot = self.snapshot.read();
        let Some(entry) = snapshot.projects.get(project) else {
            return Vec::new();
        };
        let after = (Bound::Excluded(after), Bound::Unbounded);
        let range = entry.topics.range::<str, _>(after);
        range
            .filter(|(name, _)| wanted(name))
            .take(most)
            .map(|(_, topic)| topic.clone())
            .collect()
    }

    /// What topics and projects are counted with.
    pub fn meters(&self) -> Meters {
        self.snapshot.read().meters.clone()
    }

    /// How often a row of the metadata could not be read.
    pub fn unreadable(&self) -> u64 {
        self.unreadable.count()
    }

    /// How many topics tenants have.
    pub fn topic_count(&self) -> usize {
        let snapshot = self.snapshot.read();
        snapshot.topics.len() - usize::from(snapshot.group_log.is_some())
    }

    /// The log of all groups, once it was made.
    pub fn group_log(&self) -> Option<Arc<Topic>> {
        self.snapshot.read().group_log.clone()
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

    fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn take_changed(&self) -> Vec<(PartitionId, Arc<Assignment>)> {
        self.take_partition_changes()
    }

    fn topics(&self) -> Vec<Arc<TopicPlacement>> {
        let snapshot = self.snapshot.read();
        let topics = snapshot.topics.values();
        topics.map(|topic| topic.placement.clone()).collect()
    }

    fn brokers(&self) -> Arc<BrokerDirectory> {
        self.snapshot.read().brokers.clone()
    }

    fn group_log(&self) -> Option<TopicId> {
        self.snapshot
            .read()
            .group_log
            .as_ref()
            .map(|topic| topic.id)
    }

    fn is_deleted(&self, id: TopicId, since: Instant) -> bool {
        // When the look began that the snapshot is of.
        let is_heard = self.started + self.heard_at() > since;
        is_heard && !self.snapshot.read().existing.contains(&id)
    }

    fn is_project(&self, id: &str) -> bool {
        self.snapshot.read().projects.contains_key(id)
    }

    fn describe(&self, id: TopicId) -> Option<TopicDescription> {
        let snapshot = self.snapshot.read();
        let topic = snapshot.topics.get(&id)?;
        let project = &snapshot.projects.get(&topic.project)?.project;
        let organization = &snapshot
            .organizations
            .get(&project.organization)?
            .organization;
        // What is given, not what is in force: a default may be another one some day.
        let settings = serde_json::to_string(&topic.config).ok()?;
        Some(TopicDescription {
            organization: (organization.id.clone(), organization.name.clone()),
            project: (project.id.clone(), project.name.clone()),
            topic: (topic.id.to_string(), topic.name.clone()),
            partitions: topic.partitions(),
            replication_factor: topic.replication_factor,
            settings,
            settings_version: u64::try_from(topic.version).unwrap_or(0),
            is_compacted: topic.settings.is_compacted(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_another_one_after_every_change() {
        let catalog = Catalog::default();
        let changes = catalog.changes();
        let before = catalog.version();
        // Nobody has been asked yet at the version that nobody has noted.
        assert_ne!(before, 0);
        assert!(!changes.has_changed().unwrap());
        catalog.put(|snapshot| {
            assert_eq!(catalog.version(), before);
            snapshot.operators.insert("ada@example.com".into());
        });
        assert_ne!(catalog.version(), before);
        assert!(changes.has_changed().unwrap());
    }
}
