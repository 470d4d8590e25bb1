//! What the service counts, for `/metrics`: base units, and no label that tenants can multiply.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64},
};

use headwater_broker::{GroupStats, TierStats};
use headwater_log::LogStats;
use http::Method;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

/// Routes that are counted by name; paths that somebody made up are not.
const ROUTES: [&str; 17] = [
    "/v1/projects/{project}/topics/{topic}/records",
    "/v1/projects/{project}/topics/{topic}/partitions/{partition}/records",
    "/v1/projects/{project}/topics/{topic}/raw",
    "/v1/projects/{project}/topics/{topic}/records/bulk",
    "/v1/projects/{project}/topics/{topic}/tail",
    "/v1/projects/{project}/topics/{topic}/tail.ndjson",
    "/v1/projects/{project}/topics/{topic}/offsets",
    "/v1/projects/{project}/topics/{topic}/trim",
    "/v1/projects/{project}/topics/{topic}/partitions",
    "/v1/projects/{project}/topics/{topic}",
    "/v1/projects/{project}/topics",
    "/v1/projects/{project}/groups",
    "/v1/projects/{project}/groups/{group}",
    "/v1/projects/{project}/groups/{group}/members/{member}",
    "/v1/projects/{project}/groups/{group}/members/{member}/poll",
    "/v1/projects/{project}/groups/{group}/offsets",
    "/metrics",
];

/// A route as the metrics know it.
#[derive(Debug, Clone, Copy)]
pub struct Route(&'static str);

impl Route {
    /// `POST …/records`, the busiest.
    pub const PRODUCE: Self = Self(ROUTES[0]);
    /// None that is counted by name.
    pub const OTHER: Self = Self("other");

    /// A method of gRPC, by its path.
    pub const fn of_method(path: &'static str) -> Self {
        Self(path)
    }

    /// The route of a path template.
    pub fn of(template: &str) -> Self {
        ROUTES
            .iter()
            .find(|known| **known == template)
            .map_or(Self::OTHER, |known| Self(known))
    }
}

/// A gauge that follows the number of things alive.
pub type Alive = Gauge<i64, AtomicI64>;

/// Counts one thing for as long as it lives.
pub struct Counted(Alive);

impl Counted {
    /// One more.
    pub fn new(gauge: &Alive) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The gateway's metrics.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram>,
    /// Open connections.
    pub connections: Alive,
    /// Open tails.
    pub tails: Alive,
    /// Bulk loads under way.
    pub bulk_loads: Alive,
    /// Records acknowledged.
    pub records_in: Counter,
    /// Key, value and header bytes acknowledged.
    pub bytes_in: Counter,
    /// Records sent.
    pub records_out: Counter,
    sampled: Sampled,
}

/// Gauges and counters that are read from elsewhere when somebody looks.
struct Sampled {
    long_polls: Gauge,
    partitions: Gauge,
    topics: Gauge,
    unreadable: Gauge,
    in_flight_bytes: Gauge,
    log: Vec<(Gauge<f64, AtomicU64>, ReadGauge<LogStats>)>,
    tier: Vec<(Gauge<f64, AtomicU64>, ReadGauge<TierStats>)>,
    groups: Vec<(Gauge<f64, AtomicU64>, ReadGauge<GroupStats>)>,
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Arc<Self> {
        let mut registry = Registry::with_prefix("headwater");
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        let seconds = Family::<RouteLabels, Histogram>::new_with_constructor(|| {
            Histogram::new([
                0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                0.5, 1.0, 2.5, 10.0, 60.0,
            ])
        });
        registry.register_with_unit(
            "http_request_duration",
            "Time from a request's headers to its answer's headers",
            Unit::Seconds,
            seconds.clone(),
        );
        let mut alive = |name: &str, help: &str| {
            let gauge = Alive::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let connections = alive("http_connections", "Open connections");
        let tails = alive("tails_open", "Open tails");
        let bulk_loads = alive("bulk_loads_open", "Bulk loads under way");
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let records_in = counter("records_in", "Records acknowledged");
        let bytes_in = counter(
            "record_bytes_in",
            "Key, value and header bytes acknowledged",
        );
        let records_out = counter("records_out", "Records sent to readers");
        let sampled = Sampled::register(&mut registry);
        Arc::new(Self {
            registry,
            requests,
            seconds,
            connections,
            tails,
            bulk_loads,
            records_in,
            bytes_in,
            records_out,
            sampled,
        })
    }

    /// Counts an answered request.
    pub fn request(&self, method: &Method, route: Route, status: u16, seconds: f64) {
        let method = match *method {
            Method::GET => "GET",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            // Anybody can invent methods.
            _ => "other",
        };
        let Route(route) = route;
        self.requests
            .get_or_create(&RequestLabels {
                method,
                route,
                status,
            })
            .inc();
        self.seconds
            .get_or_create(&RouteLabels { route })
            .observe(seconds);
    }

    /// The text that Prometheus reads.
    ///
    /// # Errors
    /// Never in practice: it is written to memory.
    pub fn text(
        &self,
        gateway: &crate::gateway::Gateway,
        node: Option<&headwater_broker::Node>,
    ) -> Result<String, std::fmt::Error> {
        if let Some(node) = node {
            self.sampled.read(node);
        }
        self.sampled
            .topics
            .set(gateway.catalog.topic_count() as i64);
        let unreadable = i64::try_from(gateway.catalog.unreadable());
        self.sampled.unreadable.set(unreadable.unwrap_or(i64::MAX));
        self.sampled
            .in_flight_bytes
            .set(gateway.budget.used() as i64);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Sampled {
    fn read(&self, node: &headwater_broker::Node) {
        let gauges = node.gauges();
        self.long_polls.set(gauges.waiting_fetches as i64);
        self.partitions.set(gauges.partitions as i64);
        let stats = node.log_stats();
        for (gauge, read) in &self.log {
            gauge.set(read(&stats));
        }
        let stats = node.group_stats();
        for (gauge, read) in &self.groups {
            gauge.set(read(&stats));
        }
        if let Some(stats) = node.tier_stats() {
            for (gauge, read) in &self.tier {
                gauge.set(read(&stats));
            }
        }
    }

    fn register(registry: &mut Registry) -> Self {
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let long_polls = gauge(
            "long_polls_waiting",
            "Fetches and tails that wait for a record",
        );
        let partitions = gauge("partitions", "Partitions that hold data");
        let topics = gauge("topics", "Topics");
        let unreadable = gauge(
            "metadata_unreadable",
            "Rows of metadata met since the start that this version cannot read",
        );
        let in_flight_bytes = gauge("in_flight_bytes", "Request bytes in memory");
        Self {
            long_polls,
            partitions,
            topics,
            unreadable,
            in_flight_bytes,
            log: gauges_of(registry, &LOG_GAUGES),
            tier: gauges_of(registry, &TIER_GAUGES),
            groups: gauges_of(registry, &GROUP_GAUGES),
        }
    }
}

type ReadGauge<S> = fn(&S) -> f64;

fn gauges_of<S>(
    registry: &mut Registry,
    wanted: &[(&str, &str, ReadGauge<S>)],
) -> Vec<(Gauge<f64, AtomicU64>, ReadGauge<S>)> {
    let registered = wanted.iter().map(|(name, help, read)| {
        let gauge = Gauge::<f64, AtomicU64>::default();
        registry.register(*name, *help, gauge.clone());
        (gauge, *read)
    });
    registered.collect()
}

/// What coordinators of groups count, see [`LOG_GAUGES`].
const GROUP_GAUGES: [(&str, &str, ReadGauge<GroupStats>); 5] = [
    (
        "group_coordinators",
        "Partitions of the group log that this node coordinates",
        |s| s.coordinators as f64,
    ),
    ("groups", "Consumer groups in them", |s| s.groups as f64),
    ("group_members", "Members of these groups", |s| {
        s.members as f64
    }),
    ("group_log_bytes", "Bytes of their logs", |s| {
        s.log_bytes as f64
    }),
    (
        "group_snapshots",
        "Snapshots of the group log written since the start",
        |s| s.snapshots as f64,
    ),
];

/// What the object store counts, see [`LOG_GAUGES`].
const TIER_GAUGES: [(&str, &str, ReadGauge<TierStats>); 11] = [
    (
        "tier_backlog_bytes",
        "Sealed segments of led partitions that are yet to be uploaded",
        |s| s.backlog_bytes as f64,
    ),
    (
        "tier_uploaded_bytes",
        "Bytes uploaded to the object store and verified since the start",
        |s| s.uploaded_bytes as f64,
    ),
    (
        "tier_failed_uploads",
        "Uploads that failed since the start, to be tried again",
        |s| s.failed_uploads as f64,
    ),
    (
        "tier_compacted_bytes",
        "Bytes of cold segments that were compacted by key since the start",
        |s| s.compacted_bytes as f64,
    ),
    (
        "tier_failed_compactions",
        "Compactions that failed since the start, to be tried again",
        |s| s.failed_compactions as f64,
    ),
    (
        "tier_cache_hits",
        "Blocks of cold segments found in the cache since the start",
        |s| s.reads.hits as f64,
    ),
    (
        "tier_cache_misses",
        "Blocks of cold segments not found in the cache since the start",
        |s| s.reads.misses as f64,
    ),
    (
        "tier_gets",
        "Reads of the object store since the start",
        |s| s.reads.gets as f64,
    ),
    (
        "tier_fetched_bytes",
        "Bytes read from the object store since the start",
        |s| s.reads.fetched_bytes as f64,
    ),
    (
        "tier_served_bytes",
        "Bytes of cold batches given to readers since the start",
        |s| s.reads.served_bytes as f64,
    ),
    (
        "tier_cached_bytes",
        "Bytes of cold segments in the cache",
        |s| s.reads.cached_bytes as f64,
    ),
];

/// What the log counts. Totals since the start are gauges here, because they are sampled.
const LOG_GAUGES: [(&str, &str, ReadGauge<LogStats>); 14] = [
    ("log_syncs", "Journal syncs since the start", |s| {
        s.syncs as f64
    }),
    (
        "log_sync_seconds",
        "Time in journal syncs since the start",
        |s| s.sync_seconds,
    ),
    (
        "log_frames",
        "Appends in the journal since the start",
        |s| s.frames as f64,
    ),
    (
        "log_group_bytes",
        "Bytes written to the journal since the start",
        |s| s.group_bytes as f64,
    ),
    (
        "log_journal_bytes",
        "Journal that no checkpoint covers",
        |s| s.journal_bytes as f64,
    ),
    (
        "log_queue_bytes",
        "Appended bytes that are not synced",
        |s| s.queue_bytes as f64,
    ),
    ("log_tail_bytes", "Recent batches in memory", |s| {
        s.tail_bytes as f64
    }),
    (
        "log_segment_written_bytes",
        "Bytes written to segments since the start",
        |s| s.segment_bytes_written as f64,
    ),
    (
        "log_segment_read_bytes",
        "Bytes read from segments since the start",
        |s| s.segment_bytes_read as f64,
    ),
    ("log_open_files", "Segment files open", |s| {
        s.open_files as f64
    }),
    ("log_checkpoints", "Checkpoints since the start", |s| {
        s.checkpoints as f64
    }),
    (
        "log_corrupt_batches",
        "Damaged batches met since the start",
        |s| s.corrupt_batches as f64,
    ),
    (
        "log_disk_free_bytes",
        "Free space of the data directory",
        |s| s.free_bytes as f64,
    ),
    (
        "log_storage_full",
        "1 while appends are refused for want of space",
        |s| f64::from(u8::from(s.storage_full)),
    ),
];
