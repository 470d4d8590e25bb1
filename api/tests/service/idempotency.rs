//! `Idempotency-Key`: a repeated request appends nothing and answers as the first did.

use serde_json::{Value, json};

use crate::client::{Api, reply};
use crate::harness::{Server, shared, unique};

fn body(n: usize) -> String {
    let records: Vec<_> = (0..n)
        .map(|at| json!({"key": format!("k{at}"), "value": {"at": at}}))
        .collect();
    json!({"records": records}).to_string()
}

fn places(answer: &Value) -> Vec<(u64, u64)> {
    let results = answer["results"].as_array().expect("results");
    results
        .iter()
        .map(|r| {
            (
                r["partition"].as_u64().unwrap(),
                r["offset"].as_u64().unwrap(),
            )
        })
        .collect()
}

async fn total(api: &Api, path: &str) -> u64 {
    api.high_watermarks(path).await.iter().sum()
}

#[tokio::test]
async fn a_repeat_answers_the_first_offsets() {
    let api = shared().await;
    let path = api.topic(&unique("repeat"), 5).await;
    let first = api
        .produce_once(&path, "order-1", body(40))
        .await
        .expect(200)
        .json();
    assert_eq!(first["duplicate"], false);
    assert!(
        places(&first)
            .iter()
            .any(|(partition, _)| *partition != places(&first)[0].0),
        "over partitions"
    );
    api.produce(&path, body(10)).await;
    for _ in 0..3 {
        let again = api
            .produce_once(&path, "order-1", body(40))
            .await
            .expect(200)
            .json();
        assert_eq!(again["duplicate"], true);
        assert_eq!(again["durability"], "quorum_fsync");
        assert_eq!(places(&again), places(&first));
    }
    assert_eq!(total(&api, &path).await, 50);
    let other = api
        .produce_once(&path, "order-2", body(40))
        .await
        .expect(200)
        .json();
    assert_eq!(other["duplicate"], false);
    assert_eq!(total(&api, &path).await, 90);
}

#[tokio::test]
async fn another_body_under_the_same_key_is_refused() {
    let api = shared().await;
    let path = api.topic(&unique("reused"), 1).await;
    api.produce_once(&path, "k", r#"{"records":[{"value":1}]}"#)
        .await
        .expect(200);
    let refused = api
        .produce_once(&path, "k", r#"{"records":[{"value":2}]}"#)
        .await;
    let problem = refused.problem(422, "idempotency_key_reused");
    assert_eq!(
        (&problem["outcome"], &problem["retryable"]),
        (&json!("not_applied"), &json!(false))
    );
    api.produce_once(&path, "k", r#"{"records":[{"value":1},{"value":2}]}"#)
        .await
        .problem(422, "idempotency_key_reused");
    assert_eq!(total(&api, &path).await, 1);
    let elsewhere = api.topic(&unique("reused"), 1).await;
    let answer = api
        .produce_once(&elsewhere, "k", r#"{"records":[{"value":2}]}"#)
        .await
        .expect(200)
        .json();
    assert_eq!(answer["duplicate"], false, "a key belongs to its topic");
}

#[tokio::test]
async fn another_body_over_partitions_applies_nothing() {
    let api = shared().await;
    let path = api.topic(&unique("reused-many"), 4).await;
    api.produce_once(&path, "k", r#"{"records":[{"partition":0,"value":1}]}"#)
        .await
        .expect(200);
    let body = r#"{"records":[{"partition":1,"value":1},{"partition":0,"value":2},{"partition":3,"value":3}]}"#;
    let answer = api.produce_once(&path, "k", body).await;
    assert!(matches!(answer.status, 207 | 422), "{}", answer.text);
    assert_eq!(
        api.high_watermarks(&path).await[0],
        1,
        "nothing more where the key was used"
    );
}

#[tokio::test]
async fn keyless_records_go_where_the_first_try_sent_them() {
    let api = shared().await;
    let path = api.topic(&unique("keyless"), 16).await;
    for n in 0..20 {
        let key = format!("retry-{n}");
        let first = api
            .produce_once(&path, &key, r#"{"records":[{"value":1},{"value":2}]}"#)
            .await
            .expect(200)
            .json();
        let again = api
            .produce_once(&path, &key, r#"{"records":[{"value":1},{"value":2}]}"#)
            .await
            .expect(200)
            .json();
        assert_eq!(places(&again), places(&first));
        assert_eq!(again["duplicate"], true);
    }
    assert_eq!(total(&api, &path).await, 40);
}

#[tokio::test]
async fn keys_survive_a_kill_and_a_clean_stop() {
    let mut server = Server::start().await;
    let api = server.api();
    let path = api.topic("survives", 5).await;
    let first = api
        .produce_once(&path, "order-1", body(40))
        .await
        .expect(200)
        .json();
    for round in 0..4 {
        if round % 2 == 0 {
            server.kill9();
        } else {
            server.stop().await;
        }
        server.restart().await;
        let api = server.api();
        let again = api
            .produce_once(&path, "order-1", body(40))
            .await
            .expect(200)
            .json();
        assert_eq!(again["duplicate"], true, "after restart {round}");
        assert_eq!(places(&again), places(&first));
        api.produce_once(&path, "order-1", body(39))
            .await
            .problem(422, "idempotency_key_reused");
        assert_eq!(total(&api, &path).await, 40);
    }
}

#[tokio::test]
async fn twenty_at_once_are_one_append() {
    let api = shared().await;
    let path = api.topic(&unique("at-once"), 6).await;
    for round in 0..10 {
        let key = format!("burst-{round}");
        let tries = (0..20).map(|_| api.produce_once(&path, &key, body(30)));
        let answers: Vec<_> = futures_util::future::join_all(tries).await;
        let answers: Vec<Value> = answers
            .into_iter()
            .map(|answer| answer.expect(200).json())
            .collect();
        let fresh = answers
            .iter()
            .filter(|answer| answer["duplicate"] == false)
            .count();
        assert!(fresh <= 1, "at most one says it was first, not {fresh}");
        for answer in &answers {
            assert_eq!(places(answer), places(&answers[0]));
        }
        assert_eq!(total(&api, &path).await, 30 * (round + 1));
    }
}

#[tokio::test]
async fn strange_keys_are_refused_or_kept_apart() {
    let api = shared().await;
    let path = api.topic(&unique("strange"), 1).await;
    let post = |key: &str| {
        let request = api
            .request("POST", &format!("{path}/records"))
            .header("idempotency-key", key);
        reply(request.body(r#"{"records":[{"value":1}]}"#))
    };
    post("").await.problem(400, "invalid_request");
    post(&"k".repeat(5_000))
        .await
        .problem(400, "invalid_request");
    post(&"k".repeat(200)).await.expect(200);
    post("a b;\"c\"").await.expect(200);
    assert_eq!(total(&api, &path).await, 2);
}
