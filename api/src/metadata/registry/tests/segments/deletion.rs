//! Objects that are to be deleted, and rows that are forgotten.

use std::time::Duration;

use headwater_broker::{Manifest, TopicId};

use super::{DONE, Database, on_both_engines, term};

on_both_engines!(
    the_doomed_wait_and_the_oldest_come_first,
    the_living_are_not_forgotten,
    of_a_deleted_topic_all_is_doomed,
    a_purged_topics_rows_stay_until_they_are_forgotten,
    many_topics_are_searched,
);

const HOUR: Duration = Duration::from_secs(3_600);

async fn doomed(database: &Database, delay: Duration) -> Vec<String> {
    let doomed = database.store.doomed(delay, 100).await;
    doomed.expect("names")
}

async fn the_doomed_wait_and_the_oldest_come_first(database: Database) {
    let topic = database.led(1, 1).await;
    let term = term(topic, 1);
    let mut keys = Vec::new();
    for base in [0, 10, 20, 30] {
        keys.push(database.published(term, base, base + 10).await.key);
    }
    keys.push(database.intended(term, 40, 50).await.key);
    assert_eq!(doomed(&database, Duration::ZERO).await, [""; 0]);
    database.store.retire(term, 30).await.expect("they end");
    database.store.abandon(term).await.expect("it ends");
    assert_eq!(doomed(&database, HOUR).await, [""; 0]);
    assert_eq!(doomed(&database, Duration::MAX).await, [""; 0]);
    assert_eq!(doomed(&database, Duration::ZERO).await.len(), 4);
    database
        .run("UPDATE segments SET since = 1000 - base_offset WHERE base_offset <> 20")
        .await;
    let due = [keys[4].clone(), keys[1].clone(), keys[0].clone()];
    assert_eq!(doomed(&database, HOUR).await, due);
    let some = database.store.doomed(HOUR, 2).await;
    assert_eq!(some.expect("names"), due[..2]);
}

async fn the_living_are_not_forgotten(database: Database) {
    let topic = database.led(1, 1).await;
    let term = term(topic, 1);
    let mut keys = vec!["unknown".to_owned(), "it's".to_owned()];
    for base in [0, 10, 20] {
        keys.push(database.published(term, base, base + 10).await.key);
    }
    keys.push(database.intended(term, 30, 40).await.key);
    assert_eq!(database.store.retire(term, 10).await, DONE);
    let forget = || database.store.forget(keys.clone());
    assert_eq!(database.store.forget(Vec::new()).await, Ok(()));
    assert_eq!(database.rows().await.len(), 4);
    for _ in 0..2 {
        assert_eq!(forget().await, Ok(()));
        assert_eq!(database.states().await, ["live", "live", "uploading"]);
    }
    assert_eq!(database.store.retire(term, 30).await, DONE);
    assert_eq!(database.store.abandon(term).await, DONE);
    assert_eq!(database.store.forget(keys[2..4].to_vec()).await, Ok(()));
    assert_eq!(database.states().await, ["doomed", "doomed"]);
    assert_eq!(forget().await, Ok(()));
    assert!(database.rows().await.is_empty());
    assert_eq!(database.summary(term.id).await.end, 30, "for ever");
}

/// A retired, a live and an abandoned segment, and one that is being uploaded: their names.
async fn one_of_each(database: &Database, topic: TopicId) -> [String; 4] {
    let term = term(topic, 1);
    let retired = database.published(term, 0, 10).await.key;
    let live = database.published(term, 10, 20).await.key;
    let abandoned = database.intended(term, 20, 30).await.key;
    assert_eq!(database.store.retire(term, 10).await, DONE);
    assert_eq!(database.store.abandon(term).await, DONE);
    let uploading = database.intended(term, 30, 40).await.key;
    [retired, live, abandoned, uploading]
}

/// The names of those that are due, sorted: some began in the same millisecond.
async fn due(database: &Database, delay: Duration) -> Vec<String> {
    let mut due = doomed(database, delay).await;
    due.sort();
    due
}

async fn of_a_deleted_topic_all_is_doomed(database: Database) {
    let (topic, other) = (database.led(1, 1).await, database.led(2, 1).await);
    let keys = one_of_each(&database, topic).await;
    let others = one_of_each(&database, other).await;
    database.bury(topic).await;
    // What was never published may still be written to.
    assert_eq!(due(&database, HOUR).await, keys[..2]);
    let mut all = keys.to_vec();
    all.extend([others[0].clone(), others[2].clone()]);
    assert_eq!(due(&database, Duration::ZERO).await, all);
    assert_eq!(database.store.forget(keys[1..].to_vec()).await, Ok(()));
    assert_eq!(due(&database, HOUR).await, keys[..1]);
    assert_eq!(database.rows().await.len(), 5);
}

async fn a_purged_topics_rows_stay_until_they_are_forgotten(database: Database) {
    let topic = database.led(1, 1).await;
    let keys = one_of_each(&database, topic).await;
    let rows = database.rows().await;
    database.bury(topic).await;
    database.purge(topic).await;
    assert_eq!(database.rows().await, rows);
    assert_eq!(due(&database, HOUR).await, keys[..2]);
    assert_eq!(due(&database, Duration::ZERO).await, keys);
    assert_eq!(database.store.forget(keys.to_vec()).await, Ok(()));
    assert!(database.rows().await.is_empty());
}

async fn many_topics_are_searched(database: Database) {
    let mut gone = Vec::new();
    for number in 0..20 {
        let topic = database.led(number, 1).await;
        let key = database.published(term(topic, 1), 0, 10).await.key;
        if number % 3 == 0 {
            database.bury(topic).await;
            gone.push(key);
        }
    }
    assert_eq!(due(&database, HOUR).await, gone);
}
