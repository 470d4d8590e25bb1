//! What a poll reads while its commit is on its way: for whom, and from where, the coordinator says.

use serde_json::json;

use super::worker::{Worker, committed, fill, group_of, partitions, values};
use crate::harness::shared;

#[tokio::test]
async fn what_a_committing_poll_gives_up_it_does_not_read() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 2).await;
    fill(&api, &topic, 0, 0..4).await;
    fill(&api, &topic, 1, 10..14).await;
    let mut first = Worker::join(&api, &group, "first").await;
    let told = first.poll(json!({"max_records": 4})).await;
    let mut read = values(&told);
    read.sort_unstable();
    assert_eq!(read, [0, 1, 10, 11], "a part of each");
    let mut second = Worker::join(&api, &group, "second").await;
    let told = first.go_on(json!({})).await;
    assert_eq!(partitions(&told["revoked"]).len(), 1);
    let kept = first.owned[0];
    assert_eq!(values(&told), [kept * 10 + 2, kept * 10 + 3]);
    second.owns(1).await;
    let moved = second.owned[0];
    let told = second.poll(json!({})).await;
    assert_eq!(values(&told), [moved * 10 + 2, moved * 10 + 3]);
    assert_eq!(committed(&api, &group).await, [Some(2), Some(2)]);
}

#[tokio::test]
async fn a_fenced_member_commits_nothing_and_gets_nothing() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 1).await;
    fill(&api, &topic, 0, 0..6).await;
    let how = |instance: &str| json!({ "instance": instance });
    let mut old = Worker::join_as(&api, &group, "w", how("one")).await;
    old.poll(json!({"max_records": 2})).await;
    let mut new = Worker::join_as(&api, &group, "w", how("two")).await;
    for _ in 0..3 {
        let refused = old.try_poll(json!({"commit": old.cursor})).await;
        let problem = refused.problem(409, "member_fenced");
        assert!(problem.get("records").is_none(), "{problem}");
    }
    assert_eq!(committed(&api, &group).await, [None]);
    assert_eq!(values(&new.poll(json!({})).await), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_commit_of_before_a_reset_reads_from_where_it_was_reset_to() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 2).await;
    fill(&api, &topic, 0, 0..6).await;
    let mut worker = Worker::join(&api, &group, "w").await;
    worker.poll(json!({"max_records": 3})).await;
    worker.go_on(json!({"max_records": 1})).await;
    let reset =
        json!({"to": {"offsets": [{"topic": topic, "partition": 0, "offset": 1}]}, "force": true});
    let path = format!("/groups/{group}/offsets");
    api.send("POST", &path, reset.to_string()).await.expect(200);
    let told = worker.go_on(json!({})).await;
    assert_eq!(values(&told), [1, 2, 3, 4, 5]);
    assert_eq!(partitions(&told["ignored"]), [0]);
    assert_eq!(committed(&api, &group).await, [Some(1), None]);
}

#[tokio::test]
async fn a_commit_of_nothing_moves_nothing() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 3).await;
    fill(&api, &topic, 1, 0..2).await;
    let mut worker = Worker::join(&api, &group, "w").await;
    worker.poll(json!({})).await;
    let told = worker.go_on(json!({})).await;
    assert_eq!(told["records"], json!([]));
    worker.go_on(json!({})).await;
    assert_eq!(committed(&api, &group).await, [None, Some(2), None]);
    // Everything is read that comes, wherever it comes.
    fill(&api, &topic, 2, 7..8).await;
    assert_eq!(values(&worker.go_on(json!({})).await), [7]);
}

#[tokio::test]
async fn what_was_deleted_behind_a_commit_is_told() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 1).await;
    fill(&api, &topic, 0, 0..10).await;
    let mut worker = Worker::join(&api, &group, "w").await;
    worker.poll(json!({"max_records": 2})).await;
    let trim = json!({"partition": 0, "before_offset": 6}).to_string();
    api.send("POST", &format!("/topics/{topic}/trim"), trim)
        .await
        .expect(200);
    let told = worker.go_on(json!({})).await;
    assert_eq!(values(&told), [6, 7, 8, 9]);
    let gap = json!({"topic": topic, "partition": 0, "from": 2, "to": 6, "reason": "deleted"});
    assert_eq!(told["gaps"], json!([gap]));
    assert_eq!(told["lag"]["records"], 4);
}
