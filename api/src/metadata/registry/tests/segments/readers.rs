//! What is read of live segments.

use headwater_broker::{ColdSummary, Manifest, RegistryError, TopicId};
use headwater_tiered::SegmentRef;
use sqlx::AssertSqlSafe;

use super::{DONE, Database, Term, on_both_engines, partition, segment, term};

on_both_engines!(
    summaries_are_in_the_order_asked_for,
    ten_thousand_segments_are_read_in_pages,
    a_time_is_found_by_the_highest_timestamps,
    the_longest_and_the_furthest_are_kept_as_they_are,
    what_cannot_be_read_is_named,
);

async fn summaries_are_in_the_order_asked_for(database: Database) {
    let topic = database.led(1, 3).await;
    for (number, ends) in [(0, vec![10, 20]), (2, vec![5, 15, 25])] {
        let id = partition(topic, number);
        let mut base = 0;
        for end in ends {
            database.published(Term { id, epoch: 1 }, base, end).await;
            base = end;
        }
    }
    assert_eq!(
        database
            .store
            .retire(
                Term {
                    id: partition(topic, 2),
                    epoch: 1
                },
                7
            )
            .await,
        DONE
    );
    let summary = |start, end, segments| ColdSummary {
        start,
        end,
        bytes: segments * 1_000,
        segments,
    };
    let last = (partition(topic, 2), summary(5, 25, 2));
    let asked = [
        last,
        (partition(TopicId([8; 16]), 0), ColdSummary::default()),
        (partition(topic, 0), summary(0, 20, 2)),
        (partition(topic, 1), ColdSummary::default()),
        last,
        (partition(topic, u32::MAX), ColdSummary::default()),
    ];
    let ids = asked.iter().map(|(id, _)| *id).collect();
    let expected: Vec<_> = asked.iter().map(|(_, summary)| *summary).collect();
    assert_eq!(database.store.summaries(ids).await, Ok(expected));
    assert_eq!(database.store.summaries(Vec::new()).await, Ok(Vec::new()));
}

/// Makes live what would take long to publish one after the other.
async fn insert(database: &Database, segments: &[SegmentRef]) {
    let rows: Vec<_> = segments
        .iter()
        .map(|segment| {
            serde_json::json!({
                "object_key": segment.key,
                "base_offset": segment.base_offset,
                "end_offset": segment.end_offset,
                "max_timestamp": segment.max_timestamp_ms,
                "detail": serde_json::to_string(segment).expect("JSON"),
            })
        })
        .collect();
    let given = database.store.engine.rows_of_json(&[
        ("object_key", "TEXT"),
        ("base_offset", "BIGINT"),
        ("end_offset", "BIGINT"),
        ("max_timestamp", "BIGINT"),
        ("detail", "TEXT"),
    ]);
    let sql = format!(
        "INSERT INTO segments (object_key, topic_id, partition, base_offset, end_offset, \
         leader_epoch, state, since, data_bytes, max_timestamp, detail) \
         SELECT object_key, CAST($2 AS TEXT), 0, base_offset, end_offset, 1, 'live', 1, 1000, \
         max_timestamp, detail FROM {given} AS given"
    );
    let topic = segments[0].key.split('/').next().expect("a topic");
    let mut connection = database.store.connection().await.expect("a connection");
    sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::to_string(&rows).expect("JSON"))
        .bind(topic)
        .execute(&mut *connection)
        .await
        .expect("rows");
}

#[allow(clippy::print_stdout, reason = "figures for who looks")]
async fn ten_thousand_segments_are_read_in_pages(database: Database) {
    let topic = database.led(1, 1).await;
    let term = term(topic, 1);
    let one = |number: u64| SegmentRef {
        max_timestamp_ms: number as i64,
        ..segment(term, number * 10, number * 10 + 10)
    };
    let all: Vec<_> = (0..10_000).map(one).collect();
    insert(&database, &all).await;
    let started = std::time::Instant::now();
    let (mut read, mut from) = (Vec::new(), 0);
    loop {
        let page = database.store.segments(term.id, from, 1_000).await;
        let page = page.expect("a page");
        let Some(last) = page.last() else { break };
        assert_eq!(page.len(), 1_000);
        from = last.end_offset;
        read.extend(page);
    }
    println!("10 000 segments were read after {:?}", started.elapsed());
    assert!(read == all);
    let started = std::time::Instant::now();
    let summary = database.summary(term.id).await;
    println!("they were counted after {:?}", started.elapsed());
    assert_eq!((summary.segments, summary.bytes), (10_000, 10_000_000));
    let started = std::time::Instant::now();
    let found = database.store.segment_at_time(term.id, 0, 9_999).await;
    println!("the last time was found after {:?}", started.elapsed());
    assert_eq!(found, Ok(Some(all[9_999].clone())));
    for (from, first) in [(50_000, 5_000), (50_009, 5_000), (50_010, 5_001)] {
        let page = database.store.segments(term.id, from, 2).await;
        assert_eq!(page.expect("a page"), all[first..first + 2], "{from}");
    }
    assert_eq!(database.store.segments(term.id, 0, 0).await, Ok(vec![]));
}

async fn a_time_is_found_by_the_highest_timestamps(database: Database) {
    let topic = database.led(1, 1).await;
    let term = term(topic, 1);
    let mut all = Vec::new();
    // Producers give timestamps: a later segment may have lower ones, or no record at all.
    for (base, max_timestamp_ms) in [(0, 100), (10, 50), (20, -1), (30, 300)] {
        let segment = SegmentRef {
            max_timestamp_ms,
            ..segment(term, base, base + 10)
        };
        assert_eq!(database.intend(term, &segment).await, DONE);
        assert_eq!(database.publish(term, &segment).await, DONE);
        all.push(segment);
    }
    for (from, timestamp, expected) in [
        (0, 0, Some(0)),
        (0, 100, Some(0)),
        (9, 100, Some(0)),
        (0, 101, Some(3)),
        (10, 50, Some(1)),
        (10, 51, Some(3)),
        (0, 300, Some(3)),
        (0, 301, None),
        (40, 0, None),
        (u64::MAX, i64::MIN, None),
    ] {
        let found = database.store.segment_at_time(term.id, from, timestamp);
        let expected = expected.map(|place: usize| all[place].clone());
        assert_eq!(found.await, Ok(expected), "{timestamp} after {from}");
    }
    assert_eq!(database.store.retire(term, 10).await, DONE);
    let found = database.store.segment_at_time(term.id, 0, 60).await;
    assert_eq!(found, Ok(Some(all[3].clone())), "the first is doomed");
}

async fn the_longest_and_the_furthest_are_kept_as_they_are(database: Database) {
    let topic = database.topic(255, 1, None).await;
    let id = partition(topic, u32::MAX);
    let epoch = i32::MAX;
    let place = headwater_broker::replica::Assignment {
        epoch,
        ..super::place(&[1])
    };
    let mut change = database.change().await;
    let row = crate::metadata::PartitionRow::new(id, &place);
    let placed = crate::metadata::PartitionRow::insert(&mut change, &[row]).await;
    placed.expect("a partition");
    change.commit().await.expect("a commit");
    let term = Term { id, epoch };
    let end_offset = i64::MAX as u64;
    let odd = "'\"\\%_{}$1?/é\u{1f980}\t";
    let segment = SegmentRef {
        key: format!("{odd}{}", "k".repeat(1_024 - odd.len())),
        size_bytes: u64::MAX,
        data_bytes: i64::MAX as u64,
        index_position: u64::MAX,
        record_count: u64::MAX,
        first_timestamp_ms: i64::MIN,
        max_timestamp_ms: i64::MAX,
        ..segment(term, end_offset - 1, end_offset)
    };
    assert_eq!(database.intend(term, &segment).await, DONE);
    assert_eq!(database.intend(term, &segment).await, DONE);
    assert_eq!(database.publish(term, &segment).await, DONE);
    assert_eq!(database.publish(term, &segment).await, DONE);
    let expected = ColdSummary {
        start: end_offset - 1,
        end: end_offset,
        bytes: segment.data_bytes,
        segments: 1,
    };
    assert_eq!(database.summary(id).await, expected);
    let found = database.store.segment_at_time(id, end_offset - 1, i64::MAX);
    assert_eq!(found.await, Ok(Some(segment.clone())));
    assert_eq!(database.live(id).await, std::slice::from_ref(&segment));
    for from in [end_offset, u64::MAX] {
        assert_eq!(database.store.segments(id, from, 1).await, Ok(vec![]));
    }
    assert_eq!(database.store.retire(term, end_offset).await, DONE);
    let doomed = database.store.doomed(std::time::Duration::ZERO, usize::MAX);
    assert_eq!(doomed.await, Ok(vec![segment.key.clone()]));
    assert_eq!(database.store.forget(vec![segment.key]).await, Ok(()));
    assert!(database.rows().await.is_empty());
}

async fn what_cannot_be_read_is_named(database: Database) {
    let topic = database.led(1, 1).await;
    let term = term(topic, 1);
    database.published(term, 0, 10).await;
    let bad = database.published(term, 10, 20).await;
    database
        .run("UPDATE segments SET detail = '{\"key\":1}' WHERE base_offset = 10")
        .await;
    let assert_named = |error: RegistryError| match error {
        RegistryError::Unavailable(why) => assert!(why.contains(&bad.key), "{why}"),
        other => panic!("{other:?}"),
    };
    let live = database.store.segments(term.id, 0, 10).await;
    assert_named(live.expect_err("one is bad"));
    let found = database.store.segment_at_time(term.id, 10, 0).await;
    assert_named(found.expect_err("it is bad"));
    let again = database.publish(term, &bad).await;
    assert_named(again.expect_err("nobody knows what was published"));
    assert_eq!(
        database
            .store
            .segments(term.id, 0, 1)
            .await
            .map(|live| live.len()),
        Ok(1)
    );
}
