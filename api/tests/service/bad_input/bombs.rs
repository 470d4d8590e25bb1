//! Small bodies that become large ones.

use crate::client::reply;
use crate::contract::compression::{gzip, zstd};
use crate::harness::Server;

#[tokio::test]
async fn a_bomb_is_refused_within_bounds_of_memory() {
    let server = Server::start().await;
    let api = server.api();
    let topic = api.topic("bombed", 1).await;
    let mut plain = br#"{"records":[{"value":1}]"#.to_vec();
    plain.resize(256 << 20, b' ');
    let bombs = [("gzip", gzip(&plain).await), ("zstd", zstd(&plain).await)];
    drop(plain);
    for (coding, bomb) in &bombs {
        assert!(bomb.len() < 1 << 20, "{coding} makes it small");
        for call in ["records", "raw"] {
            let tries = (0..8).map(|_| {
                let request = api.request("POST", &format!("{topic}/{call}"));
                reply(
                    request
                        .header("content-encoding", *coding)
                        .body(bomb.clone()),
                )
            });
            for answer in futures_util::future::join_all(tries).await {
                answer.problem(413, "payload_too_large");
            }
        }
    }
    let peak = server.peak_resident_bytes();
    assert!(peak < 300 << 20, "{} MiB for bombs of 256 MiB", peak >> 20);
    assert_eq!(api.high_watermarks(&topic).await, [0]);
    api.produce(&topic, r#"{"records":[{"value":1}]}"#).await;
}

#[tokio::test]
async fn a_bomb_of_one_bulk_line_is_one_refused_line() {
    let server = Server::start().await;
    let api = server.api();
    let topic = api.topic("bombed", 1).await;
    let mut plain = b"{\"value\":1}\n{\"value\":\"".to_vec();
    plain.resize(200 << 20, b'x');
    plain.extend_from_slice(b"\"}\n{\"value\":2}\n");
    let bomb = gzip(&plain).await;
    drop(plain);
    let request = api
        .request("POST", &format!("{topic}/records/bulk"))
        .header("content-encoding", "gzip");
    let answer = reply(request.body(bomb)).await.expect(200);
    let last = answer.text.lines().last().expect("a last line");
    assert_eq!(last, r#"{"done":true,"accepted":2,"rejected":1}"#);
    let peak = server.peak_resident_bytes();
    assert!(peak < 300 << 20, "{} MiB for a line of 200 MiB", peak >> 20);
}
