//! Moving a group's positions.

use serde_json::{Value, json};

use super::worker::{Worker, committed, fill, group_of, values};
use crate::client::{Api, Reply};
use crate::harness::shared;

async fn reset(api: &Api, group: &str, ask: Value) -> Reply {
    let path = format!("/groups/{group}/offsets");
    api.send("POST", &path, ask.to_string()).await
}

/// Before and after, by partition.
fn moves(told: &Value) -> Vec<(u64, u64)> {
    let moved = told["partitions"].as_array().expect("partitions").iter();
    let number = |of: &Value, name: &str| of[name].as_u64().expect("an offset");
    moved
        .map(|of| (number(of, "before"), number(of, "after")))
        .collect()
}

#[tokio::test]
async fn every_way_to_say_where_to() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 2).await;
    let early = json!({"records": [
        {"value": 0, "partition": 0, "timestamp": 1_000_000},
        {"value": 1, "partition": 0, "timestamp": 2_000_000},
        {"value": 2, "partition": 0, "timestamp": 3_000_000},
    ]});
    api.produce(&format!("/topics/{topic}"), early.to_string())
        .await;
    fill(&api, &topic, 1, 3..8).await;
    for (to, after) in [
        (json!("latest"), [3, 5]),
        (json!("earliest"), [0, 0]),
        (json!({"at": 2_000_000}), [1, 0]),
        (json!({"at": "1970-01-01T00:33:21Z"}), [2, 0]),
        (
            json!({"offsets": [{"topic": topic, "partition": 1, "offset": 4}]}),
            [2, 4],
        ),
        (json!({"shift": -1}), [1, 3]),
        (json!({"shift": 100}), [3, 5]),
        (json!({"shift": -100}), [0, 0]),
        (
            json!({"offsets": [{"topic": topic, "partition": 0, "offset": 99}]}),
            [3, 0],
        ),
    ] {
        let before = committed(&api, &group).await;
        let dry = reset(&api, &group, json!({"to": to, "dry_run": true}))
            .await
            .expect(200)
            .json();
        assert_eq!(
            committed(&api, &group).await,
            before,
            "a dry run changes nothing"
        );
        let done = reset(&api, &group, json!({"to": to}))
            .await
            .expect(200)
            .json();
        assert_eq!(dry, done, "and tells what would be");
        let now: Vec<_> = committed(&api, &group).await;
        assert_eq!(now, after.map(Some), "{to}");
        for (place, (from, to)) in done["partitions"]
            .as_array()
            .expect("them")
            .iter()
            .zip(moves(&done))
        {
            let partition = place["partition"].as_u64().expect("a number") as usize;
            assert_eq!(
                (Some(from), Some(to)),
                (before[partition].or(Some(0)), now[partition])
            );
        }
    }
    // The oldest there is, also after a trim.
    let trim = json!({"partition": 1, "before_offset": 2}).to_string();
    api.send("POST", &format!("/topics/{topic}/trim"), trim)
        .await
        .expect(200);
    let done = reset(&api, &group, json!({"to": "earliest"}))
        .await
        .expect(200)
        .json();
    assert_eq!(moves(&done), [(3, 0), (0, 2)]);
}

#[tokio::test]
async fn members_are_not_moved_unless_it_is_forced() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 1).await;
    fill(&api, &topic, 0, 0..4).await;
    let mut worker = Worker::join(&api, &group, "w").await;
    worker.poll(json!({})).await;
    worker.go_on(json!({})).await;
    let read = worker.cursor.clone();
    let problem = reset(&api, &group, json!({"to": "earliest"}))
        .await
        .problem(409, "group_active");
    assert_eq!(problem["outcome"], "not_applied");
    let forced =
        json!({"to": {"offsets": [{"topic": topic, "partition": 0, "offset": 1}]}, "force": true});
    assert_eq!(
        moves(&reset(&api, &group, forced).await.expect(200).json()),
        [(4, 1)]
    );
    // What it commits of before counts no more.
    let told = worker.poll(json!({"commit": read})).await;
    assert_eq!(values(&told), [1, 2, 3]);
    assert_eq!(super::worker::partitions(&told["revoked"]), [0]);
    assert_eq!(super::worker::partitions(&told["assigned"]), [0]);
    assert_eq!(committed(&api, &group).await, [Some(1)]);
}

#[tokio::test]
async fn a_reset_names_what_the_group_reads() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 2).await;
    let (other, _) = group_of(&api, 1).await;
    let at =
        |topic: &str, partition: u32| json!({"topic": topic, "partition": partition, "offset": 0});
    for (ask, status, pointer) in [
        (
            json!({"to": {"offsets": [at(&other, 0)]}}),
            422,
            "/to/offsets/0/topic",
        ),
        (
            json!({"to": {"offsets": [at(&topic, 0), at(&topic, 2)]}}),
            400,
            "/to/offsets/1/partition",
        ),
        (
            json!({"to": {"offsets": [at(&topic, 0), at(&topic, 0)]}}),
            400,
            "/to/offsets/1/partition",
        ),
        (
            json!({"to": "earliest", "topics": [topic, other]}),
            422,
            "/topics/1",
        ),
        (json!({"to": "beginning"}), 400, "/to"),
        (json!({"to": {}}), 400, "/to"),
        (json!({"to": {"shift": 1, "at": 2}}), 400, "/to"),
        (json!({"to": {"at": "yesterday"}}), 400, "/to/at"),
        (json!({"to": {"shift": 1.5}}), 400, "/to/shift"),
        (
            json!({"to": {"shift": 9_007_199_254_740_992u64}}),
            400,
            "/to/shift",
        ),
        (json!({"dry_run": true}), 400, "/to"),
        (json!({"to": "latest", "dry_run": "yes"}), 400, "/dry_run"),
    ] {
        let answer = reset(&api, &group, ask.clone()).await;
        let problem = answer.any_problem_of(status);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{ask}: {problem}");
    }
    assert_eq!(committed(&api, &group).await, [None, None]);
    let some = json!({"to": "latest", "topics": [topic]});
    assert_eq!(
        moves(&reset(&api, &group, some).await.expect(200).json()),
        [(0, 0), (0, 0)]
    );
}
