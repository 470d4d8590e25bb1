//! Connections that lie, stall or talk nonsense.

use tokio::io::AsyncWriteExt;

use crate::harness::{Server, shared};
use crate::raw_http::{connect, exchange, head, read_reply};

const GOOD: &[u8] = br#"{"records":[{"value":1}]}"#;

#[tokio::test]
async fn a_body_shorter_than_it_says_is_not_applied() {
    let api = shared().await;
    let topic = super::victim(&api).await;
    for call in ["records", "raw"] {
        let mut socket = connect(&api).await;
        let extra = "content-type: application/json\r\ncontent-length: 1000\r\n";
        socket
            .write_all(head(&api, "POST", &format!("{topic}/{call}"), extra).as_bytes())
            .await
            .unwrap();
        socket.write_all(GOOD).await.unwrap();
        socket.shutdown().await.unwrap();
        if let Some(answer) = read_reply(&mut socket).await {
            answer.problem(400);
        }
    }
    // A chunked body that breaks off.
    let mut socket = connect(&api).await;
    let extra = "content-type: application/json\r\ntransfer-encoding: chunked\r\n";
    socket
        .write_all(head(&api, "POST", &format!("{topic}/records"), extra).as_bytes())
        .await
        .unwrap();
    socket
        .write_all(format!("{:x}\r\n", GOOD.len()).as_bytes())
        .await
        .unwrap();
    socket.write_all(GOOD).await.unwrap();
    socket.write_all(b"\r\n").await.unwrap();
    socket.shutdown().await.unwrap();
    if let Some(answer) = read_reply(&mut socket).await {
        answer.problem(400);
    }
    assert_eq!(api.high_watermarks(&topic).await, [10, 0]);
}

#[tokio::test]
async fn lengths_that_cannot_be_are_refused() {
    let api = shared().await;
    let topic = super::victim(&api).await;
    let path = format!("{topic}/records");
    for extra in [
        "content-length: -1\r\n",
        "content-length: abc\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 99999999999999999999\r\n",
        "transfer-encoding: nonsense\r\n",
        "transfer-encoding: gzip\r\n",
    ] {
        let answer = exchange(&api, "POST", &path, extra, GOOD).await;
        assert!(
            matches!(answer.status, 400 | 413 | 501),
            "{extra:?}: {}",
            answer.status
        );
    }
    let answer = exchange(&api, "POST", &path, "content-length: 8388609\r\n", b"").await;
    answer.problem(413);
    let answer = exchange(
        &api,
        "POST",
        &path,
        "content-length: 9000000000000\r\nexpect: 100-continue\r\n",
        b"",
    )
    .await;
    answer.problem(413);
    assert_eq!(api.high_watermarks(&topic).await, [10, 0]);
}

#[tokio::test]
async fn nonsense_is_answered_or_closed() {
    let api = shared().await;
    let longest = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1 << 20));
    let headers = format!(
        "GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n",
        "a".repeat(1 << 20)
    );
    let many: String = (0..5_000).map(|n| format!("x-{n}: v\r\n")).collect();
    let many = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    for nonsense in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost\r\n\r\n",
        b"G\0T / HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nbad header: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\xff\xff\xff\xff\xff",
        longest.as_bytes(),
        headers.as_bytes(),
        many.as_bytes(),
    ] {
        let mut socket = connect(&api).await;
        let _ = socket.write_all(nonsense).await;
        let _ = socket.shutdown().await;
        if let Some(answer) = read_reply(&mut socket).await {
            assert!(
                (400..500).contains(&answer.status) || answer.status == 505,
                "{}",
                answer.status
            );
        }
        crate::client::reply(api.anonymous("GET", &format!("{}/healthz", api.root)))
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn slow_clients_are_let_go() {
    let server = Server::start().await;
    let api = server.api();
    let topic = api.topic("slow", 1).await;
    let path = format!("{topic}/records");
    let mut waiting = Vec::new();
    for n in 0..150 {
        let mut socket = connect(&api).await;
        match n % 3 {
            // Headers that never end.
            0 => socket
                .write_all(b"POST /v1/projects/demo/topics HTTP/1.1\r\nhost: x\r\nx-sl")
                .await
                .unwrap(),
            // A connection that never speaks.
            1 => {}
            // A body that never ends.
            _ => {
                let extra = "content-type: application/json\r\ncontent-length: 1000\r\n";
                socket
                    .write_all(head(&api, "POST", &path, extra).as_bytes())
                    .await
                    .unwrap();
                socket.write_all(&GOOD[..10]).await.unwrap();
            }
        }
        waiting.push(tokio::spawn(async move {
            // The bound is in `read_reply`: it panics if the server neither answers nor closes.
            (n % 3, read_reply(&mut socket).await)
        }));
    }
    // One that sends a byte now and then, for ever, is slow too.
    let dripping = tokio::spawn({
        let (api, path) = (api.clone(), path.clone());
        async move {
            let mut socket = connect(&api).await;
            let extra = "content-type: application/json\r\ncontent-length: 100000\r\n";
            socket
                .write_all(head(&api, "POST", &path, extra).as_bytes())
                .await
                .unwrap();
            let (mut reading, mut writing) = socket.into_split();
            let drip = async {
                while writing.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                }
            };
            let mut answer = Vec::new();
            let read = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut answer);
            let ended = tokio::time::timeout(std::time::Duration::from_secs(120), async {
                tokio::select! { _ = drip => {}, _ = read => {} }
            });
            assert!(ended.await.is_ok(), "a dripping body is given up");
        }
    });
    for n in 0..50 {
        let answer = api.produce(&topic, GOOD).await;
        assert_eq!(
            answer["results"][0]["offset"], n,
            "others are served meanwhile"
        );
    }
    for one in waiting {
        let (kind, answer) = one.await.unwrap();
        if let Some(answer) = answer {
            assert_eq!(answer.status, 408, "kind {kind}: {}", answer.body);
        }
    }
    dripping.await.unwrap();
    assert_eq!(api.high_watermarks(&topic).await, [50]);
}
