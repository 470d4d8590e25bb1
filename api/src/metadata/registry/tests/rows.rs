//! Partitions' rows: proposed, heard of, adopted and left.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use headwater_broker::{
    PartitionId, Placement, Proposal, Registration, Registry, TopicId, replica::Assignment,
};

use super::{Database, broker, on_both_engines, place};
use crate::metadata::{Catalog, Store, TopicRow};

on_both_engines!(
    a_row_is_written_over_what_the_proposer_knew,
    who_is_new_in_sync_must_live,
    of_two_proposals_one_is_written,
    five_thousand_rows_are_soon_written,
    a_node_hears_of_what_moved_and_of_nothing_else,
    topics_from_before_are_the_first_brokers,
    the_last_broker_takes_the_tombstone_away,
    others_changes_are_told_where_the_engine_tells,
);

fn proposal(topic: TopicId, partition: u32, was: i64, row: Assignment) -> Proposal {
    Proposal {
        id: PartitionId { topic, partition },
        was,
        row,
        added: Vec::new(),
    }
}

/// The row after `place`, with only these in sync.
fn shrunk(place: &Assignment, in_sync: &[u32]) -> Assignment {
    Assignment {
        in_sync: in_sync.to_vec(),
        partition_epoch: place.partition_epoch + 1,
        ..place.clone()
    }
}

async fn a_row_is_written_over_what_the_proposer_knew(database: Database) {
    let was = place(&[1, 2, 3]);
    let topic = database.topic(1, 3, Some(&was)).await;
    let number = database.number().await;
    let new = shrunk(&was, &[1, 2]);
    let newer = shrunk(&new, &[2, 3]);
    let proposals = vec![
        proposal(topic, 2, 1, new.clone()),
        proposal(topic, 0, 7, new.clone()),
        proposal(TopicId([8; 16]), 0, 1, new.clone()),
        proposal(topic, 1, 1, new.clone()),
        proposal(topic, 1, 2, newer.clone()),
        proposal(topic, 1, 1, new.clone()),
    ];
    let answers = database.store.propose(proposals).await.expect("answers");
    let (new, newer, old) = (Some(new), Some(newer), Some(was.clone()));
    let expected = [
        new.clone(),
        old,
        None,
        new.clone(),
        newer.clone(),
        newer.clone(),
    ];
    assert_eq!(answers, expected);
    assert_eq!(database.number().await, number + 1);
    let places: Vec<_> = database.places(topic).await.into_iter().map(Some).collect();
    assert_eq!(places, [Some(was), newer, new]);
}

async fn who_is_new_in_sync_must_live(database: Database) {
    for id in [1, 2] {
        database.registered(id, id as u8).await;
    }
    let was = shrunk(&place(&[1, 2, 3]), &[1]);
    let topic = database.topic(1, 1, Some(&was)).await;
    let add = async |broker, incarnation| {
        let mut proposal = proposal(topic, 0, 2, shrunk(&was, &[1, broker]));
        proposal.added = vec![(broker, incarnation)];
        let answers = database.store.propose(vec![proposal]).await;
        answers.expect("answers")[0].clone().expect("a row").in_sync
    };
    assert_eq!(add(3, 1).await, [1], "it never registered");
    assert_eq!(add(2, 2).await, [1], "it has not begun that life");
    let gone = Registration {
        lease: Duration::ZERO,
        ..broker(2, 2)
    };
    database.store.register(gone).await.expect("a life");
    assert_eq!(add(2, 1).await, [1], "that life is over");
    assert_eq!(database.store.fence_expired().await, Ok(vec![2]));
    assert_eq!(add(2, 2).await, [1], "it is fenced");
    let life = database.registered(2, 2).await;
    assert_eq!(add(2, life).await, [1, 2]);
}

async fn of_two_proposals_one_is_written(database: Database) {
    let was = place(&[1, 2, 3]);
    let topic = database.topic(1, 1, Some(&was)).await;
    let other = Store::open(&database.url).await.expect("it opens");
    for round in 1.. {
        let was = database.places(topic).await.remove(0);
        if round > 10 {
            break;
        }
        let propose = async |store: &Store, in_sync: &[u32]| {
            let proposal = proposal(topic, 0, was.partition_epoch, shrunk(&was, in_sync));
            let answers = store.propose(vec![proposal]).await.expect("an answer");
            answers[0].clone().expect("a row")
        };
        let (a, b) = tokio::join!(propose(&database.store, &[1, 2]), propose(&other, &[1, 3]));
        assert_eq!(a, b, "both know who was first");
        assert_eq!(a.partition_epoch, was.partition_epoch + 1);
    }
}

#[allow(clippy::print_stdout, reason = "figures for who looks")]
async fn five_thousand_rows_are_soon_written(database: Database) {
    let was = place(&[1, 2, 3]);
    let mut topics = Vec::new();
    for number in 0..10 {
        topics.push(database.topic(number, 500, Some(&was)).await);
    }
    let catalog = Catalog::default();
    let started = Instant::now();
    catalog.catch_up(&database.store).await.expect("all");
    println!("5 000 partitions were read after {:?}", started.elapsed());
    let new = shrunk(&was, &[2, 3]);
    let of_topic = |topic| (0..500).map(move |partition| (topic, partition));
    let partitions = topics.iter().copied().flat_map(of_topic);
    let proposals: Vec<_> = partitions
        .map(|(topic, partition)| proposal(topic, partition, 1, new.clone()))
        .collect();
    let started = Instant::now();
    let answers = database.store.propose(proposals).await.expect("answers");
    println!("5 000 rows were written after {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(5), "one at a time?");
    assert_eq!(answers.len(), 5_000);
    assert!(answers.iter().all(|answer| answer.as_ref() == Some(&new)));
    let started = Instant::now();
    catalog.catch_up(&database.store).await.expect("news");
    println!("5 000 rows were heard of after {:?}", started.elapsed());
    for topic in topics {
        let topic = Placement::topic(&catalog, topic).expect("the topic");
        assert!(topic.partitions.iter().all(|place| **place == new));
    }
}

async fn a_node_hears_of_what_moved_and_of_nothing_else(database: Database) {
    let was = place(&[1, 2, 3]);
    let topic = database.topic(1, 3, Some(&was)).await;
    let quiet = database.topic(2, 2, Some(&was)).await;
    let catalog = Catalog::default();
    catalog.catch_up(&database.store).await.expect("all");
    let all = catalog.take_changed();
    assert_eq!(all.len(), 5, "at first all of them");
    let before = Placement::topic(&catalog, topic).expect("the topic");
    let quiet_before = Placement::topic(&catalog, quiet).expect("the topic");
    let mut new = was;
    for was in 1..3 {
        new = shrunk(&new, &[1, 2]);
        let proposals = vec![proposal(topic, 1, was, new.clone())];
        database.store.propose(proposals).await.expect("answers");
        catalog.catch_up(&database.store).await.expect("news");
    }
    let id = PartitionId {
        topic,
        partition: 1,
    };
    let moved = catalog.take_changed();
    assert_eq!(moved, [(id, Arc::new(new))], "the newest of it, once");
    let after = Placement::topic(&catalog, topic).expect("the topic");
    for (partition, same) in [(0, true), (1, false), (2, true)] {
        let (before, after) = (&before.partitions, &after.partitions);
        assert_eq!(Arc::ptr_eq(&before[partition], &after[partition]), same);
    }
    let quiet_after = Placement::topic(&catalog, quiet).expect("the topic");
    assert!(Arc::ptr_eq(&quiet_before, &quiet_after));
    assert_eq!(catalog.take_changed(), []);
}

async fn topics_from_before_are_the_first_brokers(database: Database) {
    let old = database.topic(1, 2, None).await;
    let new = database.topic(2, 1, Some(&place(&[2]))).await;
    let dead = database.topic(3, 2, None).await;
    let mut change = database.change().await;
    let buried = TopicRow::bury(&mut change, &dead.to_string(), 1).await;
    assert!(buried.expect("a tombstone"));
    change.commit().await.expect("a commit");
    assert_eq!(database.places(old).await[0].leader, None);
    database.registered(1, 1).await;
    database.registered(2, 2).await;
    let places = database.places(old).await;
    assert_eq!(places, [place(&[1]), place(&[1])]);
    assert_eq!(database.places(new).await, [place(&[2])]);
    let catalog = Catalog::default();
    let dead_topics = catalog.catch_up(&database.store).await.expect("all");
    assert_eq!(dead_topics.len(), 1);
    let mut transaction = database.store.transaction().await.expect("one");
    let forgotten = TopicRow::forget(&mut transaction, &dead.to_string(), 1).await;
    forgotten.expect("it is forgotten");
    assert!(!is_there(&mut transaction, &dead.to_string()).await);
}

async fn is_there(connection: &mut sqlx::AnyConnection, id: &str) -> bool {
    let rows = TopicRow::all(connection).await.expect("rows");
    rows.iter().any(|row| row.id == id)
}

async fn the_last_broker_takes_the_tombstone_away(database: Database) {
    let topic = database.topic(1, 3, Some(&place(&[1, 2, 12]))).await;
    let id = topic.to_string();
    let forget = async |broker| {
        let mut transaction = database.store.transaction().await.expect("one");
        let forgotten = TopicRow::forget(&mut transaction, &id, broker).await;
        forgotten.expect("it is forgotten");
        let there = is_there(&mut transaction, &id).await;
        transaction.commit().await.expect("a commit");
        there
    };
    assert!(forget(1).await, "it lives");
    assert_eq!(database.places(topic).await[0].replicas, [1, 2, 12]);
    let mut change = database.change().await;
    TopicRow::bury(&mut change, &id, 1).await.expect("a grave");
    change.commit().await.expect("a commit");
    assert!(forget(2).await);
    assert!(forget(2).await, "once is enough");
    assert!(forget(7).await, "it had none of it");
    assert!(forget(1).await);
    assert!(!forget(12).await);
}

async fn others_changes_are_told_where_the_engine_tells(database: Database) {
    let other = Store::open(&database.url).await.expect("it opens");
    let told = tokio::sync::Notify::new();
    let heard = async {
        loop {
            // Listening begins at some time after it is asked for.
            let waited = tokio::time::timeout(Duration::from_millis(200), told.notified());
            if waited.await.is_ok() {
                return true;
            }
            let change = other.change(1).await.expect("a change");
            change.commit().await.expect("a commit");
            if !database.url.starts_with("postgres") {
                return false;
            }
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(30), async {
        tokio::select! {
            () = database.store.listen(&told) => false,
            heard = heard => heard,
        }
    });
    let heard = heard.await.expect("in time");
    assert_eq!(heard, database.url.starts_with("postgres"));
}
