//! Commits: late, twice, of others.

use serde_json::json;

use super::worker::{Worker, committed, fill, group_of, partitions, values};
use crate::harness::shared;

#[tokio::test]
async fn a_commit_counts_once_and_only_forward() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 2).await;
    fill(&api, &topic, 0, 0..6).await;
    let mut worker = Worker::join(&api, &group, "w").await;
    let first = worker.poll(json!({"max_records": 2})).await;
    assert_eq!(committed(&api, &group).await, [None, None]);
    let second = worker.go_on(json!({"max_records": 2})).await;
    assert_eq!(values(&second), [2, 3]);
    assert_eq!(committed(&api, &group).await, [Some(2), None]);
    for cursor in [&first, &first, &second, &first, &second] {
        let told = worker
            .poll(json!({"commit": cursor["cursor"], "max_records": 1}))
            .await;
        assert_eq!(told["ignored"], json!([]), "to be behind is nothing bad");
    }
    assert_eq!(committed(&api, &group).await, [Some(4), None]);
    // A repeated poll delivers the same.
    let once = worker
        .poll(json!({"commit": second["cursor"], "max_records": 1}))
        .await;
    let twice = worker
        .poll(json!({"commit": second["cursor"], "max_records": 1}))
        .await;
    assert_eq!((values(&once), values(&twice)), (vec![4], vec![4]));
}

#[tokio::test]
async fn a_late_commit_of_what_moved_does_not_count() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 2).await;
    fill(&api, &topic, 0, 0..4).await;
    fill(&api, &topic, 1, 4..8).await;
    let mut first = Worker::join(&api, &group, "first").await;
    let read = first.poll(json!({})).await;
    assert_eq!(values(&read).len(), 8);
    let mut second = Worker::join(&api, &group, "second").await;
    // It gives one up without a commit, and commits too late.
    let gave_up = partitions(&first.poll(json!({})).await["revoked"]);
    second.owns(1).await;
    assert_eq!(second.owned, gave_up);
    let again = second.poll(json!({})).await;
    assert_eq!(values(&again).len(), 4, "they are delivered again");
    let told = first.poll(json!({"commit": read["cursor"]})).await;
    assert_eq!(partitions(&told["ignored"]), gave_up);
    let mut expected = [Some(4), Some(4)];
    expected[gave_up[0] as usize] = None;
    assert_eq!(committed(&api, &group).await, expected);
    second.go_on(json!({})).await;
    assert_eq!(committed(&api, &group).await, [Some(4), Some(4)]);
}

#[tokio::test]
async fn a_commit_with_the_poll_that_gives_up_counts() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 2).await;
    fill(&api, &topic, 0, 0..4).await;
    fill(&api, &topic, 1, 4..8).await;
    let mut first = Worker::join(&api, &group, "first").await;
    first.poll(json!({})).await;
    let mut second = Worker::join(&api, &group, "second").await;
    let told = first.go_on(json!({})).await;
    assert_eq!(
        (partitions(&told["revoked"]).len(), &told["ignored"]),
        (1, &json!([]))
    );
    second.owns(1).await;
    assert_eq!(committed(&api, &group).await, [Some(4), Some(4)]);
    assert_eq!(second.poll(json!({})).await["records"], json!([]));
}
