//! `/records/bulk`: an open stream of lines in, an open stream of results out.

use serde_json::{Value, json};

use crate::client::{check_problem, reply};
use crate::harness::{shared, soon, unique};
use crate::lines::{Lines, open_body};

/// Every result line of a bulk answer that came whole.
fn results(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect()
}

#[tokio::test]
async fn results_flow_while_the_body_is_open() {
    let api = shared().await;
    let path = api.topic(&unique("bulk-open"), 1).await;
    let (lines, body) = open_body();
    lines
        .send("{\"value\":1}\n{\"value\":2}\n".to_owned())
        .await
        .unwrap();
    let request = api.request("POST", &format!("{path}/records/bulk"));
    let response = request
        .header("content-type", "application/x-ndjson")
        .body(body)
        .send();
    let response = soon("the head of the answer", response).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let mut answer = Lines::new(response);

    let mut committed = 0;
    while committed < 2 {
        let run: Value = serde_json::from_str(&answer.next().await.unwrap()).unwrap();
        assert_eq!(
            run["from"],
            committed + 1,
            "lines count from 1, runs are consecutive: {run}"
        );
        assert_eq!(run["partitions"][0]["base_offset"], committed);
        committed += run["n"].as_u64().unwrap();
    }
    assert_eq!(
        api.high_watermarks(&path).await,
        [2],
        "durable while the body is open"
    );

    lines.send("{\"value\":3}".to_owned()).await.unwrap();
    drop(lines);
    let run: Value = serde_json::from_str(&answer.next().await.unwrap()).unwrap();
    assert_eq!(
        run,
        json!({"from": 3, "n": 1, "partitions": [{"partition": 0, "base_offset": 2, "n": 1}]})
    );
    let done: Value = serde_json::from_str(&answer.next().await.unwrap()).unwrap();
    assert_eq!(done, json!({"done": true, "accepted": 3, "rejected": 0}));
    assert_eq!(answer.next().await, None);
}

#[tokio::test]
async fn a_bad_line_is_named_and_the_others_stand() {
    let api = shared().await;
    let path = api.topic(&unique("bulk-bad"), 2).await;
    let body = "{\"value\":1}\nnot json\n{\"value\":2,\"valeu\":3}\n\n{\"partition\":9,\"value\":3}\n{\"value\":4}\r\n{\"value_base64\":\"!\"}\n{\"key\":\"a\",\"value\":5}\n";
    let answer = reply(
        api.request("POST", &format!("{path}/records/bulk"))
            .body(body),
    )
    .await
    .expect(200);
    let lines = results(&answer.text);
    let mut rejected = Vec::new();
    let mut accepted = 0;
    for line in &lines[..lines.len() - 1] {
        if let Some(error) = line.get("error") {
            check_problem(error);
            assert_eq!(error["outcome"], "not_applied");
            rejected.push(line["line"].as_u64().unwrap());
        } else {
            accepted += line["n"].as_u64().unwrap();
        }
    }
    rejected.sort_unstable();
    rejected.retain(|line| *line != 4);
    assert_eq!(rejected, [2, 3, 5, 7], "line 4 is blank: {lines:?}");
    assert_eq!(accepted, 3);
    let done = &lines[lines.len() - 1];
    assert_eq!(
        (&done["done"], &done["accepted"]),
        (&json!(true), &json!(3))
    );
    assert_eq!(api.high_watermarks(&path).await.iter().sum::<u64>(), 3);
}

#[tokio::test]
async fn runs_say_where_every_line_went() {
    let api = shared().await;
    let path = api.topic(&unique("bulk-runs"), 4).await;
    let body: String = (0..5_000)
        .map(|n| format!("{{\"key\":\"k{}\",\"value\":{n}}}\n", n % 37))
        .collect();
    let answer = reply(
        api.request("POST", &format!("{path}/records/bulk"))
            .body(body),
    )
    .await
    .expect(200);
    let lines = results(&answer.text);
    let mut next_line = 1;
    let mut next_offsets = [0_u64; 4];
    for run in &lines[..lines.len() - 1] {
        assert_eq!(run["from"], next_line, "{run}");
        next_line += run["n"].as_u64().unwrap();
        let mut in_partitions = 0;
        for part in run["partitions"].as_array().unwrap() {
            let partition = usize::try_from(part["partition"].as_u64().unwrap()).unwrap();
            assert_eq!(
                part["base_offset"], next_offsets[partition],
                "offsets follow lines: {run}"
            );
            next_offsets[partition] += part["n"].as_u64().unwrap();
            in_partitions += part["n"].as_u64().unwrap();
        }
        assert_eq!(run["n"], in_partitions);
    }
    assert_eq!(next_line, 5_001);
    assert_eq!(
        lines[lines.len() - 1],
        json!({"done": true, "accepted": 5000, "rejected": 0})
    );
    for partition in 0..4 {
        let values: Vec<u64> = api
            .read_partition(&path, partition)
            .await
            .iter()
            .map(|row| row.value.parse().unwrap())
            .collect();
        assert!(values.is_sorted(), "line order within a partition");
    }
}

#[tokio::test]
async fn an_empty_body_is_done_at_once() {
    let api = shared().await;
    let path = api.topic(&unique("bulk-empty"), 1).await;
    let answer = reply(
        api.request("POST", &format!("{path}/records/bulk"))
            .body(""),
    )
    .await
    .expect(200);
    assert_eq!(
        results(&answer.text),
        [json!({"done": true, "accepted": 0, "rejected": 0})]
    );
}

#[tokio::test]
async fn an_overlong_line_does_not_end_the_load() {
    let api = shared().await;
    let path = api.topic(&unique("bulk-long"), 1).await;
    let body = format!(
        "{{\"value\":1}}\n{{\"value\":\"{}\"}}\n{{\"value\":2}}\n",
        "x".repeat(9 << 20)
    );
    let answer = reply(
        api.request("POST", &format!("{path}/records/bulk"))
            .body(body),
    )
    .await
    .expect(200);
    let lines = results(&answer.text);
    assert_eq!(
        lines[lines.len() - 1],
        json!({"done": true, "accepted": 2, "rejected": 1})
    );
    let error = lines
        .iter()
        .find(|line| line.get("error").is_some())
        .expect("an error line");
    assert_eq!(error["line"], 2);
    assert_eq!(error["error"]["status"], 413);
}
