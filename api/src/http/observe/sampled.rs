//! What is read from where it is counted when somebody looks.

use std::{fmt, sync::Arc};

use headwater_broker::{
    GroupStats, Node, NodeGauges, Placement, TierStats,
    controller::{BrokerState, BrokerView},
};
use headwater_log::LogStats;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use crate::{gateway::Gateway, tls::Tls};

/// Has the registry ask the gateway, the broker if this process is one, and the listeners that have
/// certificates.
pub(super) fn register(
    registry: &mut Registry,
    gateway: Arc<Gateway>,
    node: Option<Arc<Node>>,
    tls: Vec<Arc<Tls>>,
) {
    registry.register_collector(Box::new(OfGateway(gateway)));
    if !tls.is_empty() {
        registry.register_collector(Box::new(OfCertificates(tls)));
    }
    if let Some(node) = node {
        registry.register_collector(Box::new(OfBroker(node)));
    }
}

struct OfGateway(Arc<Gateway>);

struct OfBroker(Arc<Node>);

struct OfCertificates(Vec<Arc<Tls>>);

/// One number of some statistics: its name, what it is, and where it is found.
type Metric<S> = (&'static str, &'static str, Read<S>);

enum Read<S> {
    /// It goes up and down.
    Now(fn(&S) -> f64),
    /// It grows from the start of the process on; its name gets `_total`.
    SinceStart(fn(&S) -> f64),
}

use Read::{Now, SinceStart};

fn encode<S>(encoder: &mut DescriptorEncoder<'_>, stats: &S, metrics: &[Metric<S>]) -> fmt::Result {
    for (name, help, read) in metrics {
        match read {
            Now(read) => {
                let value = ConstGauge::new(read(stats));
                let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                value.encode(metric)?;
            }
            SinceStart(read) => {
                let value = ConstCounter::new(read(stats));
                let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
                value.encode(metric)?;
            }
        }
    }
    Ok(())
}

impl Collector for OfGateway {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        encode(&mut encoder, &*self.0, &GATEWAY)?;
        encode(&mut encoder, &ClusterStats::of(&self.0), &CLUSTER)
    }
}

impl Collector for OfBroker {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let node = &*self.0;
        encode(&mut encoder, &node.gauges(), &BROKER)?;
        let log = node.log_stats();
        encode(&mut encoder, &log, &LOG)?;
        encode_syncs(&mut encoder, &log)?;
        encode(&mut encoder, &node.group_stats(), &GROUPS)?;
        match node.tier_stats() {
            Some(stats) => encode(&mut encoder, &stats, &TIER),
            None => Ok(()),
        }
    }
}

impl Collector for OfCertificates {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let metrics: [Metric<Tls>; 2] = [
            (
                "tls_certificate_not_after_timestamp_seconds",
                "When the certificate in use ends, in seconds since the epoch",
                Now(|tls| tls.loaded().not_after_s as f64),
            ),
            (
                "tls_certificate_stale",
                "1 while the certificate's files hold another one that cannot be used",
                Now(|tls| f64::from(u8::from(tls.is_stale()))),
            ),
        ];
        for (name, help, Now(read) | SinceStart(read)) in metrics {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for tls in &self.0 {
                let labels = [("listener", tls.listener())];
                ConstGauge::new(read(tls)).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn encode_syncs(encoder: &mut DescriptorEncoder<'_>, log: &LogStats) -> fmt::Result {
    let mut buckets = log.sync_buckets;
    if let Some((bound, _)) = buckets.last_mut() {
        // How the text format wants to be told of infinity.
        *bound = f64::MAX;
    }
    let mut metric = encoder.encode_descriptor(
        "log_sync_duration",
        "Time of a journal sync",
        Some(&Unit::Seconds),
        MetricType::Histogram,
    )?;
    metric.encode_histogram::<NoLabelSet>(log.sync_seconds, log.syncs, &buckets, None)
}

/// The cluster as this process knows it from the metadata: it is the same on every node.
struct ClusterStats {
    live_brokers: usize,
    lost_brokers: usize,
    under_replicated: u64,
    offline: u64,
    moving: u64,
}

impl ClusterStats {
    fn of(gateway: &Gateway) -> Self {
        let brokers = gateway.catalog.brokers();
        let count = |is: fn(&BrokerView) -> bool| brokers.views.values().filter(|v| is(v)).count();
        let partitions = gateway.partition_health();
        Self {
            live_brokers: count(|view| view.state.is_live()),
            lost_brokers: count(|view| view.state == BrokerState::Fenced),
            under_replicated: partitions.under_replicated,
            offline: partitions.offline,
            moving: partitions.moving,
        }
    }
}

const CLUSTER: [Metric<ClusterStats>; 5] = [
    (
        "cluster_live_brokers",
        "Brokers that renew their lease, as this node knows",
        Now(|s| s.live_brokers as f64),
    ),
    (
        "cluster_lost_brokers",
        "Brokers whose lease is over and that nobody drained, as this node knows",
        Now(|s| s.lost_brokers as f64),
    ),
    (
        "cluster_under_replicated_partitions",
        "Partitions of which a copy is not in sync, as this node knows",
        Now(|s| s.under_replicated as f64),
    ),
    (
        "cluster_offline_partitions",
        "Partitions that nobody leads, as this node knows",
        Now(|s| s.offline as f64),
    ),
    (
        "cluster_moving_partitions",
        "Partitions of which copies move, as this node knows",
        Now(|s| s.moving as f64),
    ),
];

const GATEWAY: [Metric<Gateway>; 3] = [
    ("topics", "Topics", Now(|g| g.catalog.topic_count() as f64)),
    (
        "metadata_unreadable",
        "Rows of metadata met since the start that this version cannot read",
        Now(|g| g.catalog.unreadable() as f64),
    ),
    (
        "in_flight_bytes",
        "Request bytes in memory",
        Now(|g| g.budget.used() as f64),
    ),
];

const BROKER: [Metric<NodeGauges>; 2] = [
    (
        "long_polls_waiting",
        "Fetches and tails that wait for a record",
        Now(|g| g.waiting_fetches as f64),
    ),
    (
        "partitions",
        "Partitions that hold data on this broker",
        Now(|g| g.partitions as f64),
    ),
];

/// What coordinators of groups count.
const GROUPS: [Metric<GroupStats>; 5] = [
    (
        "group_coordinators",
        "Partitions of the group log that this node coordinates",
        Now(|s| s.coordinators as f64),
    ),
    (
        "groups",
        "Consumer groups in them",
        Now(|s| s.groups as f64),
    ),
    (
        "group_members",
        "Members of these groups",
        Now(|s| s.members as f64),
    ),
    (
        "group_log_bytes",
        "Bytes of their logs",
        Now(|s| s.log_bytes as f64),
    ),
    (
        "group_snapshots",
        "Snapshots of the group log",
        SinceStart(|s| s.snapshots as f64),
    ),
];

/// What the object store counts.
const TIER: [Metric<TierStats>; 11] = [
    (
        "tier_backlog_bytes",
        "Sealed segments of led partitions that are yet to be uploaded",
        Now(|s| s.backlog_bytes as f64),
    ),
    (
        "tier_uploaded_bytes",
        "Bytes uploaded to the object store and verified",
        SinceStart(|s| s.uploaded_bytes as f64),
    ),
    (
        "tier_failed_uploads",
        "Uploads that failed, to be tried again",
        SinceStart(|s| s.failed_uploads as f64),
    ),
    (
        "tier_compacted_bytes",
        "Bytes of cold segments that were compacted by key",
        SinceStart(|s| s.compacted_bytes as f64),
    ),
    (
        "tier_failed_compactions",
        "Compactions that failed, to be tried again",
        SinceStart(|s| s.failed_compactions as f64),
    ),
    (
        "tier_cache_hits",
        "Blocks of cold segments found in the cache",
        SinceStart(|s| s.reads.hits as f64),
    ),
    (
        "tier_cache_misses",
        "Blocks of cold segments not found in the cache",
        SinceStart(|s| s.reads.misses as f64),
    ),
    (
        "tier_gets",
        "Reads of the object store",
        SinceStart(|s| s.reads.gets as f64),
    ),
    (
        "tier_fetched_bytes",
        "Bytes read from the object store",
        SinceStart(|s| s.reads.fetched_bytes as f64),
    ),
    (
        "tier_served_bytes",
        "Bytes of cold batches given to readers",
        SinceStart(|s| s.reads.served_bytes as f64),
    ),
    (
        "tier_cached_bytes",
        "Bytes of cold segments in the cache",
        Now(|s| s.reads.cached_bytes as f64),
    ),
];

/// What the log counts.
const LOG: [Metric<LogStats>; 12] = [
    (
        "log_appends",
        "Appends in the journal",
        SinceStart(|s| s.frames as f64),
    ),
    (
        "log_journal_written_bytes",
        "Bytes written to the journal",
        SinceStart(|s| s.group_bytes as f64),
    ),
    (
        "log_journal_bytes",
        "Journal that no checkpoint covers",
        Now(|s| s.journal_bytes as f64),
    ),
    (
        "log_queue_bytes",
        "Appended bytes that are not synced",
        Now(|s| s.queue_bytes as f64),
    ),
    (
        "log_tail_bytes",
        "Recent batches in memory",
        Now(|s| s.tail_bytes as f64),
    ),
    (
        "log_segment_written_bytes",
        "Bytes written to segments",
        SinceStart(|s| s.segment_bytes_written as f64),
    ),
    (
        "log_segment_read_bytes",
        "Bytes read from segments",
        SinceStart(|s| s.segment_bytes_read as f64),
    ),
    (
        "log_open_files",
        "Segment files open",
        Now(|s| s.open_files as f64),
    ),
    (
        "log_checkpoints",
        "Checkpoints",
        SinceStart(|s| s.checkpoints as f64),
    ),
    (
        "log_corrupt_batches",
        "Damaged batches met",
        SinceStart(|s| s.corrupt_batches as f64),
    ),
    (
        "log_disk_free_bytes",
        "Free space of the data directory",
        Now(|s| s.free_bytes as f64),
    ),
    (
        "log_storage_full",
        "1 while appends are refused for want of space",
        Now(|s| f64::from(u8::from(s.storage_full))),
    ),
];

impl fmt::Debug for OfGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfGateway")
    }
}

impl fmt::Debug for OfCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfCertificates")
    }
}

impl fmt::Debug for OfBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfBroker")
    }
}
