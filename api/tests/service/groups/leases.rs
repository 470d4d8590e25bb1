//! Leases that end: the shortest lasts ten seconds, so one test waits for all that there is to see.

use serde_json::json;

use super::worker::{Worker, committed, described, fill, group_of, values};
use crate::harness::{eventually, shared};

#[tokio::test]
async fn who_is_silent_loses_everything_and_who_waits_keeps_it() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 2).await;
    fill(&api, &topic, 0, 0..2).await;
    fill(&api, &topic, 1, 2..4).await;
    let short = json!({"lease_ms": 10_000});
    let mut silent = Worker::join_as(&api, &group, "silent", short.clone()).await;
    silent.poll(json!({})).await;
    let mut waiting = Worker::join_as(&api, &group, "waiting", short).await;
    silent.poll(json!({})).await;
    waiting.owns(1).await;
    // What it was delivered by the way it reads again.
    waiting.cursor = None;
    // It polls without end, each time for longer than its lease: that alone keeps it.
    let follower = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.len() < 4 {
            let told = waiting.go_on(json!({"wait_ms": 25_000})).await;
            seen.extend(values(&told));
        }
        waiting.go_on(json!({})).await;
        (waiting, seen)
    });
    eventually("the silent one is gone", async || {
        let members = described(&api, &group).await["members"].clone();
        members.as_array().map(Vec::len) == Some(1)
    })
    .await;
    silent
        .try_poll(json!({"commit": silent.cursor}))
        .await
        .problem(410, "member_expired");
    let (waiting, mut seen) = follower.await.expect("no panic");
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3], "what it had read is read again");
    assert_eq!(waiting.owned, [0, 1]);
    assert_eq!(committed(&api, &group).await, [Some(2), Some(2)]);
    // It may come back.
    let mut back = Worker::join(&api, &group, "silent").await;
    back.poll(json!({})).await;
}
