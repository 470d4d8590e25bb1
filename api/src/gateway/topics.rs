//! Topics: creating, changing, listing and deleting them.

use std::sync::Arc;

use headwater_broker::{Broker, PartitionId, PartitionState};
use serde::Deserialize;

use super::{
    Gateway, Intent,
    changes::{changed_meanwhile, check_version, unavailable},
    check_name,
    placing::Room,
    topic_not_found,
};
use crate::{
    auth::{Access, Operation, permissions::ListTopics},
    limits::{DESCRIPTION_BYTES_MAX, PARTITIONS_MAX},
    metadata::{Change, Kind, PartitionRow, Topic, TopicConfig, TopicRow, not_null},
    problem::{Code, Problem},
    quota::Resource,
    usage::Stored,
};

/// What a PUT or PATCH of a topic asks for; what it leaves out is not touched.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TopicSpec, example = json!({"partitions": 3, "config": {"retention_ms": 604800000}}))]
pub struct TopicChange {
    /// How many partitions; they only grow. Default 1.
    #[schema(value_type = u32, minimum = 1, maximum = 1000, example = 3)]
    #[serde(default, deserialize_with = "not_null")]
    pub partitions: Option<u32>,
    /// How many replicas each partition has, on as many brokers. Default 1 if there is one broker,
    /// else as many as there are brokers, 3 at most. It does not change.
    #[schema(value_type = u32, minimum = 1, maximum = 9, example = 1)]
    #[serde(default, deserialize_with = "not_null")]
    pub replication_factor: Option<u32>,
    /// Settings; those left out have their default.
    #[serde(default, deserialize_with = "object")]
    pub config: TopicConfig,
    /// Free text for people.
    #[schema(value_type = String, max_length = 1024, example = "Orders as they are placed")]
    #[serde(default, deserialize_with = "not_null")]
    pub description: Option<String>,
}

/// What each tier has of a topic, in bytes of batches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tiers {
    /// On the leaders' disks.
    pub hot_bytes: u64,
    /// In the object store.
    pub cold_bytes: u64,
    /// In sealed segments that are yet to be uploaded.
    pub offload_backlog_bytes: u64,
}

fn object<'de, D: serde::Deserializer<'de>>(from: D) -> Result<TopicConfig, D::Error> {
    crate::http::Object::deserialize(from).map(|object| object.0)
}

impl Gateway {
    /// Creates the topic, or finds that it already is what `wanted` says. Answers whether it was
    /// created.
    ///
    /// # Errors
    /// 409 if it exists and differs.
    pub async fn put_topic(
        &self,
        intent: &Intent,
        access: &Access,
        name: &str,
        wanted: TopicChange,
    ) -> Result<(Arc<Topic>, bool), Problem> {
        check_name("topic", name)?;
        check_change(&wanted)?;
        if let Ok(topic) = self.topic(access, name) {
            return existing(topic, &wanted);
        }
        let mut change = self.begin(intent).await?;
        let mut room = Room::of(&mut change).await?;
        let id = headwater_broker::TopicId(uuid::Uuid::now_v7().into_bytes());
        let replication_factor = wanted.replication_factor;
        let replication_factor = replication_factor.unwrap_or_else(|| room.replication_factor());
        let row = TopicRow {
            id: id.to_string(),
            project_id: access.project.id.clone(),
            name: name.to_owned(),
            partitions: i64::from(wanted.partitions.unwrap_or(1)),
            replication_factor: i64::from(replication_factor),
            config: serde_json::to_string(&wanted.config)
                .map_err(|error| Problem::internal("settings cannot be written", error))?,
            description: wanted.description.clone().unwrap_or_default(),
            version: 1,
            created_at: change.at_ms(),
            deleted_at: None,
        };
        let created = row.insert(&mut change).await.map_err(unavailable)?;
        let row = if created {
            check_min_in_sync(&wanted.config, replication_factor)?;
            let partitions = 0..wanted.partitions.unwrap_or(1);
            let places = room.place(id, partitions, replication_factor, "/replication_factor")?;
            let placed = PartitionRow::insert(&mut change, &places).await;
            placed.map_err(unavailable)?;
            let more = [Resource::Topics, Resource::Partitions];
            self.check_counts(&mut change, &access.project, &more)
                .await?;
            row
        } else {
            // Somebody else was faster.
            let project = &access.project.id;
            let row = TopicRow::named(&mut change, project, name)
                .await
                .map_err(unavailable)?;
            row.ok_or_else(|| Problem::new(Code::Unavailable, "try again"))?
        };
        let topic = written(&mut change, &row).await?;
        if !created {
            return existing(topic, &wanted);
        }
        self.finish_topic(change, intent, access, &topic).await?;
        Ok((topic, true))
    }

    /// Changes a topic, if it still has the `ETag` that `if_match` names.
    ///
    /// # Errors
    /// 412 if it was changed meanwhile, 422 if partitions would go.
    pub async fn patch_topic(
        &self,
        intent: &Intent,
        access: &Access,
        name: &str,
        wanted: TopicChange,
        if_match: Option<&str>,
    ) -> Result<Arc<Topic>, Problem> {
        check_change(&wanted)?;
        let mut change = self.begin(intent).await?;
        let topic = self.stored_topic(&mut change, access, name).await?;
        check_version(topic.version, if_match)?;
        if wanted
            .partitions
            .is_some_and(|wanted| wanted < topic.partitions())
        {
            return Err(Problem::new(Code::InvalidSetting, "").at(
                "/partitions",
                "partitions_only_grow",
                format!(
                    "the topic has {}; records keep their partition",
                    topic.partitions()
                ),
            ));
        }
        if let Some(factor) = wanted.replication_factor
            && factor != topic.replication_factor
        {
            return Err(Problem::new(Code::InvalidSetting, "").at(
                "/replication_factor",
                "replication_factor_stays",
                format!("the topic has {} replicas", topic.replication_factor),
            ));
        }
        let config = wanted.config.over(&topic.config);
        check_min_in_sync(&config, topic.replication_factor)?;
        let row = topic
            .to_row()
            .map_err(|error| Problem::internal("the topic cannot be written", error))?;
        let row = TopicRow {
            partitions: i64::from(wanted.partitions.unwrap_or(topic.partitions())),
            config: serde_json::to_string(&config)
                .map_err(|error| Problem::internal("settings cannot be written", error))?,
            description: wanted
                .description
                .unwrap_or_else(|| topic.description.clone()),
            version: topic.version + 1,
            ..row
        };
        if !row.update(&mut change).await.map_err(unavailable)? {
            return Err(changed_meanwhile());
        }
        let settings = config.effective(topic.replication_factor);
        if settings.min_insync_replicas != topic.settings.min_insync_replicas {
            // Those who lead have it from the rows that they change.
            let renewed = PartitionRow::renew_all(&mut change, &row.id).await;
            renewed.map_err(unavailable)?;
        }
        if row.partitions > i64::from(topic.partitions()) {
            let partitions = topic.partitions()..row.partitions as u32;
            let mut room = Room::of(&mut change).await?;
            let factor = topic.replication_factor;
            let places = room.place(topic.id, partitions, factor, "/partitions")?;
            let placed = PartitionRow::insert(&mut change, &places).await;
            placed.map_err(unavailable)?;
            let more = [Resource::Partitions];
            self.check_counts(&mut change, &access.project, &more)
                .await?;
        }
        let topic = written(&mut change, &row).await?;
        self.finish_topic(change, intent, access, &topic).await?;
        if !intent.dry_run
            && let Some(broker) = self.cluster.broker(self.broker_id)
        {
            broker.topic_grew(topic.id);
        }
        Ok(topic)
    }

    /// Deletes a topic and its records.
    ///
    /// # Errors
    /// 412 if it was changed meanwhile.
    pub async fn delete_topic(
        &self,
        intent: &Intent,
        access: &Access,
        name: &str,
        if_match: Option<&str>,
    ) -> Result<(), Problem> {
        let mut change = self.begin(intent).await?;
        let topic = self.stored_topic(&mut change, access, name).await?;
        check_version(topic.version, if_match)?;
        let (id, at_ms) = (topic.id.to_string(), change.at_ms());
        TopicRow::bury(&mut change, &id, at_ms)
            .await
            .map_err(unavailable)?;
        self.finish_topic(change, intent, access, &topic).await
    }

    async fn finish_topic(
        &self,
        change: Change,
        intent: &Intent,
        access: &Access,
        topic: &Topic,
    ) -> Result<(), Problem> {
        let (project, id) = (&access.project, topic.id.to_string());
        let target = format!("projects/{}/topics/{}", project.id, topic.name);
        let touched = (Kind::Topic, id.as_str());
        self.conclude(change, intent, touched, &project.organization, &target)
            .await
    }

    /// The topic as it is in the database, which nobody else changes before `change` ends.
    async fn stored_topic(
        &self,
        change: &mut Change,
        access: &Access,
        name: &str,
    ) -> Result<Arc<Topic>, Problem> {
        let row = TopicRow::named(change, &access.project.id, name)
            .await
            .map_err(unavailable)?;
        match row {
            Some(row) => written(change, &row).await,
            None => Err(topic_not_found()),
        }
    }

    /// Removes the data of topics that have their tombstones.
    pub async fn remove_topics(&self, dead_topics: Vec<TopicRow>) {
        for row in dead_topics {
            if let Ok(id) = row.id.parse() {
                let partitions = u32::try_from(row.partitions).unwrap_or(0);
                self.remove_data(&row, id, partitions).await;
            }
        }
    }

    /// Removes the data of a topic that has its tombstone, then this broker's part in the tombstone.
    /// What fails is tried again at the next start.
    async fn remove_data(&self, row: &TopicRow, topic: headwater_broker::TopicId, partitions: u32) {
        let Some(broker) = self.cluster.broker(self.broker_id) else {
            return;
        };
        if let Err(error) = broker.drop_topic(topic, partitions).await {
            tracing::error!(%topic, %error, "the data of a deleted topic cannot be removed yet");
            return;
        }
        if let Err(error) = self.forget_topic(row).await {
            tracing::error!(%topic, %error, "the tombstone of a deleted topic cannot be removed yet");
        }
    }

    /// The project's topics after `after` that the caller may see, by name, at most `most`.
    pub fn list_topics(&self, access: &Access, after: &str, most: usize) -> Vec<Arc<Topic>> {
        let wanted = |name: &str| access.allows(&ListTopics::ROW, Some(name));
        self.catalog.topics(&access.project.id, after, most, wanted)
    }

    /// What each tier has of the topic, as far as those who lead it can be asked.
    pub async fn tiers(&self, topic: &Topic) -> Tiers {
        let states = self.states_of(topic).await;
        let states = states.iter().flatten();
        states.fold(Tiers::default(), |sum, state| Tiers {
            hot_bytes: sum.hot_bytes + state.hot_bytes,
            cold_bytes: sum.cold_bytes + state.cold_bytes,
            offload_backlog_bytes: sum.offload_backlog_bytes + state.backlog_bytes,
        })
    }

    /// Bytes of the topic as quotas count them: what is in both tiers counts once.
    pub async fn bytes(&self, topic: &Topic) -> u64 {
        let states = self.states_of(topic).await;
        let bytes = |state: &PartitionState| state.hot_bytes.max(state.cold_bytes);
        states.iter().flatten().map(bytes).sum()
    }

    /// Bytes in both tiers of the partitions that this broker leads. Each broker accounts for its own.
    pub async fn own_stored(&self, topic: &Topic) -> Stored {
        let led = |partition: &u32| topic.leader_of(*partition) == Some(self.broker_id);
        let partitions = (0..topic.partitions()).filter(led).collect();
        let states = match self.cluster.broker(self.broker_id) {
            Some(broker) => broker.partition_states(topic.id, partitions).await,
            None => Vec::new(),
        };
        let states = states.iter().flatten();
        states.fold(Stored::default(), |sum, state| Stored {
            hot: sum.hot + state.hot_bytes,
            cold: sum.cold + state.cold_bytes,
        })
    }

    /// Where every partition stands.
    ///
    /// # Errors
    /// A partition has no leader.
    pub async fn partition_states(&self, topic: &Topic) -> Result<Vec<PartitionState>, Problem> {
        self.states_of(topic).await.into_iter().collect()
    }

    /// Forgets a partition's records below `before_offset`.
    ///
    /// # Errors
    /// 416 beyond the high watermark.
    pub async fn trim(
        &self,
        topic: &Topic,
        partition: u32,
        before_offset: u64,
    ) -> Result<u64, Problem> {
        let id = PartitionId {
            topic: topic.id,
            partition,
        };
        let trim = |leader: Arc<dyn Broker>| async move { leader.trim(id, before_offset).await };
        let trimmed = self.ask_leader(topic, partition, trim).await;
        topic.meter.resized();
        trimmed
    }
}

impl Topic {
    /// The topic's `ETag`.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.version)
    }
}

/// The topic of a row, with its partitions as the change has them.
async fn written(change: &mut Change, row: &TopicRow) -> Result<Arc<Topic>, Problem> {
    let partitions = PartitionRow::of_topic(change, &row.id).await;
    Topic::from_row(row, &partitions.map_err(unavailable)?)
        .map(Arc::new)
        .map_err(|_| {
            Problem::new(
                Code::Unavailable,
                "this version of the service cannot read the topic",
            )
        })
}

/// PUT ensures: what the body names must already be so.
fn existing(topic: Arc<Topic>, wanted: &TopicChange) -> Result<(Arc<Topic>, bool), Problem> {
    let mut problem = Problem::new(Code::TopicExists, "");
    let mut differs = |pointer: &str, differs: bool| {
        if differs {
            let is = "the existing topic has another value; change it with PATCH";
            problem = problem.clone().at(pointer, "different", is);
        }
    };
    differs(
        "/partitions",
        wanted.partitions.is_some_and(|n| n != topic.partitions()),
    );
    differs(
        "/replication_factor",
        wanted
            .replication_factor
            .is_some_and(|n| n != topic.replication_factor),
    );
    differs(
        "/description",
        wanted
            .description
            .as_ref()
            .is_some_and(|d| *d != topic.description),
    );
    differs(
        "/config",
        wanted
            .config
            .clone()
            .over(&topic.config)
            .effective(topic.replication_factor)
            != topic.settings,
    );
    if problem.errors.is_empty() {
        Ok((topic, false))
    } else {
        Err(problem)
    }
}

fn check_change(change: &TopicChange) -> Result<(), Problem> {
    let range = |pointer: &str, value: Option<u32>, most: u32| match value {
        Some(value) if !(1..=most).contains(&value) => Err(Problem::invalid(
            pointer,
            "out_of_range",
            format!("must be 1 to {most}"),
        )),
        _ => Ok(()),
    };
    range("/partitions", change.partitions, PARTITIONS_MAX)?;
    range("/replication_factor", change.replication_factor, 9)?;
    if change
        .description
        .as_ref()
        .is_some_and(|text| text.len() > DESCRIPTION_BYTES_MAX)
    {
        let message = format!("must be at most {DESCRIPTION_BYTES_MAX} bytes");
        return Err(Problem::invalid("/description", "out_of_range", message));
    }
    if change
        .description
        .as_ref()
        .is_some_and(|text| text.contains('\0'))
    {
        let message = "must not hold NUL";
        return Err(Problem::invalid("/description", "invalid_value", message));
    }
    change.config.check()
}

fn check_min_in_sync(config: &TopicConfig, replication_factor: u32) -> Result<(), Problem> {
    if config
        .min_insync_replicas
        .is_none_or(|min| min <= replication_factor)
    {
        return Ok(());
    }
    Err(Problem::new(Code::InvalidSetting, "").at(
        "/config/min_insync_replicas",
        "above_replication_factor",
        format!("must not be above the replication factor, which is {replication_factor}"),
    ))
}
