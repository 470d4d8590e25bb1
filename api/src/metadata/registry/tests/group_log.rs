//! The log of groups: whose it is, how many copies it gets, and what coordinators are told of topics.

use std::time::Instant;

use headwater_broker::{PartitionId, Placement, TopicId, replica::Assignment};

use super::{Database, on_both_engines, place};
use crate::metadata::{
    Catalog, Kind, PartitionRow, TopicRow,
    group_log::{GROUP_LOG_PARTITIONS, SYSTEM_PROJECT},
    store::{OrganizationRow, ProjectRow},
};

on_both_engines!(
    it_is_made_once_and_no_tenants,
    it_gets_more_copies_as_brokers_come,
    only_what_has_no_row_is_deleted,
);

const LOG: TopicId = TopicId([9; 16]);

impl Database {
    /// Makes the group log with its copies in these places; whether it was not there yet.
    async fn make_group_log(&self, place: &Assignment) -> bool {
        let mut change = self.change().await;
        let copies = place.replicas.len() as u32;
        let row = TopicRow::of_group_log(LOG, copies, 1).expect("a row");
        if !row.insert(&mut change).await.expect("a topic") {
            return false;
        }
        let row = |partition| {
            let topic = LOG;
            PartitionRow::new(PartitionId { topic, partition }, place)
        };
        let rows: Vec<_> = (0..GROUP_LOG_PARTITIONS).map(row).collect();
        let placed = PartitionRow::insert(&mut change, &rows).await;
        placed.expect("partitions");
        let touched = change.touch(Kind::Topic, &LOG.to_string()).await;
        touched.expect("a touch");
        change.commit().await.expect("a commit");
        true
    }

    async fn heard(&self) -> Catalog {
        let catalog = Catalog::default();
        catalog.catch_up(&self.store).await.expect("it catches up");
        catalog
    }
}

async fn it_is_made_once_and_no_tenants(database: Database) {
    let before = database.heard().await;
    assert_eq!(Placement::group_log(&before), None);
    assert!(database.make_group_log(&place(&[1])).await);
    assert!(!database.make_group_log(&place(&[2])).await);
    // Whoever hears of it, and whoever reads all anew.
    before.catch_up(&database.store).await.expect("heard");
    for catalog in [before, database.heard().await] {
        assert_eq!(Placement::group_log(&catalog), Some(LOG));
        assert_eq!(catalog.topic_count(), 0);
        assert!(catalog.topic(SYSTEM_PROJECT, "__groups").is_none());
        assert!(catalog.project(SYSTEM_PROJECT).is_none());
        assert!(catalog.organization(SYSTEM_PROJECT).is_none());
        // Nothing of it goes to the bucket.
        assert_eq!(catalog.describe(LOG), None);
        let placement = Placement::topic(&catalog, LOG).expect("it is placed");
        assert_eq!(placement.partitions.len(), 16);
        assert_eq!(placement.settings.retention_ms, None);
        assert_eq!(catalog.take_changed().len(), 16);
    }
    let mut connection = database.store.connection().await.expect("a connection");
    let projects = ProjectRow::all(&mut connection).await.expect("projects");
    assert!(projects.iter().all(|project| project.id == "main"));
    let all = OrganizationRow::all(&mut connection).await;
    let all = all.expect("organizations");
    assert!(all.iter().all(|organization| organization.id == "acme"));
}

async fn it_gets_more_copies_as_brokers_come(database: Database) {
    database.registered(1, 1).await;
    assert!(database.make_group_log(&place(&[1])).await);
    let known = database.heard().await;
    let mut expected = vec![1];
    for (broker, minimum) in [(2, 1), (3, 2)] {
        database.registered(broker, broker as u8).await;
        expected.push(broker);
        known.catch_up(&database.store).await.expect("heard");
        let heard = Placement::topic(&known, LOG).expect("it is placed");
        let heard: Vec<_> = heard.partitions.iter().map(|row| (**row).clone()).collect();
        assert_eq!(heard, database.places(LOG).await);
        for row in heard {
            assert_eq!(row.in_sync, [1]);
            assert_eq!(row.min_insync_replicas, minimum);
            assert_eq!(row.target, None);
            let mut replicas = row.replicas;
            replicas.sort_unstable();
            assert_eq!(replicas, expected);
        }
    }
    let settled = database.places(LOG).await;
    for broker in [4, 2] {
        database.registered(broker, broker as u8).await;
        assert_eq!(database.places(LOG).await, settled);
    }
}

async fn only_what_has_no_row_is_deleted(database: Database) {
    let [kept, buried, gone, unreadable] = [1, 2, 3, 4];
    for number in [kept, buried, gone, unreadable] {
        database.topic(number, 1, Some(&place(&[1]))).await;
    }
    let catalog = database.heard().await;
    let asked_at = Instant::now();
    let is_deleted =
        |catalog: &Catalog, number| catalog.is_deleted(TopicId([number; 16]), asked_at);
    let change = async |number: u8, sql: &'static str| {
        let mut change = database.change().await;
        let id = TopicId([number; 16]).to_string();
        let done = sqlx::query(sql).bind(&id).execute(&mut *change).await;
        done.expect(sql);
        change.touch(Kind::Topic, &id).await.expect("a touch");
        change.commit().await.expect("a commit");
    };
    change(buried, "UPDATE topics SET deleted_at = 5 WHERE id = $1").await;
    change(gone, "DELETE FROM partitions WHERE topic_id = $1").await;
    change(gone, "DELETE FROM topics WHERE id = $1").await;
    change(
        unreadable,
        "UPDATE topics SET config = 'later' WHERE id = $1",
    )
    .await;
    // Nothing has been heard since: a topic that is not known may be new.
    for number in [kept, buried, gone, unreadable, 5] {
        assert!(!is_deleted(&catalog, number));
    }
    catalog.catch_up(&database.store).await.expect("heard");
    for catalog in [catalog, database.heard().await] {
        assert!(Placement::topic(&catalog, TopicId([unreadable; 16])).is_none());
        let deleted =
            [kept, buried, gone, unreadable, 5].map(|number| is_deleted(&catalog, number));
        assert_eq!(deleted, [false, true, true, false, true]);
    }
}
