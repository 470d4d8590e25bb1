//! Keeping the snapshot current: all of it at the start, then what the feed of changes names.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::Ordering,
    time::Duration,
};

use headwater_broker::BrokerId;

use super::{
    Catalog, Snapshot, Topic,
    tenants::{Key, Members, Project},
};
use crate::metadata::store::{
    ChangeRow, KeyRow, Kind, MembershipRow, OrganizationRow, ProjectRow, Result, Store, TopicRow,
};

/// After so long without a look at the feed it may have been pruned, and all is read anew.
const FEED_HORIZON: Duration = Duration::from_secs(12 * 3600);
/// How long rows of the feed are kept, in milliseconds.
const FEED_KEPT_MS: i64 = 24 * 3600 * 1_000;

/// What one look at the feed found, read but not yet applied.
#[derive(Default)]
struct News {
    organizations: Vec<(String, Option<Members>)>,
    projects: Vec<(String, Option<Project>)>,
    keys: Vec<(String, Option<Key>)>,
    topics: Vec<(String, Option<Topic>)>,
    dead_topics: Vec<TopicRow>,
}

impl Catalog {
    /// Brings the snapshot up to what is committed. Answers the topics that have got a tombstone,
    /// whose data is to be removed.
    ///
    /// # Errors
    /// The database failed, or holds rows that this service did not write; the snapshot is as it
    /// was.
    pub async fn catch_up(&self, store: &Store, broker: BrokerId) -> Result<Vec<TopicRow>> {
        let mut heard = self.heard.lock().await;
        let now = self.started.elapsed();
        let age = now.saturating_sub(self.heard_at());
        let connection = store.connection().await;
        // Until it is put back nothing counts as heard: a database that failed may come back from
        // an older copy of itself, with numbers that were given out before.
        let number = heard.take();
        let mut connection = connection?;
        let dead_topics = match number {
            Some(number) if age < FEED_HORIZON => {
                let changes = ChangeRow::after(&mut connection, number).await?;
                let last = changes.last().map_or(number, |change| change.number);
                let dead_topics = if changes.is_empty() {
                    Vec::new()
                } else {
                    let news = News::read(&mut connection, changes, broker).await?;
                    let dead_topics = self.snapshot.write().apply(news);
                    self.changed.send_replace(());
                    dead_topics
                };
                *heard = Some(last);
                dead_topics
            }
            _ => {
                // The number first: what commits meanwhile is read twice, never missed.
                let number = ChangeRow::last_number(&mut connection).await?;
                let (snapshot, dead_topics) = Snapshot::read(&mut connection, broker).await?;
                *self.snapshot.write() = snapshot;
                self.changed.send_replace(());
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
        connection: &mut sqlx::AnyConnection,
        broker: BrokerId,
    ) -> Result<(Self, Vec<TopicRow>)> {
        let mut rows_of: HashMap<String, Vec<MembershipRow>> = HashMap::new();
        for row in MembershipRow::all(connection).await? {
            let rows = rows_of.entry(row.organization_id.clone()).or_default();
            rows.push(row);
        }
        let mut news = News::default();
        for row in OrganizationRow::all(connection).await? {
            let members = Members::of_rows(rows_of.remove(&row.id).unwrap_or_default())?;
            news.organizations.push((row.id, Some(members)));
        }
        for row in ProjectRow::all(connection).await? {
            news.projects
                .push((row.id.clone(), Some(Project::of_row(row)?)));
        }
        for row in KeyRow::all(connection).await? {
            news.keys.push((row.id.clone(), Some(Key::of_row(row)?)));
        }
        for row in TopicRow::all(connection).await? {
            news.add_topic(row.id.clone(), Some(row), broker)?;
        }
        let mut snapshot = Self::default();
        let dead_topics = snapshot.apply(news);
        Ok((snapshot, dead_topics))
    }

    /// Organizations before projects, projects before what is in them.
    fn apply(&mut self, news: News) -> Vec<TopicRow> {
        for (id, members) in news.organizations {
            match members {
                Some(members) => {
                    self.organizations.insert(id, members);
                }
                None => {
                    self.organizations.remove(&id);
                }
            }
        }
        for (id, project) in news.projects {
            match project {
                Some(project) => self.put_project(project),
                None => self.remove_project(&id),
            }
        }
        for (id, key) in news.keys {
            match key {
                Some(key) => {
                    self.keys.insert(id, key.into());
                }
                None => {
                    self.keys.remove(&id);
                }
            }
        }
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
        news.dead_topics
    }
}

impl News {
    async fn read(
        connection: &mut sqlx::AnyConnection,
        changes: Vec<ChangeRow>,
        broker: BrokerId,
    ) -> Result<Self> {
        let mut news = Self::default();
        let mut seen = HashSet::new();
        for ChangeRow { kind, id, .. } in changes {
            if !seen.insert((kind.clone(), id.clone())) {
                continue;
            }
            match Kind::of(&kind) {
                Some(Kind::Organization) => {
                    let exists = OrganizationRow::get(connection, &id).await?.is_some();
                    let rows = MembershipRow::of_organization(connection, &id).await?;
                    let members = exists.then(|| Members::of_rows(rows)).transpose()?;
                    news.organizations.push((id, members));
                }
                Some(Kind::Project) => {
                    let row = ProjectRow::get(connection, &id).await?;
                    news.projects
                        .push((id, row.map(Project::of_row).transpose()?));
                }
                Some(Kind::Key) => {
                    let row = KeyRow::get(connection, &id).await?;
                    news.keys.push((id, row.map(Key::of_row).transpose()?));
                }
                Some(Kind::Topic) => {
                    let row = TopicRow::get(connection, &id).await?;
                    news.add_topic(id, row, broker)?;
                }
                None => tracing::debug!(kind, "a change of a kind that this version ignores"),
            }
        }
        Ok(news)
    }

    fn add_topic(&mut self, id: String, row: Option<TopicRow>, broker: BrokerId) -> Result<()> {
        match row {
            Some(row) if row.deleted_at.is_none() => {
                let topic = Topic::from_row(&row, broker)?;
                self.topics.push((id, Some(topic)));
            }
            dead => {
                self.topics.push((id, None));
                self.dead_topics.extend(dead);
            }
        }
        Ok(())
    }
}
