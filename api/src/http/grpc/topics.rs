//! `headwater.v1.TopicService`

use tonic::Request;

use super::{
    call::{Answer, Call},
    pb::headwater::v1 as pb,
    services::headwater::topic_service_server::TopicService,
};
use crate::{
    auth::permissions::{
        DeleteTopic, EnsureTopic, GetTopic, ListOffsets, ListPartitions, ListTopics, TrimPartition,
        UpdateTopic,
    },
    gateway::{Gateway, Position, Start, TimePoint, TopicChange, check_name},
    http::{
        call::unbroken,
        params::{Page, in_range},
        topics::partitions_of,
        trim::{TrimRequest, trim},
    },
    limits::PAGE_SIZE,
    metadata::{CleanupPolicy, Compression, Topic, TopicConfig},
    problem::Problem,
};

/// The methods; what they need comes with each call.
pub struct TopicMethods;

#[tonic::async_trait]
impl TopicService for TopicMethods {
    async fn list_topics(
        &self,
        request: Request<pb::ListTopicsRequest>,
    ) -> Answer<pb::ListTopicsResponse> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_project::<ListTopics>(None)?;
            let size = wanted.page_size.map(u64::from);
            let in_range = |size| in_range("page_size", size, 1, PAGE_SIZE.1 as u64);
            let token = Some(wanted.page_token.as_str()).filter(|token| !token.is_empty());
            let page = Page::of(size.map(in_range).transpose()?, token)?;
            let gateway = &call.app.gateway;
            let mut found = gateway.list_topics(&caller.access, &page.after, page.size + 1);
            let next_page_token = page.cut(&mut found, |topic| &topic.name);
            let mut topics = Vec::with_capacity(found.len());
            for topic in &found {
                topics.push(described(gateway, topic).await);
            }
            Ok(pb::ListTopicsResponse {
                topics,
                next_page_token: next_page_token.unwrap_or_default(),
            })
        };
        call.read(work).await
    }

    async fn ensure_topic(
        &self,
        request: Request<pb::EnsureTopicRequest>,
    ) -> Answer<pb::EnsureTopicResponse> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let name = wanted.topic;
            let caller = call.in_project::<EnsureTopic>(Some(&name))?;
            check_name("topic", &name)?;
            let (intent, access) = (caller.intent_to(wanted.dry_run), caller.access);
            let change = asked_for(wanted.spec)?;
            let gateway = call.app.gateway.clone();
            let ensured =
                unbroken(async move { gateway.put_topic(&intent, &access, &name, change).await });
            let (topic, created) = ensured.await?;
            Ok(pb::EnsureTopicResponse {
                topic: Some(described(&call.app.gateway, &topic).await),
                created,
            })
        };
        call.change(work).await
    }

    async fn get_topic(&self, request: Request<pb::GetTopicRequest>) -> Answer<pb::Topic> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_topic::<GetTopic>(&wanted.topic)?;
            Ok(described(&call.app.gateway, &caller.topic).await)
        };
        call.read(work).await
    }

    async fn update_topic(&self, request: Request<pb::UpdateTopicRequest>) -> Answer<pb::Topic> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_topic::<UpdateTopic>(&wanted.topic)?;
            let intent = caller.intent_to(wanted.dry_run);
            let change = asked_for(wanted.spec)?;
            let etag = Some(wanted.etag).filter(|etag| !etag.is_empty());
            let gateway = call.app.gateway.clone();
            let changed = unbroken(async move {
                let (access, name) = (&caller.access, &caller.topic.name);
                gateway
                    .patch_topic(&intent, access, name, change, etag.as_deref())
                    .await
            });
            Ok(described(&call.app.gateway, &*changed.await?).await)
        };
        call.change(work).await
    }

    async fn delete_topic(
        &self,
        request: Request<pb::DeleteTopicRequest>,
    ) -> Answer<pb::DeleteTopicResponse> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_topic::<DeleteTopic>(&wanted.topic)?;
            let intent = caller.intent_to(wanted.dry_run);
            let etag = Some(wanted.etag).filter(|etag| !etag.is_empty());
            let gateway = call.app.gateway.clone();
            let deleted = unbroken(async move {
                let (access, name) = (&caller.access, &caller.topic.name);
                gateway
                    .delete_topic(&intent, access, name, etag.as_deref())
                    .await
            });
            deleted.await.map(|()| pb::DeleteTopicResponse {})
        };
        call.change(work).await
    }

    async fn list_partitions(
        &self,
        request: Request<pb::ListPartitionsRequest>,
    ) -> Answer<pb::ListPartitionsResponse> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_topic::<ListPartitions>(&wanted.topic)?;
            let partitions = partitions_of(&call.app.gateway, &caller.topic).await?;
            let partitions = partitions.into_iter().map(|partition| pb::Partition {
                partition: partition.partition,
                leader: partition.leader,
                epoch: partition.epoch,
                replicas: partition.replicas,
                in_sync: partition.in_sync,
                log_start: partition.log_start,
                high_watermark: partition.high_watermark,
                hot_bytes: partition.hot_bytes,
                cold_bytes: partition.cold_bytes,
                hot_start: partition.hot_start,
                cold_start: partition.cold_start,
                offload_backlog_bytes: partition.offload_backlog_bytes,
            });
            let partitions = partitions.collect();
            Ok(pb::ListPartitionsResponse { partitions })
        };
        call.read(work).await
    }

    async fn list_offsets(
        &self,
        request: Request<pb::ListOffsetsRequest>,
    ) -> Answer<pb::ListOffsetsResponse> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_topic::<ListOffsets>(&wanted.topic)?;
            let at = wanted.at_ms.map(|at_ms| Position::At(TimePoint(at_ms)));
            let position = at.unwrap_or(Position::Start(Start::Latest));
            let offsets = call.app.gateway.offsets_of(&caller.topic, position).await?;
            let offsets = (0..)
                .zip(offsets)
                .map(|(partition, offset)| pb::PartitionOffset { partition, offset })
                .collect();
            Ok(pb::ListOffsetsResponse { offsets })
        };
        call.read(work).await
    }

    async fn trim_partition(
        &self,
        request: Request<pb::TrimPartitionRequest>,
    ) -> Answer<pb::TrimPartitionResponse> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_topic::<TrimPartition>(&wanted.topic)?;
            let request = TrimRequest {
                partition: wanted.partition,
                before_offset: wanted.before_offset,
            };
            let trimmed = trim(&call.app, &caller, request).await?;
            Ok(pb::TrimPartitionResponse {
                partition: trimmed.partition,
                log_start: trimmed.log_start,
            })
        };
        call.change(work).await
    }
}

/// What a request asks a topic to be.
fn asked_for(spec: Option<pb::TopicSpec>) -> Result<TopicChange, Problem> {
    let spec = spec.unwrap_or_default();
    let config = spec.config.unwrap_or_default();
    // Here 0 is what null is in JSON.
    let limit = |limit: Option<u64>| limit.map(|limit| Some(limit).filter(|limit| *limit > 0));
    let policy = config.cleanup_policy.map(|number| {
        known("/config/cleanup_policy", number).map(|policy| match policy {
            pb::CleanupPolicy::Unspecified | pb::CleanupPolicy::Delete => CleanupPolicy::Delete,
            pb::CleanupPolicy::Compact => CleanupPolicy::Compact,
        })
    });
    let compression = config.compression.map(|number| {
        known("/config/compression", number).map(|compression| match compression {
            pb::Compression::Unspecified | pb::Compression::None => Compression::None,
            pb::Compression::Lz4 => Compression::Lz4,
            pb::Compression::Zstd => Compression::Zstd,
        })
    });
    Ok(TopicChange {
        partitions: spec.partitions,
        replication_factor: spec.replication_factor,
        config: TopicConfig {
            retention_ms: limit(config.retention_ms),
            retention_bytes: limit(config.retention_bytes),
            local_retention_ms: limit(config.local_retention_ms),
            local_retention_bytes: limit(config.local_retention_bytes),
            cleanup_policy: policy.transpose()?,
            segment_bytes: config.segment_bytes,
            min_insync_replicas: config.min_insync_replicas,
            compression: compression.transpose()?,
            max_record_bytes: config.max_record_bytes,
            delete_retention_ms: config.delete_retention_ms,
        },
        description: spec.description,
    })
}

/// The value of an enumeration that a number stands for.
///
/// # Errors
/// 400 if it stands for none that is known here.
pub fn known<E: TryFrom<i32>>(pointer: &str, number: i32) -> Result<E, Problem> {
    let unknown = |_| Problem::invalid(pointer, "invalid_value", "is no value that is known");
    E::try_from(number).map_err(unknown)
}

/// A topic as clients see it.
async fn described(gateway: &Gateway, topic: &Topic) -> pb::Topic {
    let tiers = gateway.tiers(topic).await;
    let settings = &topic.settings;
    let policy = match settings.cleanup_policy {
        CleanupPolicy::Delete => pb::CleanupPolicy::Delete,
        CleanupPolicy::Compact => pb::CleanupPolicy::Compact,
    };
    let compression = match settings.compression {
        Compression::None => pb::Compression::None,
        Compression::Lz4 => pb::Compression::Lz4,
        Compression::Zstd => pb::Compression::Zstd,
    };
    let sources = topic.config.sources().into_iter();
    pb::Topic {
        name: topic.name.clone(),
        topic_id: topic.id.to_string(),
        partitions: topic.partitions(),
        replication_factor: topic.replication_factor,
        config: Some(pb::TopicConfig {
            retention_ms: Some(settings.retention_ms.unwrap_or(0)),
            retention_bytes: Some(settings.retention_bytes.unwrap_or(0)),
            local_retention_ms: Some(settings.local_retention_ms.unwrap_or(0)),
            local_retention_bytes: Some(settings.local_retention_bytes.unwrap_or(0)),
            cleanup_policy: Some(policy.into()),
            segment_bytes: Some(settings.segment_bytes),
            min_insync_replicas: Some(settings.min_insync_replicas),
            compression: Some(compression.into()),
            max_record_bytes: Some(settings.max_record_bytes),
            delete_retention_ms: Some(settings.delete_retention_ms),
        }),
        config_sources: sources
            .map(|(name, source)| (name, source.as_str().unwrap_or_default().to_owned()))
            .collect(),
        description: topic.description.clone(),
        created_at_ms: topic.created_at_ms,
        hot_bytes: tiers.hot_bytes,
        cold_bytes: tiers.cold_bytes,
        offload_backlog_bytes: tiers.offload_backlog_bytes,
        etag: topic.etag(),
    }
}
