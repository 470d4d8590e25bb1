//! What a leader writes while its term lasts.

use headwater_broker::{ColdSummary, Manifest, Place};
use headwater_tiered::SegmentRef;

use super::{DONE, Database, FENCED, Term, not_next, on_both_engines, partition, segment, term};

on_both_engines!(
    a_segment_is_live_once_it_is_published,
    what_was_done_may_be_asked_for_again,
    segments_follow_one_another,
    whole_segments_are_retired,
    intents_are_abandoned_and_nothing_else,
    a_name_is_one_segments,
    what_is_no_segment_is_refused,
);

async fn a_segment_is_live_once_it_is_published(database: Database) {
    let topic = database.led(1, 1).await;
    let number = database.number().await;
    let (term, id) = (term(topic, 1), partition(topic, 0));
    let segment = database.intended(term, 0, 100).await;
    assert_eq!(database.summary(id).await, ColdSummary::default());
    assert_eq!(database.live(id).await, []);
    assert_eq!(database.publish(term, &segment).await, DONE);
    let expected = ColdSummary {
        start: 0,
        end: 100,
        bytes: 1_000,
        segments: 1,
    };
    assert_eq!(database.summary(id).await, expected);
    assert_eq!(database.live(id).await, [segment]);
    assert_eq!(database.number().await, number, "no node follows it");
}

async fn what_was_done_may_be_asked_for_again(database: Database) {
    let topic = database.led(1, 1).await;
    let (term, id) = (term(topic, 1), partition(topic, 0));
    let segment = database.intended(term, 0, 10).await;
    let intents = database.rows().await;
    assert_eq!(database.intend(term, &segment).await, DONE);
    assert_eq!(database.rows().await, intents);
    assert_eq!(database.publish(term, &segment).await, DONE);
    let (live, summary) = (database.rows().await, database.summary(id).await);
    assert_eq!(database.publish(term, &segment).await, DONE);
    assert_eq!(database.intend(term, &segment).await, not_next(10));
    assert_eq!(database.rows().await, live);
    assert_eq!(database.summary(id).await, summary);
    for _ in 0..2 {
        assert_eq!(database.store.retire(term, 10).await, DONE);
        assert_eq!(database.store.abandon(term).await, DONE);
        // It was published, whatever came after.
        assert_eq!(database.publish(term, &segment).await, DONE);
        assert_eq!(database.states().await, ["doomed"]);
    }
}

async fn segments_follow_one_another(database: Database) {
    let topic = database.led(1, 1).await;
    let (term, id) = (term(topic, 1), partition(topic, 0));
    let extent = async || {
        let summary = database.summary(id).await;
        (summary.start, summary.end, summary.segments)
    };
    database.published(term, 10, 20).await;
    assert_eq!(extent().await, (10, 20, 1), "nothing is before the first");
    for below in [segment(term, 0, 10), segment(term, 19, 30)] {
        assert_eq!(database.intend(term, &below).await, not_next(20));
    }
    let later = database.intended(term, 40, 50).await;
    assert_eq!(database.publish(term, &later).await, not_next(20));
    let late = database.intended(term, 20, 40).await;
    database.published(term, 20, 30).await;
    assert_eq!(database.publish(term, &late).await, not_next(30));
    assert_eq!(extent().await, (10, 30, 2));
    assert_eq!(database.store.retire(term, 30).await, DONE);
    assert_eq!(extent().await, (30, 30, 0), "it is not forgotten");
    assert_eq!(database.publish(term, &late).await, not_next(30));
    assert_eq!(database.publish(term, &later).await, DONE);
    assert_eq!(extent().await, (40, 50, 1));
    let between = segment(term, 30, 40);
    assert_eq!(database.intend(term, &between).await, not_next(50));
}

async fn whole_segments_are_retired(database: Database) {
    let topic = database.led(1, 2).await;
    let term = term(topic, 1);
    let mut all = Vec::new();
    for base in [0, 10, 20] {
        all.push(database.published(term, base, base + 10).await);
    }
    let other = partition(topic, 1);
    database.published(Term { id: other, ..term }, 0, 10).await;
    database.intended(term, 30, 40).await;
    for (log_start, left) in [(0, 3), (9, 3), (10, 2), (29, 1), (29, 1), (u64::MAX, 0)] {
        assert_eq!(database.store.retire(term, log_start).await, DONE);
        assert_eq!(database.live(term.id).await, all[3 - left..], "{log_start}");
    }
    assert_eq!(database.live(other).await.len(), 1);
    let last = database.states().await.pop();
    assert_eq!(last.as_deref(), Some("uploading"));
}

async fn intents_are_abandoned_and_nothing_else(database: Database) {
    let topic = database.led(1, 2).await;
    let term = term(topic, 1);
    let other = Term {
        id: partition(topic, 1),
        ..term
    };
    database.published(term, 0, 10).await;
    let abandoned = database.intended(term, 10, 20).await;
    let others = database.intended(other, 20, 30).await;
    assert_eq!(database.store.abandon(term).await, DONE);
    assert_eq!(database.states().await, ["live", "doomed", "uploading"]);
    assert_eq!(database.publish(term, &abandoned).await, FENCED);
    assert!(
        database.intend(term, &abandoned).await.is_err(),
        "it is doomed"
    );
    assert_eq!(database.states().await, ["live", "doomed", "uploading"]);
    assert_eq!(database.publish(other, &others).await, DONE);
}

async fn a_name_is_one_segments(database: Database) {
    let topic = database.led(1, 2).await;
    let term = term(topic, 1);
    let other = Term {
        id: partition(topic, 1),
        ..term
    };
    let intended = database.intended(term, 0, 10).await;
    let longer = SegmentRef {
        end_offset: 11,
        ..intended.clone()
    };
    assert!(database.intend(term, &longer).await.is_err());
    assert!(database.publish(term, &longer).await.is_err());
    assert!(database.intend(other, &intended).await.is_err());
    assert_eq!(database.publish(other, &intended).await, FENCED);
    assert_eq!(database.states().await, ["uploading"]);
    assert_eq!(database.publish(term, &intended).await, DONE);
    let differs = SegmentRef {
        data_sha256: "6".repeat(64),
        ..intended.clone()
    };
    assert!(database.publish(term, &differs).await.is_err());
    assert_eq!(database.live(term.id).await, [intended]);
}

async fn what_is_no_segment_is_refused(database: Database) {
    let topic = database.led(1, 1).await;
    let term = term(topic, 1);
    let too_far = i64::MAX as u64 + 1;
    for (base, end) in [(5, 5), (5, 4), (5, too_far), (too_far, u64::MAX)] {
        let key = format!("{base}-{end}");
        let refused = database.store.intend(term, key, base..end, Place::Next);
        assert!(refused.await.is_err(), "{base} to {end}");
    }
    let unknown = segment(term, 0, 10);
    assert_eq!(database.publish(term, &unknown).await, FENCED);
    assert!(database.rows().await.is_empty());
}
