//! What the service counts, for `/metrics`: base units, and no label that tenants can multiply.

mod sampled;

use std::sync::{Arc, atomic::AtomicI64};

use headwater_broker::Node;
use http::Method;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::{gateway::Gateway, tls::Tls};

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

/// The metrics of this process.
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
}

impl Metrics {
    /// All metrics: those of requests at zero, others as the gateway, the broker, if this process is
    /// one, and the certificates say when somebody looks.
    pub fn new(gateway: Arc<Gateway>, node: Option<Arc<Node>>, tls: Vec<Arc<Tls>>) -> Arc<Self> {
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
        sampled::register(&mut registry, gateway, node, tls);
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
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
