//! Compressed requests in, compressed responses out.

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use async_compression::tokio::write::{GzipEncoder, ZstdEncoder};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::reply;
use crate::harness::{shared, unique};

pub async fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzipEncoder::new(Vec::new());
    encoder.write_all(bytes).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

pub async fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZstdEncoder::new(Vec::new());
    encoder.write_all(bytes).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

#[tokio::test]
async fn request_bodies_may_be_compressed() {
    let api = shared().await;
    let path = api.topic(&unique("packed"), 1).await;
    let records: Vec<_> = (0..500)
        .map(|n| json!({"value": {"n": n, "text": "again and again"}}))
        .collect();
    let body = json!({"records": records}).to_string();
    let line = b"{\"value\":\"line\"}\n";
    for (coding, batch, lines, raw) in [
        (
            "gzip",
            gzip(body.as_bytes()).await,
            gzip(line).await,
            gzip(b"raw").await,
        ),
        (
            "zstd",
            zstd(body.as_bytes()).await,
            zstd(line).await,
            zstd(b"raw").await,
        ),
    ] {
        for (call, body) in [("records", batch), ("records/bulk", lines), ("raw", raw)] {
            let request = api
                .request("POST", &format!("{path}/{call}"))
                .header("content-encoding", coding);
            reply(request.body(body)).await.expect(200);
        }
    }
    let rows = api.read_partition(&path, 0).await;
    assert_eq!(rows.len(), 2 * 502);
    assert_eq!(rows[499].value, r#"{"n":499,"text":"again and again"}"#);
    assert_eq!(rows[500].value, "\"line\"");
}

#[tokio::test]
async fn responses_are_compressed_on_request() {
    let api = shared().await;
    let path = api.topic(&unique("packing"), 1).await;
    let records: Vec<_> = (0..500)
        .map(|n| json!({"value": {"n": n, "text": "again and again"}}))
        .collect();
    api.produce(&path, json!({"records": records}).to_string())
        .await;
    let url = format!("{path}/partitions/0/records");
    let plain = api.get(&url).await.expect(200);
    assert_eq!(plain.header("content-encoding"), None);
    for coding in ["gzip", "zstd"] {
        let response = api
            .request("GET", &url)
            .header("accept-encoding", coding)
            .send()
            .await
            .unwrap();
        assert_eq!(response.headers()["content-encoding"], coding);
        let packed = response.bytes().await.unwrap();
        assert!(packed.len() < plain.text.len() / 2);
        let mut text = String::new();
        let read = match coding {
            "gzip" => {
                GzipDecoder::new(&packed[..])
                    .read_to_string(&mut text)
                    .await
            }
            _ => {
                ZstdDecoder::new(&packed[..])
                    .read_to_string(&mut text)
                    .await
            }
        };
        read.unwrap();
        assert_eq!(text, plain.text);
    }
}
