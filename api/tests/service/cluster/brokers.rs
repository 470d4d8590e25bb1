//! The processes of a cluster.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use super::netns::Network;
use crate::{
    client::Api,
    harness::{Server, bootstrap_on, eventually},
    postgres::Postgres,
    tenants::people::sign_in,
};

/// A cluster of brokers that are gateways too.
pub struct Cluster {
    /// By number, from 1.
    pub brokers: Vec<Server>,
    pub postgres: Postgres,
    database: String,
    secret: tempfile::NamedTempFile,
    key: String,
    project: String,
    password: String,
    /// Of all of its brokers, beside what makes them a cluster.
    settings: Vec<(String, String)>,
    /// What it runs on, if that is not this machine's own. Goes last, after its processes.
    network: Option<Network>,
}

impl Cluster {
    /// Starts so many brokers, with one project.
    pub async fn start(count: usize) -> Self {
        Self::start_with(None, count, &[]).await
    }

    /// The same, on a network of its own.
    pub async fn start_on(network: Option<Network>, count: usize) -> Self {
        Self::start_with(network, count, &[]).await
    }

    /// The same with these settings, by the names of their variables.
    pub async fn start_with(
        network: Option<Network>,
        count: usize,
        settings: &[(&str, &str)],
    ) -> Self {
        let host = network.as_ref().map(Network::database_host);
        let postgres = tokio::task::spawn_blocking(move || match host {
            Some(host) => Postgres::start_at(&host),
            None => Postgres::start(),
        })
        .await
        .expect("Postgres starts");
        let database = postgres.database();
        let secret = tempfile::NamedTempFile::new().expect("a file");
        fs::write(secret.path(), "what only these brokers know").expect("written");
        let made = bootstrap_on(&database, "acme", "orders", "ada@example.com").await;
        let text = |name: &str| made[name].as_str().expect(name).to_owned();
        let mut cluster = Self {
            brokers: Vec::new(),
            postgres,
            database,
            secret,
            key: text("api_key"),
            password: text("password"),
            project: "orders".into(),
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            network,
        };
        for number in 1..=count {
            let mut broker = cluster.broker(number);
            broker.launch();
            cluster.brokers.push(broker);
        }
        for broker in &mut cluster.brokers {
            broker.ready().await;
        }
        let live = async || {
            let api = cluster.api(0);
            api.get("/topics").await.status == 200 && cluster.live().await == count
        };
        eventually("all brokers are known", live).await;
        cluster
    }

    /// Another process that says it is this broker.
    pub fn broker(&self, number: usize) -> Server {
        let network = self.network.as_ref();
        let place = network.map(|network| network.place(number - 1));
        let server = Server::serve(&self.database)
            .at(place.unwrap_or_default())
            .with("HEADWATER_BROKER_ID", &number.to_string())
            .with(
                "HEADWATER_CLUSTER_SECRET_FILE",
                self.secret.path().to_str().expect("a path"),
            );
        let settings = self.settings.iter();
        settings.fold(server, |server, (name, value)| server.with(name, value))
    }

    /// A process that serves clients and keeps nothing.
    pub fn gateway(&self) -> Server {
        Server::serve(&self.database)
            .with("HEADWATER_ROLES", "gateway")
            .with(
                "HEADWATER_CLUSTER_SECRET_FILE",
                self.secret.path().to_str().expect("a path"),
            )
    }

    /// Stops all brokers, and loses their disks.
    pub async fn lose_disks(&mut self) {
        for mut broker in std::mem::take(&mut self.brokers) {
            broker.stop().await;
        }
    }

    /// Goes on with another database, whose project gets an owner and a key.
    pub async fn go_on_with(&mut self, database: String) {
        let made = bootstrap_on(&database, "acme", "orders", "ada@example.com").await;
        let text = |name: &str| made[name].as_str().expect(name).to_owned();
        (self.key, self.password) = (text("api_key"), text("password"));
        self.database = database;
    }

    /// Starts so many more brokers, with empty disks.
    pub async fn start_brokers(&mut self, count: usize) {
        for _ in 0..count {
            let broker = self.broker(self.brokers.len() + 1).started().await;
            self.brokers.push(broker);
        }
    }

    /// The network of its own.
    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("it has one")
    }

    /// How many brokers are live, as the database has it.
    async fn live(&self) -> usize {
        let sql = "SELECT count(*) FROM brokers WHERE fenced = 0";
        self.postgres
            .query(&self.database, sql)
            .parse()
            .expect("a number")
    }

    /// A client of one of the gateways, from 0.
    pub fn api(&self, gateway: usize) -> Api {
        self.api_of(&self.brokers[gateway])
    }

    /// A client of this process.
    pub fn api_of(&self, server: &Server) -> Api {
        let root = server.root();
        let base = format!("{root}/v1/projects/{}", self.project);
        Api::new(root, base, self.key.clone())
    }

    /// An operator who is signed in.
    pub async fn operator(&self, gateway: usize) -> Api {
        let stranger = Api::stranger(self.brokers[gateway].root());
        let person = sign_in(&stranger, "ada@example.com", &self.password).await;
        person.api
    }

    /// Creates a topic on all brokers.
    pub async fn topic(&self, name: &str, partitions: u32, replication_factor: u32) {
        let body = json!({"partitions": partitions, "replication_factor": replication_factor});
        let path = format!("/topics/{name}");
        let made = self.api(0).send("PUT", &path, body.to_string()).await;
        made.expect(201);
        // The other gateways hear of it by the feed.
        for gateway in 0..self.brokers.len() {
            let api = self.api(gateway);
            let known = async || api.get(&path).await.status == 200;
            eventually("the topic is known", known).await;
        }
    }

    /// The broker that leads a partition, from 0, by the database.
    pub fn leader(&self, partition: u32) -> usize {
        self.broker_that(&format!(
            "SELECT leader FROM partitions WHERE partition = {partition}"
        ))
    }

    /// The broker that controls the cluster, from 0.
    pub fn controller(&self) -> usize {
        self.broker_that("SELECT broker FROM controller")
    }

    fn broker_that(&self, sql: &str) -> usize {
        let number = self.postgres.query(&self.database, sql);
        let number: usize = number.parse().expect("a broker");
        number - 1
    }

    /// Waits until another broker leads the first partition.
    pub async fn replaced(&self, leader: usize) {
        let replaced = async || self.leader(0) != leader;
        eventually("another broker leads", replaced).await;
    }

    /// Waits until a copy has left the first partition's in-sync set.
    pub async fn smaller(&self) {
        let sql = "SELECT length(in_sync) < length(replicas) FROM partitions WHERE partition = 0";
        let smaller = async || self.postgres.query(&self.database, sql) == "t";
        eventually("a copy leaves the in-sync set", smaller).await;
    }

    /// Waits until every copy is in sync and every broker renews its lease, which takes a minute at most.
    pub async fn whole(&self) {
        let sql = "SELECT (SELECT count(*) FROM partitions \
                           WHERE leader IS NULL OR length(in_sync) < length(replicas)) \
                        + (SELECT count(*) FROM brokers WHERE fenced = 1 \
                           OR lease_until < extract(epoch FROM clock_timestamp()) * 1000)";
        let started = Instant::now();
        let whole = async || self.postgres.query(&self.database, sql) == "0";
        eventually("the cluster is whole", whole).await;
        println!("whole after {:?}", started.elapsed());
    }

    /// Stops all brokers cleanly, and compares what their disks hold.
    pub async fn stop_and_compare(mut self) {
        for broker in &self.brokers {
            broker.terminate();
        }
        for broker in &mut self.brokers {
            let status = broker.exited().await;
            assert_eq!(status.code(), Some(0), "a clean stop\n{}", broker.log());
        }
        let copies: Vec<_> = self.brokers.iter().map(|b| copies(&b.data_dir())).collect();
        let first = &copies[0];
        assert!(!first.is_empty());
        for other in &copies[1..] {
            assert!(first.keys().eq(other.keys()), "the same partitions");
            for (partition, bytes) in first {
                assert!(
                    bytes == &other[partition],
                    "{partition} is the same everywhere"
                );
            }
        }
    }
}

/// The bytes of every partition's segments, in order.
fn copies(data_dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let root = data_dir.join("log/partitions");
    let listed = |path: &Path| {
        let entries = fs::read_dir(path).expect("a directory");
        let mut paths: Vec<_> = entries
            .map(|entry| entry.expect("an entry").path())
            .collect();
        paths.sort();
        paths
    };
    let mut copies = BTreeMap::new();
    for topic in listed(&root) {
        for partition in listed(&topic) {
            let mut bytes = Vec::new();
            for file in listed(&partition) {
                if file.extension().is_some_and(|extension| extension == "log") {
                    bytes.extend(fs::read(&file).expect("a segment"));
                }
            }
            let name = partition.strip_prefix(&root).expect("inside");
            copies.insert(name.display().to_string(), bytes);
        }
    }
    copies
}

/// Sends a signal to a process.
pub fn signal(pid: u32, signal: &str) {
    let sent = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status();
    assert!(sent.expect("kill runs").success());
}

/// Lets the load go on for a while.
pub async fn run_on(time_ms: u64) {
    tokio::time::sleep(Duration::from_millis(time_ms)).await;
}
