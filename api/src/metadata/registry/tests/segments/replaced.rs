//! Compacted segments take the place of those they were made of.

use headwater_broker::{Manifest, Place, Written};
use headwater_tiered::SegmentRef;

use super::{DONE, Database, FENCED, Term, not_next, on_both_engines, partition, segment, term};

on_both_engines!(
    one_takes_the_place_of_several,
    what_was_replaced_is_answered_again,
    only_what_is_live_and_whole_is_replaced,
    another_term_replaces_nothing,
    a_replacement_is_intended_below_the_end,
);

const NOT_THERE: Result<Written, headwater_broker::RegistryError> = Ok(Written::NotThere);

async fn three(database: &Database, term: Term) -> Vec<SegmentRef> {
    let mut all = Vec::new();
    for base in [0, 10, 20] {
        all.push(database.published(term, base, base + 10).await);
    }
    all
}

async fn instead(database: &Database, term: Term, base: u64, end: u64) -> SegmentRef {
    let segment = segment(term, base, end);
    let intended = database.intend_at(term, &segment, Place::Instead).await;
    assert_eq!(intended, DONE);
    segment
}

async fn replace(
    database: &Database,
    term: Term,
    replaced: &[SegmentRef],
    segment: &SegmentRef,
) -> Result<Written, headwater_broker::RegistryError> {
    let keys = replaced.iter().map(|segment| segment.key.clone()).collect();
    database.store.replace(term, keys, segment.clone()).await
}

async fn one_takes_the_place_of_several(database: Database) {
    let topic = database.led(1, 1).await;
    let (term, id) = (term(topic, 1), partition(topic, 0));
    let all = three(&database, term).await;
    let compacted = instead(&database, term, 0, 20).await;
    assert_eq!(database.live(id).await, all);
    assert_eq!(replace(&database, term, &all[..2], &compacted).await, DONE);
    assert_eq!(database.live(id).await, [compacted.clone(), all[2].clone()]);
    let summary = database.summary(id).await;
    assert_eq!((summary.start, summary.end, summary.segments), (0, 30, 2));
    let doomed = database.store.doomed(std::time::Duration::ZERO, 10).await;
    let mut doomed = doomed.expect("names");
    doomed.sort();
    let mut replaced = [all[0].key.clone(), all[1].key.clone()];
    replaced.sort();
    assert_eq!(doomed, replaced);
    // And once more, the compacted one with what is behind it.
    let again = instead(&database, term, 0, 30).await;
    let both = [compacted, all[2].clone()];
    assert_eq!(replace(&database, term, &both, &again).await, DONE);
    assert_eq!(database.live(id).await, [again]);
    database.published(term, 30, 40).await;
}

async fn what_was_replaced_is_answered_again(database: Database) {
    let topic = database.led(1, 1).await;
    let term = term(topic, 1);
    let all = three(&database, term).await;
    let compacted = instead(&database, term, 10, 30).await;
    assert_eq!(replace(&database, term, &all[1..], &compacted).await, DONE);
    let rows = database.rows().await;
    assert_eq!(replace(&database, term, &all[1..], &compacted).await, DONE);
    assert_eq!(database.rows().await, rows);
}

async fn only_what_is_live_and_whole_is_replaced(database: Database) {
    let topic = database.led(1, 1).await;
    let term = term(topic, 1);
    let all = three(&database, term).await;
    let rows = database.rows().await;
    let (first, two) = (all[0].clone(), instead(&database, term, 0, 20).await);
    let ends = [all[0].clone(), all[2].clone()];
    let more = [all[0].clone(), all[1].clone(), all[2].clone()];
    for replaced in [&[][..], &[first][..], &ends[..], &more[..], &all[1..]] {
        assert_eq!(replace(&database, term, replaced, &two).await, NOT_THERE);
    }
    assert_eq!(database.store.retire(term, 10).await, DONE);
    assert_eq!(replace(&database, term, &all[..2], &two).await, NOT_THERE);
    let mut states = database.rows().await;
    states.retain(|(_, state, _)| state == "live");
    assert_eq!(states, rows[1..]);
}

async fn another_term_replaces_nothing(database: Database) {
    let topic = database.led(1, 2).await;
    let (first, other) = (term(topic, 1), term(topic, 2));
    let all = three(&database, first).await;
    let compacted = instead(&database, first, 0, 30).await;
    assert_eq!(replace(&database, other, &all, &compacted).await, FENCED);
    // A row of another partition is not this one's to replace.
    let elsewhere = Term {
        id: partition(topic, 1),
        ..first
    };
    database.published(elsewhere, 0, 40).await;
    let foreign = instead(&database, elsewhere, 0, 30).await;
    assert_eq!(
        replace(&database, elsewhere, &all, &foreign).await,
        NOT_THERE
    );
    assert_eq!(database.live(first.id).await, all);
    assert_eq!(database.store.abandon(first).await, DONE);
    assert_eq!(replace(&database, first, &all, &compacted).await, FENCED);
    assert_eq!(database.live(first.id).await, all);
}

async fn a_replacement_is_intended_below_the_end(database: Database) {
    let topic = database.led(1, 1).await;
    let term = term(topic, 1);
    three(&database, term).await;
    for (base, end) in [(20, 40), (30, 40), (0, 31)] {
        let beyond = segment(term, base, end);
        let intended = database.intend_at(term, &beyond, Place::Instead).await;
        assert_eq!(intended, not_next(30));
    }
}
