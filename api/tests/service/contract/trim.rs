//! Trim: the start of a partition moves, readers are told.

use serde_json::json;

use crate::harness::{shared, unique};

#[tokio::test]
async fn trim_moves_the_start_and_readers_see_the_gap() {
    let api = shared().await;
    let path = api.topic(&unique("trim"), 2).await;
    let records: Vec<_> = (0..10)
        .map(|n| json!({"partition": 0, "value": n}))
        .collect();
    api.produce(&path, json!({"records": records}).to_string())
        .await;
    let url = format!("{path}/partitions/0/records");
    let cursor = api
        .get(&format!("{path}/records?max_records=2"))
        .await
        .expect(200)
        .json_member("cursor");

    let trimmed = api
        .send(
            "POST",
            &format!("{path}/trim"),
            r#"{"partition":0,"before_offset":5}"#,
        )
        .await;
    assert_eq!(
        trimmed.expect(200).json(),
        json!({"partition": 0, "log_start": 5})
    );
    let again = api
        .send(
            "POST",
            &format!("{path}/trim"),
            r#"{"partition":0,"before_offset":3}"#,
        )
        .await;
    assert_eq!(
        again.expect(200).json()["log_start"],
        5,
        "it never moves back"
    );

    let page = api.get(&url).await.expect(200);
    assert_eq!(
        page.rows().iter().map(|row| row.offset).collect::<Vec<_>>(),
        [5, 6, 7, 8, 9]
    );
    assert_eq!(page.number("log_start"), 5);
    let problem = api
        .get(&format!("{url}?offset=2"))
        .await
        .problem(416, "offset_out_of_range");
    assert_eq!(
        (&problem["log_start"], &problem["high_watermark"]),
        (&json!(5), &json!(10))
    );

    let skipped = api
        .get(&format!("{url}?offset=2&on_out_of_range=earliest"))
        .await
        .expect(200)
        .json();
    assert_eq!(skipped["records"][0]["offset"], 5);
    let gap = &skipped["gaps"][0];
    assert_eq!((&gap["from"], &gap["to"]), (&json!(2), &json!(5)));
    assert!(
        gap["reason"]
            .as_str()
            .is_some_and(|reason| !reason.is_empty()),
        "{gap}"
    );

    let resumed = api
        .get(&format!(
            "{path}/records?cursor={cursor}&on_out_of_range=earliest"
        ))
        .await
        .expect(200);
    assert_eq!(resumed.rows()[0].offset, 5);
    assert_eq!(resumed.json()["gaps"][0]["from"], 2);
    assert_eq!(
        api.get(&format!("{path}/partitions")).await.json()["partitions"][0]["log_start"],
        5
    );
    assert_eq!(
        api.get(&format!("{path}/offsets?at=0")).await.json()["offsets"][0]["offset"],
        5
    );
}

#[tokio::test]
async fn trim_stays_within_the_log() {
    let api = shared().await;
    let path = api.topic(&unique("trim-ends"), 1).await;
    api.produce(&path, r#"{"records":[{"value":1},{"value":2}]}"#)
        .await;
    let trim = async |body: &'static str| api.send("POST", &format!("{path}/trim"), body).await;
    let beyond = trim(r#"{"partition":0,"before_offset":3}"#).await;
    let problem = beyond.problem(416, "offset_out_of_range");
    assert_eq!(problem["high_watermark"], 2);
    assert_eq!(
        trim(r#"{"partition":0,"before_offset":2}"#)
            .await
            .expect(200)
            .json()["log_start"],
        2
    );
    let page = api
        .get(&format!("{path}/partitions/0/records"))
        .await
        .expect(200);
    assert_eq!((page.rows().len(), page.number("next_offset")), (0, 2));
    let answer = api.produce(&path, r#"{"records":[{"value":3}]}"#).await;
    assert_eq!(
        answer["results"][0]["offset"], 2,
        "offsets are never used again"
    );
}
