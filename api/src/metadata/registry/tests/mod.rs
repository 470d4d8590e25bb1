//! The registry on both engines.

mod group_log;
mod lives;
// The service's tests have the server; here it is for what no call shows.
#[path = "../../../../tests/service/postgres.rs"]
#[allow(dead_code, reason = "these tests never stop it")]
mod postgres;
mod rows;
mod segments;

use std::time::Duration;

use headwater_broker::{
    BrokerId, Incarnation, PartitionId, Registration, Registry, TopicId, replica::Assignment,
};

use crate::metadata::{Catalog, Change, Kind, PartitionRow, Store, TopicRow, store::ChangeRow};

/// What the server asks of who uses it.
mod harness {
    use std::net::TcpListener;

    pub fn free_port() -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.local_addr().expect("an address").port()
    }

    pub fn make_template(database: &str) {
        let database = database.to_owned();
        let made = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let store = super::Store::open(&database).await.expect("it migrates");
                store.close().await;
            });
        });
        made.join().expect("a template");
    }
}

/// A database of a test's own.
struct Database {
    store: Store,
    url: String,
    _directory: Option<tempfile::TempDir>,
}

impl Database {
    async fn sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite://{}", directory.path().join("m.db").display());
        Self::open(url, Some(directory)).await
    }

    async fn postgres() -> Self {
        Self::open(postgres::Postgres::shared().database(), None).await
    }

    async fn open(url: String, directory: Option<tempfile::TempDir>) -> Self {
        let store = Store::open(&url).await.expect("it opens");
        let database = Self {
            store,
            url,
            _directory: directory,
        };
        for sql in [
            "INSERT INTO organizations (id, name, created_at) VALUES ('acme', 'Acme', 1)",
            "INSERT INTO projects (id, organization_id, name, cursor_secret, created_at) \
             VALUES ('main', 'acme', 'Main', \
             '5555555555555555555555555555555555555555555555555555555555555555', 2)",
        ] {
            database.run(sql).await;
        }
        database
    }

    async fn run(&self, sql: &'static str) {
        let mut connection = self.store.connection().await.expect("a connection");
        let done = sqlx::query(sql).execute(&mut *connection).await;
        done.expect(sql);
    }

    async fn change(&self) -> Change {
        self.store.change(1).await.expect("a change")
    }

    async fn number(&self) -> i64 {
        let mut connection = self.store.connection().await.expect("a connection");
        let number = ChangeRow::last_number(&mut connection).await;
        number.expect("a number")
    }

    /// Registers a broker whose directory is named after `disk`; its life.
    async fn registered(&self, id: BrokerId, disk: u8) -> Incarnation {
        let registered = self.store.register(broker(id, disk)).await;
        registered.expect("it registers").incarnation
    }

    /// A topic with its partitions' copies all in these places.
    async fn topic(&self, number: u8, partitions: u32, place: Option<&Assignment>) -> TopicId {
        let topic = TopicId([number; 16]);
        let mut change = self.change().await;
        let row = TopicRow {
            id: topic.to_string(),
            project_id: "main".into(),
            name: format!("topic-{number}"),
            partitions: i64::from(partitions),
            replication_factor: place.map_or(1, |place| place.replicas.len() as i64),
            config: "{}".into(),
            description: String::new(),
            version: 1,
            created_at: 1,
            deleted_at: None,
        };
        assert!(row.insert(&mut change).await.expect("a topic"));
        if let Some(place) = place {
            let row = |partition| PartitionRow::new(PartitionId { topic, partition }, place);
            let rows: Vec<_> = (0..partitions).map(row).collect();
            let placed = PartitionRow::insert(&mut change, &rows).await;
            placed.expect("partitions");
        }
        change.touch(Kind::Topic, &row.id).await.expect("a touch");
        change.commit().await.expect("a commit");
        topic
    }

    /// Where a topic's partitions are, as a node hears it.
    async fn places(&self, topic: TopicId) -> Vec<Assignment> {
        let catalog = Catalog::default();
        catalog.catch_up(&self.store).await.expect("it catches up");
        let topic = headwater_broker::Placement::topic(&catalog, topic).expect("the topic");
        let places = topic.partitions.iter();
        places.map(|place| (**place).clone()).collect()
    }
}

fn broker(id: BrokerId, disk: u8) -> Registration {
    Registration {
        id,
        data_dir: [disk; 16],
        renewals: 0,
        address: format!("10.0.0.{id}:7070"),
        rack: None,
        lease: Duration::from_secs(60),
        damaged: Vec::new(),
    }
}

/// Copies on these brokers, all in sync; the first leads in its first life.
fn place(replicas: &[BrokerId]) -> Assignment {
    Assignment {
        replicas: replicas.to_vec(),
        target: None,
        leader: replicas
            .first()
            .map(|broker| headwater_broker::replica::Leadership {
                broker: *broker,
                incarnation: 1,
            }),
        epoch: 1,
        in_sync: replicas.to_vec(),
        partition_epoch: 1,
        min_insync_replicas: replicas.len() / 2 + 1,
        loss_epoch: None,
    }
}

macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(super::Database::sqlite().await).await;
                }
            )*
        }

        mod postgres {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(super::Database::postgres().await).await;
                }
            )*
        }
    };
}

use on_both_engines;
