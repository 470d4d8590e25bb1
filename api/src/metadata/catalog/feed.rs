//! Keeping the snapshot current: all of it at the start, then what the feed of changes names.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::Ordering,
    time::Duration,
};

use headwater_broker::{BrokerDirectory, TopicId};

use super::partitions::{PlacesByTopic, directory, places_after};
use super::{Catalog, Key, Organization, Project, Snapshot, Topic};
use crate::{
    auth::{decode_hex, signing::VerifyingKey},
    limits::ENDED_SESSIONS_KEPT,
    metadata::store::{
        Change, ChangeRow, ControllerRow, IssuerRow, KeyRow, Kind, MembershipRow, OrganizationRow,
        PartitionRow, ProjectRow, QuotaRow, RefreshRow, Result, SigningKeyRow, Store, StoreError,
        TopicRow, UserRow,
    },
};

/// After so long without a look at the feed it may have been pruned, and all is read anew.
const FEED_HORIZON: Duration = Duration::from_secs(12 * 3600);
/// How long rows of the feed are kept, in milliseconds.
const FEED_KEPT_MS: i64 = 24 * 3600 * 1_000;

/// What one look at the feed found, read but not yet applied.
#[derive(Default)]
struct News {
    organizations: Vec<(String, Option<Organization>)>,
    projects: Vec<(String, Option<Project>)>,
    keys: Vec<(String, Option<Key>)>,
    topics: Vec<(String, Option<Topic>)>,
    dead_topics: Vec<TopicRow>,
    /// Topics with a row and no tombstone, whether or not it can be read, and those without.
    existing_topics: Vec<TopicId>,
    gone_topics: Vec<TopicId>,
    operators: Vec<(String, bool)>,
    sessions: Vec<(String, Option<i64>)>,
    signing_keys: Vec<(String, Option<VerifyingKey>)>,
    /// Rows that were written over, by topic.
    partitions: PlacesByTopic,
    brokers: Option<BrokerDirectory>,
}

impl Catalog {
    /// Brings the snapshot up to what is committed. Answers the topics that have got a tombstone,
    /// whose data is to be removed.
    ///
    /// # Errors
    /// The database failed, or holds rows that this service did not write; the snapshot is as it
    /// was.
    pub async fn catch_up(&self, store: &Store) -> Result<Vec<TopicRow>> {
        let mut heard = self.heard.lock().await;
        match store.connection().await {
            Ok(mut connection) => {
                let dead_topics = self.hear(&mut heard, &mut connection, 0).await?;
                // No change tells of it: its lease is renewed all the time. If it is not answered,
                // what was heard is heard again, and nothing of it is lost.
                let number = heard.take();
                let holder = ControllerRow::holder(&mut connection, store.engine).await?;
                *heard = number;
                self.note_controller(holder);
                Ok(dead_topics)
            }
            Err(error) => {
                *heard = None;
                Err(error)
            }
        }
    }

    /// The same from inside of a change, after which nothing is committed until it ends: what the
    /// snapshot says then stays true for as long.
    ///
    /// # Errors
    /// As [`Catalog::catch_up`].
    pub async fn catch_up_in(&self, change: &mut Change) -> Result<Vec<TopicRow>> {
        let mut heard = self.heard.lock().await;
        // The change's own number may be given out again if it is not committed.
        self.hear(&mut heard, change, 1).await
    }

    async fn hear(
        &self,
        heard: &mut Option<i64>,
        connection: &mut sqlx::AnyConnection,
        own_numbers: i64,
    ) -> Result<Vec<TopicRow>> {
        let now = self.started.elapsed();
        let age = now.saturating_sub(self.heard_at());
        // Until it is put back nothing counts as heard: a database that failed may come back from
        // an older copy of itself, with numbers that were given out before.
        let number = heard.take();
        let dead_topics = match number {
            Some(number) if age < FEED_HORIZON => {
                let changes = ChangeRow::after(connection, number).await?;
                let last = changes.last().map_or(number, |change| change.number);
                let dead_topics = if changes.is_empty() {
                    Vec::new()
                } else {
                    let news = News::read(self, connection, (number, changes)).await?;
                    self.put(|snapshot| snapshot.apply(news))
                };
                *heard = Some(last);
                dead_topics
            }
            _ => {
                // The number first: what commits meanwhile is read twice, never missed.
                let number = ChangeRow::last_number(connection).await? - own_numbers;
                let (snapshot, dead_topics) = Snapshot::read(self, connection).await?;
                self.put(|known| known.replace(snapshot));
                *heard = Some(number);
                dead_topics
            }
        };
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.heard_at_ms.store(now_ms, Ordering::Relaxed);
        Ok(dead_topics)
    }

    /// Forgets what every node has heard long ago.
    ///
    /// # Errors
    /// The database failed.
    pub async fn prune_feed(&self, store: &Store, now_ms: i64) -> Result<()> {
        let mut connection = store.connection().await?;
        ChangeRow::prune(&mut connection, now_ms - FEED_KEPT_MS).await
    }
}

impl Snapshot {
    async fn read(
        catalog: &Catalog,
        connection: &mut sqlx::AnyConnection,
    ) -> Result<(Self, Vec<TopicRow>)> {
        let mut members_of: HashMap<String, Vec<MembershipRow>> = HashMap::new();
        for row in MembershipRow::all(connection).await? {
            let rows = members_of.entry(row.organization_id.clone()).or_default();
            rows.push(row);
        }
        let mut issuers_of: HashMap<String, Vec<IssuerRow>> = HashMap::new();
        for row in IssuerRow::all(connection).await? {
            let rows = issuers_of.entry(row.organization_id.clone()).or_default();
            rows.push(row);
        }
        let mut quotas_of: HashMap<String, Vec<QuotaRow>> = HashMap::new();
        for row in QuotaRow::all(connection).await? {
            quotas_of.entry(row.id.clone()).or_default().push(row);
        }
        // Of an organization and of a project that are called alike.
        let quotas_of = |id: &str| quotas_of.get(id).map_or(&[][..], Vec::as_slice);
        let mut news = News::default();
        for row in OrganizationRow::all(connection).await? {
            let members = members_of.remove(&row.id).unwrap_or_default();
            let issuers = issuers_of.remove(&row.id).unwrap_or_default();
            let id = row.id.clone();
            let organization = catalog.organization_of(row, members, issuers, quotas_of(&id));
            news.organizations.push((id, Some(organization)));
        }
        for email in UserRow::operators(connection).await? {
            news.operators.push((email, true));
        }
        for (session, ended_at) in RefreshRow::ended_since(connection, ended_after_ms()).await? {
            news.sessions.push((session, Some(ended_at)));
        }
        for row in SigningKeyRow::all(connection).await? {
            let id = row.id.clone();
            news.signing_keys.push((id, catalog.signing_key_of(row)));
        }
        for row in ProjectRow::all(connection).await? {
            let id = row.id.clone();
            let project = catalog.project_of(row, quotas_of(&id));
            news.projects.push((id, project));
        }
        for row in KeyRow::all(connection).await? {
            news.keys.push((row.id.clone(), catalog.key_of(row)));
        }
        // Before the topics: a partition that comes meanwhile is read again, as its topic is.
        let mut partitions_of = PartitionRow::all(connection).await?;
        for row in TopicRow::all(connection).await? {
            let partitions = partitions_of.remove(&row.id).unwrap_or_default();
            news.add_topic(catalog, row.id.clone(), Some(row), &partitions);
        }
        news.brokers = Some(directory(connection).await?);
        let mut snapshot = Self {
            meters: catalog.meters(),
            before: catalog.placements(),
            ..Self::default()
        };
        let dead_topics = snapshot.apply(news);
        snapshot.before = HashMap::new();
        Ok((snapshot, dead_topics))
    }

    /// Organizations before projects, projects before what is in them.
    fn apply(&mut self, news: News) -> Vec<TopicRow> {
        for (id, organization) in news.organizations {
            match organization {
                Some(organization) => self.put_organization(organization),
                None => {
                    self.remove_organization(&id);
                }
            }
        }
        let mut gone = HashSet::new();
        for (id, project) in news.projects {
            match project {
                Some(project) => self.put_project(project),
                None => {
                    self.remove_project(&id);
                    gone.insert(id);
                }
            }
        }
        self.forget_keys_of(&gone);
        for (id, key) in news.keys {
            match key {
                Some(key) => self.put_key(key),
                None => {
                    self.keys.remove(&id);
                }
            }
        }
        for id in news.gone_topics {
            self.existing.remove(&id);
        }
        self.existing.extend(news.existing_topics);
        for (id, topic) in news.topics {
            match topic {
                Some(topic) => self.put_topic(topic),
                None => {
                    if let Ok(id) = id.parse() {
                        self.remove_topic(id);
                    }
                }
            }
        }
        for (email, is_operator) in news.operators {
            match is_operator {
                true => self.operators.insert(email),
                false => self.operators.remove(&email),
            };
        }
        let live_after_ms = ended_after_ms();
        self.ended_sessions
            .retain(|_, ended_at| *ended_at > live_after_ms);
        for (session, ended_at) in news.sessions {
            if let Some(ended_at) = ended_at {
                self.ended_sessions.insert(session, ended_at);
            }
        }
        for (id, key) in news.signing_keys {
            match key {
                Some(key) => self.signing_keys.insert(id, key),
                None => self.signing_keys.remove(&id),
            };
        }
        self.put_partitions(news.partitions);
        if let Some(brokers) = news.brokers {
            self.put_brokers(brokers);
        }
        news.dead_topics
    }
}

/// Sessions that ended before then have no access tokens left, in milliseconds since the epoch.
fn ended_after_ms() -> i64 {
    let now_ms = headwater_broker::Clock::now_ms(&headwater_broker::SystemClock);
    now_ms - ENDED_SESSIONS_KEPT.as_millis() as i64
}

fn verifying_key(row: SigningKeyRow) -> Result<VerifyingKey> {
    let mut public_key = [0; 32];
    decode_hex(&row.public_key, &mut public_key)
        .ok_or_else(|| StoreError(format!("signing key {}: bad public key", row.id)))?;
    Ok(VerifyingKey {
        id: row.id,
        public_key,
        expires_at_ms: row.expires_at,
    })
}

/// What rows say; those that cannot be read count as absent.
impl Catalog {
    fn organization_of(
        &self,
        row: OrganizationRow,
        members: Vec<MembershipRow>,
        issuers: Vec<IssuerRow>,
        quotas: &[QuotaRow],
    ) -> Organization {
        let known = (&self.allowances, &self.unreadable);
        Organization::of_rows(row, members, issuers, quotas, known)
    }

    fn project_of(&self, row: ProjectRow, quotas: &[QuotaRow]) -> Option<Project> {
        let id = row.id.clone();
        let project = Project::of_rows(row, quotas, &self.allowances);
        self.unreadable.or_absent("project", id, project)
    }

    fn key_of(&self, row: KeyRow) -> Option<Key> {
        let id = row.id.clone();
        let key = Key::of_row(row, &self.allowances);
        self.unreadable.or_absent("key", id, key)
    }

    fn signing_key_of(&self, row: SigningKeyRow) -> Option<VerifyingKey> {
        let id = row.id.clone();
        self.unreadable
            .or_absent("signing key", id, verifying_key(row))
    }
}

impl News {
    async fn read(
        catalog: &Catalog,
        connection: &mut sqlx::AnyConnection,
        (number, changes): (i64, Vec<ChangeRow>),
    ) -> Result<Self> {
        let mut news = Self::default();
        let mut seen = HashSet::new();
        let mut brokers_changed = false;
        // A deletion may name thousands of these. They are read before the projects are, with what is in
        // those: what is read later is never older.
        let names = |kind: Kind| changes.iter().any(|row| Kind::of(&row.kind) == Some(kind));
        let mut topics = HashMap::new();
        if names(Kind::Topic) {
            for row in TopicRow::changed_after(connection, number).await? {
                topics.insert(row.id.clone(), row);
            }
        }
        let mut keys = HashMap::new();
        if names(Kind::Key) {
            for row in KeyRow::changed_after(connection, number).await? {
                keys.insert(row.id.clone(), row);
            }
        }
        for ChangeRow { kind, id, .. } in changes {
            if !seen.insert((kind.clone(), id.clone())) {
                continue;
            }
            match Kind::of(&kind) {
                Some(Kind::Organization) => {
                    let row = OrganizationRow::get(connection, &id).await?;
                    let members = MembershipRow::of_organization(connection, &id).await?;
                    let issuers = IssuerRow::of_organization(connection, &id).await?;
                    let quotas = QuotaRow::of(connection, &id).await?;
                    let organization =
                        row.map(|row| catalog.organization_of(row, members, issuers, &quotas));
                    news.organizations.push((id, organization));
                }
                Some(Kind::Project) => {
                    let row = ProjectRow::get(connection, &id).await?;
                    let quotas = QuotaRow::of(connection, &id).await?;
                    let project = row.and_then(|row| catalog.project_of(row, &quotas));
                    if project.is_some() && catalog.project(&id).is_none() {
                        news.read_content(catalog, connection, &id).await?;
                    }
                    news.projects.push((id, project));
                }
                Some(Kind::Key) => {
                    let key = keys.remove(&id).and_then(|row| catalog.key_of(row));
                    news.keys.push((id, key));
                }
                Some(Kind::Topic) => {
                    let row = topics.remove(&id);
                    news.read_topic(catalog, connection, id, row).await?;
                }
                Some(Kind::User) => {
                    let row = UserRow::get(connection, &id).await?;
                    news.operators
                        .push((id, row.is_some_and(|row| row.operator == 1)));
                }
                Some(Kind::Session) => {
                    let ended_at = RefreshRow::ended_at(connection, &id).await?;
                    news.sessions.push((id, ended_at));
                }
                Some(Kind::SigningKey) => {
                    let row = SigningKeyRow::get(connection, &id).await?;
                    let key = row.and_then(|row| catalog.signing_key_of(row));
                    news.signing_keys.push((id, key));
                }
                Some(Kind::Broker) => brokers_changed = true,
                // All of them at once, below.
                Some(Kind::Partitions) => {}
                None => tracing::debug!(kind, "a change of a kind that this version ignores"),
            }
        }
        if brokers_changed {
            news.brokers = Some(directory(connection).await?);
        }
        news.partitions = places_after(connection, number).await?;
        Ok(news)
    }

    /// Reads what is in a project that was not known: it may be one that could not be read before.
    async fn read_content(
        &mut self,
        catalog: &Catalog,
        connection: &mut sqlx::AnyConnection,
        project: &str,
    ) -> Result<()> {
        for row in TopicRow::of_project(connection, project).await? {
            self.read_topic(catalog, connection, row.id.clone(), Some(row))
                .await?;
        }
        for row in KeyRow::page(connection, project, None, "", i64::MAX).await? {
            self.keys.push((row.id.clone(), catalog.key_of(row)));
        }
        Ok(())
    }

    /// Reads where a topic's partitions are, if it lives.
    async fn read_topic(
        &mut self,
        catalog: &Catalog,
        connection: &mut sqlx::AnyConnection,
        id: String,
        row: Option<TopicRow>,
    ) -> Result<()> {
        let lives = row.as_ref().is_some_and(|row| row.deleted_at.is_none());
        let partitions = match lives {
            true => PartitionRow::of_topic(connection, &id).await?,
            false => Vec::new(),
        };
        self.add_topic(catalog, id, row, &partitions);
        Ok(())
    }

    fn add_topic(
        &mut self,
        catalog: &Catalog,
        id: String,
        row: Option<TopicRow>,
        partitions: &[PartitionRow],
    ) {
        let lives = row.as_ref().is_some_and(|row| row.deleted_at.is_none());
        if let Ok(id) = id.parse() {
            match lives {
                true => self.existing_topics.push(id),
                false => self.gone_topics.push(id),
            }
        }
        match row {
            Some(row) if lives => {
                let topic = Topic::from_row(&row, partitions);
                let topic = catalog.unreadable.or_absent("topic", &id, topic);
                self.topics.push((id, topic));
            }
            dead => {
                self.topics.push((id, None));
                self.dead_topics.extend(dead);
            }
        }
    }
}
