//! Terms that end, and who is in the way of whom.

use headwater_broker::{Manifest, Registry, TopicId};

use super::{
    DONE, Database, FENCED, Term, Written, election, on_both_engines, partition, place, segment,
    term,
};
use crate::metadata::Store;

on_both_engines!(
    another_term_is_fenced,
    a_deleted_topic_is_fenced,
    a_new_leader_abandons_what_the_last_one_began,
    of_two_leaders_one_publishes,
);

/// Asks for every change in that term; all are fenced, and change nothing.
async fn assert_fenced(database: &Database, term: Term) {
    let (rows, summary) = (database.rows().await, database.summary(term.id).await);
    let next = segment(term, 500, 510);
    assert_eq!(database.intend(term, &next).await, FENCED, "{term:?}");
    for (base, end) in [(0, 10), (10, 20)] {
        let segment = segment(term, base, end);
        assert_eq!(database.publish(term, &segment).await, FENCED, "{term:?}");
    }
    assert_eq!(database.store.abandon(term).await, FENCED, "{term:?}");
    assert_eq!(database.store.retire(term, 10).await, FENCED, "{term:?}");
    assert_eq!(database.rows().await, rows, "{term:?}");
    assert_eq!(database.summary(term.id).await, summary, "{term:?}");
}

/// One live segment and one intent, of the first term.
async fn with_two_segments(database: &Database) -> TopicId {
    let topic = database.led(1, 1).await;
    database.published(term(topic, 1), 0, 10).await;
    database.intended(term(topic, 1), 10, 20).await;
    topic
}

async fn another_term_is_fenced(database: Database) {
    let topic = with_two_segments(&database).await;
    let proposals = vec![election(topic, &place(&[1]))];
    database.store.propose(proposals).await.expect("an epoch");
    for epoch in [1, 0, 3, i32::MIN, i32::MAX] {
        assert_fenced(&database, term(topic, epoch)).await;
    }
    let id = partition(topic, 1);
    assert_fenced(&database, Term { id, epoch: 1 }).await;
    assert_fenced(&database, term(TopicId([8; 16]), 1)).await;
    assert_eq!(database.summary(partition(topic, 0)).await.end, 10);
    database.published(term(topic, 2), 10, 20).await;
}

async fn a_deleted_topic_is_fenced(database: Database) {
    let topic = with_two_segments(&database).await;
    database.bury(topic).await;
    assert_fenced(&database, term(topic, 1)).await;
    database.purge(topic).await;
    assert_fenced(&database, term(topic, 1)).await;
    assert_eq!(database.states().await, ["live", "uploading"]);
}

async fn a_new_leader_abandons_what_the_last_one_began(database: Database) {
    let topic = with_two_segments(&database).await;
    let proposals = vec![election(topic, &place(&[1]))];
    database.store.propose(proposals).await.expect("an epoch");
    let new = term(topic, 2);
    let old = segment(term(topic, 1), 10, 20);
    assert_eq!(
        database.publish(new, &old).await,
        FENCED,
        "it is not its own"
    );
    assert!(database.intend(new, &old).await.is_err());
    let own = database.intended(new, 20, 30).await;
    assert_eq!(database.store.abandon(new).await, DONE);
    assert_eq!(database.states().await, ["live", "doomed", "doomed"]);
    assert_eq!(database.publish(new, &own).await, FENCED);
    assert_eq!(database.store.retire(new, 10).await, DONE);
    assert_eq!(database.states().await, ["doomed"; 3]);
}

async fn of_two_leaders_one_publishes(database: Database) {
    let topic = database.led(1, 1).await;
    let term = term(topic, 1);
    let other = Store::open(&database.url).await.expect("it opens");
    for base in (0..100).step_by(10) {
        let a = database.intended(term, base, base + 10).await;
        let mut b = segment(term, base, base + 10);
        b.key.push_str("-other");
        assert_eq!(database.intend(term, &b).await, DONE);
        let (a, b) = tokio::join!(database.publish(term, &a), other.publish(term, b.clone()));
        let mut answers = [a.expect("an answer"), b.expect("an answer")];
        answers.sort_by_key(|answer| *answer != Written::Done);
        assert_eq!(answers, [Written::Done, Written::NotNext(base + 10)]);
    }
    assert_eq!(database.live(term.id).await.len(), 10);
}

/// Ends once somebody waits for a lock.
async fn somebody_waits(database: &Database) {
    let mut connection = database.store.connection().await.expect("a connection");
    // Who waits gives up after a while: then nobody ever will.
    for _ in 0..100_000 {
        let waiting = sqlx::query(
            "SELECT 1 FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .fetch_optional(&mut *connection)
        .await;
        if waiting.expect("an answer").is_some() {
            return;
        }
    }
    panic!("nobody waits");
}

#[tokio::test]
async fn uploads_wait_for_no_change() {
    let database = Database::postgres().await;
    let topic = database.led(1, 1).await;
    let change = database.change().await;
    database.published(term(topic, 1), 0, 10).await;
    drop(change);
}

#[tokio::test]
async fn an_election_fences_the_publish_that_waits_for_it() {
    let database = Database::postgres().await;
    let topic = with_two_segments(&database).await;
    let rows = database.rows().await;
    let mut change = database.change().await;
    let elected = change.propose(vec![election(topic, &place(&[1]))]).await;
    assert!(elected.expect("a row").any_written);
    let old = term(topic, 1);
    let next = segment(old, 10, 20);
    let elect = async {
        somebody_waits(&database).await;
        change.commit().await.expect("a commit");
    };
    let (published, ()) = tokio::join!(database.publish(old, &next), elect);
    assert_eq!(published, FENCED);
    assert_eq!(database.rows().await, rows);
}

#[tokio::test]
async fn an_election_waits_for_the_publish_before_it() {
    let database = Database::postgres().await;
    let topic = with_two_segments(&database).await;
    let old = term(topic, 1);
    let change = database.store.change_in_term(old).await.expect("one");
    let mut change = change.expect("the term lasts");
    let published = change.publish(&segment(old, 10, 20)).await;
    let published = published.expect("an answer");
    let proposals = vec![election(topic, &place(&[1]))];
    let publish = async {
        somebody_waits(&database).await;
        change.end(published).await.expect("a commit")
    };
    let (elected, written) = tokio::join!(database.store.propose(proposals), publish);
    assert_eq!(written, Written::Done);
    let elected = elected.expect("rows").remove(0);
    assert_eq!(elected.expect("a row").epoch, 2);
    assert_eq!(database.summary(old.id).await.end, 20);
    assert_fenced(&database, old).await;
}
