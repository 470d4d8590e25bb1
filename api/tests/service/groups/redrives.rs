//! Moving dead letters back to where they came from.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tonic::Code;

use super::shared::{lease, produce, settle, shared_group};
use super::worker::{described, ensure};
use crate::client::{Api, Reply};
use crate::grpc::client::{Grpc, refused};
use crate::grpc::pb;
use crate::harness::{Server, eventually, shared, soon, unique};
use crate::tenants::people::{Engine, Tenant};

async fn try_redrive(api: &Api, group: &str, ask: Value) -> Reply {
    let path = format!("/groups/{group}/redrive");
    api.send("POST", &path, ask.to_string()).await
}

async fn redrive(api: &Api, group: &str, ask: Value) -> Value {
    try_redrive(api, group, ask).await.expect(200).json()
}

/// Moved, skipped, refused, left.
fn counts(told: &Value) -> [u64; 4] {
    let letters = told["letters"].as_array().expect("letters").len() as u64;
    let counts = ["moved", "skipped", "refused", "left"];
    let counts = counts.map(|name| told[name].as_u64().expect("a count"));
    assert_eq!(counts[0] + counts[2], letters, "{told}");
    counts
}

/// Leases what there is, and has all of it die. Answers how much that was, once its letters are written.
pub async fn die(api: &Api, group: &str, reason: &str) -> usize {
    let mut count = 0;
    eventually("all of it is dead", async || {
        let records = lease(api, group, json!({"max_records": 100})).await;
        let reject = records.iter();
        let reject = reject.map(|record| json!({"lease": record["lease"], "reason": reason}));
        let reject: Vec<_> = reject.collect();
        let settled = settle(api, group, json!({ "reject": reject })).await;
        assert!(settled.iter().all(|status| status == "ok"), "{settled:?}");
        count += records.len();
        let positions = described(api, group).await["positions"].take();
        let mut positions = positions.as_array().expect("positions").iter();
        records.is_empty() && positions.all(|position| position["lag"] == 0)
    })
    .await;
    count
}

/// All records of a topic.
async fn records(api: &Api, topic: &str) -> Vec<Value> {
    let path = format!("/topics/{topic}/records?max_records=10000&max_bytes=16777216");
    let page = api.get(&path).await.expect(200).json();
    page["records"].as_array().expect("records").clone()
}

/// The values of records that were moved back, in the order of partitions and offsets.
async fn moved_values(api: &Api, topic: &str) -> Vec<Value> {
    let mut records = records(api, topic).await;
    records.retain(|record| record["headers"]["headwater-redriven"].is_string());
    records.sort_by_key(|record| (record["partition"].as_u64(), record["offset"].as_u64()));
    records
        .into_iter()
        .map(|record| record["value"].clone())
        .collect()
}

#[tokio::test]
async fn letters_go_back_once_and_tell_how_often_they_did() {
    let api = shared().await;
    let (topic, dead, group) = shared_group(&api, 3, 5).await;
    let record = |value| {
        json!({"key": "a", "value": value, "partition": 1, "timestamp": 1_000,
        "headers": {"trace": "t1", "headwater-reason": "mine"}})
    };
    produce(&api, &topic, json!([record(1), record(2)])).await;
    assert_eq!(die(&api, &group, "it rains").await, 2);
    let dry = redrive(&api, &group, json!({"dry_run": true})).await;
    assert_eq!(counts(&dry), [2, 0, 0, 0]);
    assert_eq!(dry["letters"][0]["moved_to"], Value::Null);
    assert_eq!(moved_values(&api, &topic).await, [] as [Value; 0]);
    let told = redrive(&api, &group, json!({})).await;
    assert_eq!(counts(&told), [2, 0, 0, 0]);
    assert_eq!(told["cursor"], Value::Null);
    let letter = &told["letters"][0];
    let place = |offset: u64| json!({"topic": topic, "partition": 1, "offset": offset});
    assert_eq!(
        (&letter["origin"], &letter["moved_to"], &letter["refusal"]),
        (&place(0), &place(2), &Value::Null)
    );
    assert_eq!(
        (&letter["reason"], &letter["attempts"], &letter["redriven"]),
        (&json!("it rains"), &json!(1), &json!(0))
    );
    assert_eq!(
        moved_values(&api, &topic).await,
        [1, 2],
        "a key keeps its order"
    );
    let again = records(&api, &topic).await;
    let again = again
        .iter()
        .find(|record| record["offset"] == 2)
        .expect("it is there");
    let from = format!("{dead}/{}/{}", letter["partition"], letter["offset"]);
    let headers = json!({
        "trace": "t1", "headwater-redriven": "1", "headwater-redriven-from": from,
        "headwater-origin-timestamp": "1000",
    });
    assert_eq!((&again["headers"], &again["key"]), (&headers, &json!("a")));
    assert_ne!(
        again["timestamp"], 1_000,
        "or retention would have it at once"
    );
    let nothing = redrive(&api, &group, json!({})).await;
    assert_eq!(counts(&nothing), [0, 0, 0, 0]);
    // They die once more.
    assert_eq!(die(&api, &group, "it still rains").await, 2);
    let told = redrive(&api, &group, json!({})).await;
    assert_eq!(counts(&told), [2, 0, 0, 0]);
    let letter = &told["letters"][1];
    assert_eq!(
        (&letter["redriven"], &letter["origin"]),
        (&json!(1), &place(3))
    );
    let again = records(&api, &topic).await;
    let again = again
        .iter()
        .find(|record| record["offset"] == 5)
        .expect("it is there");
    assert_eq!(again["headers"]["headwater-redriven"], "2");
    assert_eq!(again["headers"]["headwater-origin-timestamp"], "1000");
    let left = lease(&api, &group, json!({"wait_ms": 20_000})).await;
    assert_eq!(
        (&left[0]["value"], &left[0]["attempt"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test]
async fn a_filter_leaves_the_others_for_later() {
    let api = shared().await;
    let (topic, _, group) = shared_group(&api, 1, 5).await;
    let of = |n: u64| {
        json!({"key": format!("k{}", n % 3), "value": n, "timestamp": 1_000 * n,
        "headers": {"n": n.to_string()}})
    };
    produce(&api, &topic, json!([of(0), of(1), of(2), of(3)])).await;
    die(&api, &group, "no such customer 7").await;
    produce(&api, &topic, json!([of(4), of(5)])).await;
    die(&api, &group, "timeout").await;
    let letters = redrive(&api, &group, json!({"dry_run": true})).await;
    let last = &letters["letters"].as_array().expect("letters")[5];
    let at = last["offset"].as_u64().expect("an offset");
    let last = json!([{"partition": last["partition"], "from": at, "to": at + 1}]);
    for (filter, count) in [
        (json!({"key": "k0"}), 2),
        (json!({"key_base64": "azA="}), 2),
        (json!({"key": "k0", "reason": "customer"}), 2),
        (json!({"key": "k1", "reason": "timeout"}), 1),
        (json!({"reason": "customer"}), 4),
        (json!({"headers": {"n": "4"}}), 1),
        (json!({"headers": {"n": "4", "m": "4"}}), 0),
        (json!({"topic": topic}), 6),
        (json!({"topic": "another"}), 0),
        (json!({"since": 2_000}), 4),
        (json!({"since": "1970-01-01T00:00:02Z", "until": 4_000}), 2),
        (json!({"offsets": last}), 1),
        (
            json!({"offsets": [{"partition": 9, "from": 0, "to": 9}]}),
            0,
        ),
        (json!({}), 6),
    ] {
        let ask = json!({"filter": filter, "dry_run": true});
        let told = redrive(&api, &group, ask).await;
        assert_eq!(counts(&told), [count, 6 - count, 0, 0], "{filter}");
    }
    let some = json!({"filter": {"reason": "timeout"}});
    assert_eq!(
        counts(&redrive(&api, &group, some.clone()).await),
        [2, 4, 0, 0]
    );
    assert_eq!(counts(&redrive(&api, &group, some).await), [0, 4, 0, 0]);
    let odd = json!({"filter": {"key": "k1"}});
    assert_eq!(counts(&redrive(&api, &group, odd).await), [1, 3, 0, 0]);
    assert_eq!(
        counts(&redrive(&api, &group, json!({})).await),
        [3, 0, 0, 0]
    );
    let moved: BTreeSet<_> = moved_values(&api, &topic)
        .await
        .iter()
        .map(|value| value.as_u64())
        .collect();
    assert_eq!(moved, (0..6).map(Some).collect(), "each of them");
    assert_eq!(moved_values(&api, &topic).await.len(), 6, "and once");
}

#[tokio::test]
async fn a_redrive_goes_on_by_its_cursor_and_ends_where_it_would_have_when_it_began() {
    let api = shared().await;
    let (topic, _, group) = shared_group(&api, 2, 5).await;
    let of = |n: u64| json!({"key": format!("k{n}"), "value": n});
    let some: Vec<_> = (0..25).map(of).collect();
    produce(&api, &topic, json!(some)).await;
    die(&api, &group, "it rains").await;
    let first = redrive(&api, &group, json!({"max_records": 10})).await;
    assert_eq!(counts(&first), [10, 0, 0, 15]);
    // What was moved dies again, and is for another redrive.
    assert_eq!(die(&api, &group, "it rains").await, 10);
    let (mut moved, mut cursor) = (10, first["cursor"].clone());
    while !cursor.is_null() {
        let told = redrive(&api, &group, json!({"max_records": 10, "cursor": cursor})).await;
        moved += counts(&told)[0];
        cursor = told["cursor"].clone();
    }
    assert_eq!(moved, 25);
    // A call that is said again finds what it did.
    let again = json!({"max_records": 10, "cursor": first["cursor"]});
    assert_eq!(counts(&redrive(&api, &group, again).await), [0, 0, 0, 0]);
    assert_eq!(counts(&redrive(&api, &group, json!({})).await)[0], 10);
    let (_, _, other) = shared_group(&api, 1, 5).await;
    for (group, cursor) in [
        (&other, first["cursor"].clone()),
        (&group, json!("AQGiAcAi")),
        (&group, json!("")),
    ] {
        try_redrive(&api, group, json!({ "cursor": cursor }))
            .await
            .problem(400, "invalid_cursor");
    }
}

#[tokio::test]
async fn a_slow_one_ends_before_it_is_through() {
    let api = shared().await;
    let (topic, _, group) = shared_group(&api, 1, 5).await;
    let some: Vec<_> = (0..60).map(|n| json!({"value": n})).collect();
    produce(&api, &topic, json!(some)).await;
    die(&api, &group, "it rains").await;
    let told = redrive(&api, &group, json!({"records_per_second": 2})).await;
    let [moved, skipped, refused, left] = counts(&told);
    assert!((1..60).contains(&moved), "{moved}");
    assert_eq!((skipped, refused, left), (0, 0, 60 - moved));
    let rest = json!({"cursor": told["cursor"], "records_per_second": 100_000});
    assert_eq!(counts(&redrive(&api, &group, rest).await), [left, 0, 0, 0]);
    assert_eq!(moved_values(&api, &topic).await.len(), 60);
}

#[tokio::test]
async fn several_at_once_move_each_letter_once() {
    let api = shared().await;
    let (topic, _, group) = shared_group(&api, 4, 5).await;
    let some: Vec<_> = (0..300)
        .map(|n| json!({"key": format!("k{}", n % 40), "value": n}))
        .collect();
    produce(&api, &topic, json!(some)).await;
    assert_eq!(die(&api, &group, "it rains").await, 300);
    let all = |_| {
        let (api, group) = (api.clone(), group.clone());
        tokio::spawn(async move { redrive(&api, &group, json!({"max_records": 1_000})).await })
    };
    for redriving in (0..6).map(all).collect::<Vec<_>>() {
        let told = soon("it ends", redriving).await.expect("told");
        assert_eq!(told["cursor"], Value::Null);
    }
    let mut of_key = BTreeMap::<u64, Vec<u64>>::new();
    for value in moved_values(&api, &topic).await {
        let value = value.as_u64().expect("a number");
        of_key.entry(value % 40).or_default().push(value);
    }
    let expected = (0..40).map(|key| (key, (0..300).filter(|n| n % 40 == key).collect()));
    assert_eq!(
        of_key,
        expected.collect(),
        "once, and those of a key in their order"
    );
}

#[tokio::test]
async fn a_service_that_dies_in_the_middle_of_it_loses_no_letter_and_moves_none_twice() {
    let mut server = Server::start().await;
    let api = server.api();
    let (topic, _, group) = shared_group(&api, 2, 5).await;
    let some: Vec<_> = (0..200)
        .map(|n| json!({"key": format!("k{n}"), "value": n}))
        .collect();
    produce(&api, &topic, json!(some)).await;
    assert_eq!(die(&api, &group, "it rains").await, 200);
    let moving = {
        let (api, group) = (api.clone(), group.clone());
        let path = format!("/groups/{group}/redrive");
        let slowly = json!({"records_per_second": 40}).to_string();
        tokio::spawn(async move {
            crate::client::try_reply(api.request("POST", &path).body(slowly)).await
        })
    };
    eventually("it is in the middle of it", async || {
        moved_values(&api, &topic).await.len() > 25
    })
    .await;
    server.kill9();
    let cut = soon("the call ends", moving).await.expect("it ran");
    assert!(cut.is_err(), "nobody knows how far it came");
    server.restart().await;
    let api = server.api();
    let told = redrive(&api, &group, json!({"max_records": 1_000})).await;
    let [moved, _, refused, left] = counts(&told);
    assert!(moved < 200, "what was noted is not looked at again");
    assert_eq!((refused, left), (0, 0));
    let mut values: Vec<_> = moved_values(&api, &topic).await;
    values.sort_by_key(Value::as_u64);
    assert_eq!(values, (0..200).map(|n| json!(n)).collect::<Vec<_>>());
}

#[tokio::test]
async fn letters_of_others_are_left_alone_and_those_that_cannot_go_back_stay() {
    let api = shared().await;
    let (topic, dead, group) = shared_group(&api, 1, 5).await;
    let other = unique("other");
    let spec = json!({"topics": [topic], "type": "shared", "dead_letter_topic": dead});
    ensure(&api, &other, spec).await;
    let named = |group: &str, topic: &str| {
        json!({"value": 1, "partition": 0, "headers": {"headwater-group": group, "headwater-origin-topic": topic,
        "headwater-origin-partition": "7", "headwater-origin-offset": "0",
        "headwater-attempts": "1", "headwater-reason": "by hand"}})
    };
    let strange = json!([
        {"value": "no letter", "partition": 0},
        named(&other, &topic),
        named(&group, "not-read"),
        named(&group, &topic),
        named("nobody", &topic),
    ]);
    produce(&api, &dead, strange).await;
    for again in [false, true] {
        let told = redrive(&api, &group, json!({})).await;
        let moved = u64::from(!again);
        assert_eq!(counts(&told), [moved, 0, 1, 0]);
        let stays = &told["letters"][0];
        assert_eq!(stays["origin"]["topic"], "not-read");
        assert_eq!(stays["refusal"], "the group reads no topic not-read");
        assert_eq!(stays["moved_to"], Value::Null);
    }
    // Of a partition that the topic does not have: it goes by its key, or to any.
    assert_eq!(moved_values(&api, &topic).await, [1]);
    assert_eq!(
        counts(&redrive(&api, &other, json!({})).await),
        [1, 0, 0, 0]
    );
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let api = shared().await;
    let (topic, dead, group) = shared_group(&api, 1, 5).await;
    for ask in [
        json!({"max_records": 0}),
        json!({"max_records": 1_001}),
        json!({"records_per_second": 0}),
        json!({"records_per_second": 100_001}),
        json!({"filter": {"key": "a", "key_base64": "YQ=="}}),
        json!({"filter": {"key_base64": "!"}}),
        json!({"filter": {"since": "yesterday"}}),
        json!({"filter": {"headers": {"a": 1}}}),
        json!({"filter": {"offsets": [{"partition": 0, "from": 0}]}}),
        json!({"filter": {"offsets": [{"partition": 0, "from": 0, "to": 1u64 << 53}]}}),
        json!({"filter": {"value": 1}}),
        json!({"cursor": null}),
        json!({"rate": 1}),
    ] {
        try_redrive(&api, &group, ask).await.expect(400);
    }
    try_redrive(&api, "not-there", json!({}))
        .await
        .problem(404, "group_not_found");
    let without = unique("without");
    ensure(&api, &without, json!({"topics": [topic], "type": "shared"})).await;
    try_redrive(&api, &without, json!({}))
        .await
        .problem(422, "invalid_setting");
    let partitioned = unique("plain");
    ensure(&api, &partitioned, json!({"topics": [topic]})).await;
    try_redrive(&api, &partitioned, json!({}))
        .await
        .problem(409, "group_type_conflict");
    api.send("DELETE", &format!("/topics/{dead}"), "")
        .await
        .expect(204);
    try_redrive(&api, &group, json!({}))
        .await
        .problem(422, "topic_not_found");
}

#[tokio::test]
async fn a_key_reads_the_letters_and_appends_to_the_topics_itself() {
    let tenant = Tenant::new(Engine::Sqlite).await;
    for topic in ["orders", "letters"] {
        tenant.key.topic(topic, 1).await;
    }
    let spec = json!({"topics": ["orders"], "type": "shared", "dead_letter_topic": "letters"});
    ensure(&tenant.key, "billing", spec).await;
    let consume = json!({"operations": ["consume"], "group": "billing"});
    let read = json!({"operations": ["fetch"], "topic": "letters"});
    let write = json!({"operations": ["produce"], "topic": "orders"});
    for (scopes, status) in [
        (json!([consume]), 403),
        (json!([consume, read]), 403),
        (json!([consume, write]), 403),
        (json!([read, write]), 403),
        (json!([consume, read, write]), 200),
    ] {
        let key = tenant.key_with(scopes.clone()).await;
        let answer = try_redrive(&key, "billing", json!({})).await;
        assert_eq!(answer.status, status, "{scopes}");
    }
    let other = Tenant::new(Engine::Sqlite).await;
    try_redrive(&other.key, "billing", json!({}))
        .await
        .problem(404, "group_not_found");
}

#[tokio::test]
async fn it_is_the_same_over_grpc() {
    let api = shared().await;
    let (topic, _, group) = shared_group(&api, 1, 5).await;
    produce(
        &api,
        &topic,
        json!([{"key": "a", "value": 1}, {"key": "b", "value": 2}]),
    )
    .await;
    die(&api, &group, "it rains").await;
    let mut grpc = Grpc::connect(&api).await.groups();
    let ask = pb::RedriveRequest {
        group: group.clone(),
        filter: Some(pb::RedriveFilter {
            key: Some(b"b".to_vec()),
            ..pb::RedriveFilter::default()
        }),
        ..pb::RedriveRequest::default()
    };
    let told = grpc.redrive(ask.clone()).await.expect("moved").into_inner();
    assert_eq!((told.moved, told.skipped, told.left), (1, 1, 0));
    let moved_to = told.letters[0].moved_to.as_ref().expect("it is there");
    assert_eq!(
        (moved_to.topic.as_str(), moved_to.offset),
        (topic.as_str(), 2)
    );
    let first = pb::RedriveRequest {
        filter: None,
        max_records: Some(1),
        dry_run: true,
        ..ask.clone()
    };
    let told = grpc.redrive(first).await.expect("told").into_inner();
    assert_eq!((told.moved, told.letters[0].moved_to.as_ref()), (1, None));
    let wrong = pb::RedriveRequest {
        records_per_second: Some(0),
        ..ask
    };
    let wrong = grpc.redrive(wrong).await.unwrap_err();
    refused(&wrong, Code::InvalidArgument, "invalid_request");
}
