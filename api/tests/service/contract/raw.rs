//! `/raw`: the body is the value.

use serde_json::json;

use crate::client::reply;
use crate::harness::{shared, unique};

#[tokio::test]
async fn a_body_is_one_value_with_its_content_type() {
    let api = shared().await;
    let path = api.topic(&unique("raw"), 3).await;
    let post = |query: &str, content_type: &str, body: &'static [u8]| {
        let request = api.request("POST", &format!("{path}/raw{query}"));
        reply(request.header("content-type", content_type).body(body))
    };
    let text = post("?partition=0", "text/plain; charset=utf-8", b"hello")
        .await
        .expect(200)
        .json();
    assert_eq!(text["results"][0]["partition"], 0);
    assert_eq!(text["results"][0]["offset"], 0);
    assert_eq!(text["durability"], "quorum_fsync");
    assert_eq!(text["duplicate"], false);
    post("?partition=0", "application/octet-stream", &[0xff, 0x00])
        .await
        .expect(200);
    post("?partition=0", "application/json", b"{\"n\": 1}")
        .await
        .expect(200);
    post("?partition=0", "application/x-www-form-urlencoded", b"a=b")
        .await
        .expect(200);
    post("?partition=0&key=user%201", "text/plain", b"")
        .await
        .expect(200);

    let page = api
        .get(&format!("{path}/partitions/0/records"))
        .await
        .expect(200)
        .json();
    let records = page["records"].as_array().unwrap();
    let header = |n: usize| records[n]["headers"]["content-type"].clone();
    assert_eq!(header(0), "text/plain; charset=utf-8");
    assert_eq!(records[0]["value_text"], "hello");
    assert_eq!(records[1]["value_base64"], "/wA=");
    assert_eq!(header(2), "application/json");
    let json_value = records[2]
        .get("value")
        .is_some_and(|value| *value == json!({"n": 1}));
    assert!(
        json_value || records[2]["value_text"] == "{\"n\": 1}",
        "{}",
        records[2]
    );
    assert_eq!(
        header(3),
        "application/x-www-form-urlencoded",
        "never read as JSON here"
    );
    assert_eq!(records[3]["value_text"], "a=b");
    assert_eq!(records[4]["key"], "user 1");
    assert_eq!(records[4]["value_text"], "");
}

#[tokio::test]
async fn a_key_chooses_the_partition() {
    let api = shared().await;
    let path = api.topic(&unique("raw-key"), 6).await;
    let answer = reply(
        api.request("POST", &format!("{path}/raw?key=foobar"))
            .body("x"),
    )
    .await
    .expect(200)
    .json();
    assert_eq!(
        answer["results"][0]["partition"],
        ((-790_332_482_i32).cast_unsigned() & 0x7fff_ffff) % 6
    );
    let no_type = &api.read_by_cursor(&path).await;
    assert_eq!(no_type.len(), 1);
}

#[tokio::test]
async fn raw_is_idempotent_too() {
    let api = shared().await;
    let path = api.topic(&unique("raw-once"), 3).await;
    let post = |body: &'static str| {
        let request = api.request("POST", &format!("{path}/raw"));
        reply(
            request
                .header("content-type", "text/plain")
                .header("idempotency-key", "r1")
                .body(body),
        )
    };
    let first = post("a").await.expect(200).json();
    let second = post("a").await.expect(200).json();
    assert_eq!(second["duplicate"], true);
    assert_eq!(
        second["results"][0]["partition"],
        first["results"][0]["partition"]
    );
    assert_eq!(
        second["results"][0]["offset"],
        first["results"][0]["offset"]
    );
    post("b").await.problem(422, "idempotency_key_reused");
}
