//! Who reads what: joins, moves, take-overs.

use serde_json::json;

use super::worker::{Worker, described, fill, group_of, partitions, values};
use crate::harness::{eventually, shared, soon};

#[tokio::test]
async fn only_partitions_that_move_pause() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 4).await;
    let mut first = Worker::join(&api, &group, "first").await;
    assert_eq!(
        partitions(&first.poll(json!({})).await["assigned"]),
        [0, 1, 2, 3]
    );
    let mut second = Worker::join(&api, &group, "second").await;
    assert_eq!(
        second.poll(json!({})).await["assigned"],
        json!([]),
        "they are read still"
    );
    assert_eq!(described(&api, &group).await["state"], "rebalancing");
    let told = first.poll(json!({})).await;
    assert_eq!(
        (&told["assigned"], partitions(&told["revoked"]).len()),
        (&json!([]), 2)
    );
    second.owns(2).await;
    assert_eq!(described(&api, &group).await["state"], "stable");
    let mut all = [first.owned.clone(), second.owned.clone()].concat();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);
    for partition in 0..4 {
        fill(
            &api,
            &topic,
            partition,
            partition.into()..u64::from(partition) + 1,
        )
        .await;
    }
    let told = first.poll(json!({})).await;
    let mut read = values(&told);
    read.sort_unstable();
    assert_eq!(read, first.owned, "the first reads what it kept");
    // Who leaves loses everything at once.
    second.leave().await.expect(204);
    first.owns(4).await;
}

#[tokio::test]
async fn a_poll_that_waits_gives_up_what_others_wait_for() {
    let api = shared().await;
    let (_, group) = group_of(&api, 2).await;
    let mut first = Worker::join(&api, &group, "first").await;
    first.poll(json!({})).await;
    let lease = async || described(&api, &group).await["members"][0]["expires_at"].clone();
    let before = lease().await;
    let waiting = tokio::spawn(async move {
        first.poll(json!({"wait_ms": 60_000})).await;
        first.poll(json!({})).await;
        first
    });
    // A poll that comes after the other has joined gives up at once, and has nothing to end for.
    eventually("the first one waits", async || lease().await != before).await;
    let mut second = Worker::join(&api, &group, "second").await;
    second.owns(1).await;
    let first = soon("the wait ends", waiting).await.expect("no panic");
    assert_eq!(first.owned.len(), 1);
}

#[tokio::test]
async fn a_new_instance_takes_over_at_once_and_fences_the_old() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 2).await;
    fill(&api, &topic, 0, 0..4).await;
    let how = |instance: &str| json!({ "instance": instance });
    let mut old = Worker::join_as(&api, &group, "w", how("one")).await;
    old.poll(json!({"max_records": 2})).await;
    old.go_on(json!({"max_records": 1})).await;
    // The same instance only renews.
    let same = Worker::join_as(&api, &group, "w", how("one")).await;
    assert_eq!(same.epoch, old.epoch);
    let last = old.poll(json!({})).await;
    let waiting = tokio::spawn({
        let old = old.clone();
        async move {
            old.try_poll(json!({"after": last["cursor"], "wait_ms": 60_000}))
                .await
        }
    });
    let mut new = Worker::join_as(&api, &group, "w", how("two")).await;
    let told = new.poll(json!({})).await;
    assert_eq!(values(&told), [2, 3], "it goes on at what was committed");
    old.try_poll(json!({"commit": old.cursor}))
        .await
        .problem(409, "member_fenced");
    let fenced = soon("the old one hears of it", waiting)
        .await
        .expect("no panic");
    fenced.problem(409, "member_fenced");
    let path = format!("/groups/{group}/members/w?epoch={}", old.epoch);
    api.send("DELETE", &path, "")
        .await
        .problem(409, "member_fenced");
    assert_eq!(
        new.go_on(json!({})).await["records"],
        json!([]),
        "the new one is still there"
    );
    let members = described(&api, &group).await["members"].clone();
    assert_eq!(members[0]["instance"], "two");
}

#[tokio::test]
async fn more_members_than_partitions_wait_their_turn() {
    let api = shared().await;
    let (_, group) = group_of(&api, 1).await;
    let mut one = Worker::join(&api, &group, "one").await;
    one.owns(1).await;
    let mut two = Worker::join(&api, &group, "two").await;
    assert_eq!(two.poll(json!({})).await["assigned"], json!([]));
    one.poll(json!({})).await;
    assert_eq!(one.owned, [0], "what is fair already does not move");
    one.leave().await.expect(204);
    two.owns(1).await;
    one.try_poll(json!({})).await.problem(410, "member_expired");
    one.leave().await.expect(204);
}

#[tokio::test]
async fn a_lost_answer_is_told_again() {
    let api = shared().await;
    let (_, group) = group_of(&api, 2).await;
    let mut worker = Worker::join(&api, &group, "w").await;
    // The answers of these are lost: the epoch stays what it was.
    let lost = worker.try_poll(json!({})).await.expect(200).json();
    assert_eq!(partitions(&lost["assigned"]), [0, 1]);
    let mut other = Worker::join(&api, &group, "other").await;
    let lost = worker.try_poll(json!({})).await.expect(200).json();
    assert_eq!(partitions(&lost["revoked"]).len(), 1);
    let told = worker.poll(json!({})).await;
    assert_eq!(partitions(&told["revoked"]), partitions(&lost["revoked"]));
    other.owns(1).await;
}
