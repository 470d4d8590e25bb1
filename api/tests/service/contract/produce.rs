//! Produce: answers, acknowledgements, partial refusals.

use serde_json::json;

use crate::client::{check_problem, reply};
use crate::harness::{shared, unique};

#[tokio::test]
async fn results_come_in_request_order() {
    let api = shared().await;
    let path = api.topic(&unique("order"), 3).await;
    let body = json!({"records": [
        {"partition": 2, "value": "c0"}, {"partition": 0, "value": "a0"},
        {"partition": 2, "value": "c1"}, {"partition": 1, "value": "b0"},
    ]});
    let answer = api.produce(&path, body.to_string()).await;
    let places: Vec<_> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            (
                result["partition"].as_u64().unwrap(),
                result["offset"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(places, [(2, 0), (0, 0), (2, 1), (1, 0)]);
    assert_eq!(answer["durability"], "quorum_fsync");
    assert_eq!(answer["duplicate"], false);
    assert!(
        answer["results"][0]["timestamp"]
            .as_u64()
            .is_some_and(|ms| ms > 1_700_000_000_000)
    );
    let rows = api
        .get(&format!("{path}/partitions/2/records"))
        .await
        .expect(200)
        .rows();
    assert_eq!(
        rows.iter()
            .map(|row| row.value.as_str())
            .collect::<Vec<_>>(),
        ["\"c0\"", "\"c1\""]
    );
}

#[tokio::test]
async fn each_acknowledgement_has_its_durability() {
    let api = shared().await;
    let path = api.topic(&unique("acks"), 1).await;
    for (acks, durability) in [
        ("quorum", "quorum_fsync"),
        ("leader", "leader_fsync"),
        ("none", "none"),
    ] {
        let body = json!({"records": [{"value": acks}], "acks": acks});
        let answer = api.produce(&path, body.to_string()).await;
        assert_eq!(answer["durability"], durability);
        assert_eq!(answer["results"].as_array().unwrap().len(), 1);
    }
    crate::harness::eventually("records of every acknowledgement are there", async || {
        api.high_watermarks(&path).await == [3]
    })
    .await;
}

#[tokio::test]
async fn curl_without_content_type_is_json() {
    let api = shared().await;
    let name = unique("form");
    let form = "application/x-www-form-urlencoded";
    let put = api
        .request("PUT", &format!("/topics/{name}"))
        .header("content-type", form)
        .body(r#"{"partitions":1}"#);
    reply(put).await.expect(201);
    for content_type in [Some(form), None] {
        let mut post = api.request("POST", &format!("/topics/{name}/records"));
        if let Some(content_type) = content_type {
            post = post.header("content-type", content_type);
        }
        reply(post.body(r#"{"records":[{"value":"a=b&c"}]}"#))
            .await
            .expect(200);
    }
    assert_eq!(api.high_watermarks(&format!("/topics/{name}")).await, [2]);
}

#[tokio::test]
async fn one_refused_record_refuses_the_request_and_names_it() {
    let api = shared().await;
    let path = api.topic(&unique("refused"), 2).await;
    let body = r#"{"records":[{"value":1},{"partition":7,"value":2}]}"#;
    let answer = api.send("POST", &format!("{path}/records"), body).await;
    match answer.status {
        // Refused as a whole, or slot by slot: both say which record it was.
        207 => {
            let answer = answer.json();
            assert_eq!(answer["results"][0].get("error"), None);
            check_problem(&answer["results"][1]["error"]);
        }
        _ => {
            let problem = answer.any_problem();
            assert_eq!(problem["outcome"], "not_applied");
            assert_eq!(problem["errors"][0]["pointer"], "/records/1/partition");
            assert_eq!(api.high_watermarks(&path).await, [0, 0]);
        }
    }
}

#[tokio::test]
async fn ten_thousand_records_fit_in_a_request() {
    let api = shared().await;
    let path = api.topic(&unique("many"), 4).await;
    let records: Vec<_> = (0..10_000)
        .map(|n| format!("{{\"key\":\"k{n}\",\"value\":{n}}}"))
        .collect();
    let answer = api
        .produce(&path, format!("{{\"records\":[{}]}}", records.join(",")))
        .await;
    assert_eq!(answer["results"].as_array().unwrap().len(), 10_000);
    assert_eq!(api.high_watermarks(&path).await.iter().sum::<u64>(), 10_000);
}

#[tokio::test]
async fn a_record_at_the_limit_fits_and_comes_back_whole() {
    let api = shared().await;
    let path = api.topic(&unique("large"), 1).await;
    let value = format!("\"{}\"", "x".repeat(1_000_000));
    api.produce(&path, format!("{{\"records\":[{{\"value\":{value}}}]}}"))
        .await;
    let page = api
        .get(&format!("{path}/partitions/0/records?max_bytes=1"))
        .await
        .expect(200);
    assert_eq!(page.rows()[0].value, value, "the first record always fits");
}

#[tokio::test]
async fn a_topic_may_allow_larger_records() {
    let api = shared().await;
    let name = unique("limit");
    let body = json!({"partitions": 1, "config": {"max_record_bytes": 4 << 20}}).to_string();
    api.send("PUT", &format!("/topics/{name}"), body)
        .await
        .expect(201);
    let value = format!("\"{}\"", "x".repeat(3 << 20));
    let path = format!("/topics/{name}");
    api.produce(&path, format!("{{\"records\":[{{\"value\":{value}}}]}}"))
        .await;
    assert_eq!(api.read_partition(&path, 0).await[0].value, value);
}
