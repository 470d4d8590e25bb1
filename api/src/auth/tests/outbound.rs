use http::Request;
use serde_json::{Value, json};

use super::Server;
use reqwest::dns::Resolve;

use crate::auth::outbound::{ANSWER_BYTES_MAX, Outbound, OutboundError, Reach, Resolver};

#[test]
fn only_global_addresses_are_public() {
    let global = [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "223.255.255.254",
        "2606:4700::1111",
        "2001:4860:4860::8888",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ];
    let other = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::808:808",
        "100::1",
        "2001::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:c0a8:1::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ];
    for ip in global {
        assert!(Reach::Public.allows(ip.parse().unwrap()), "{ip}");
    }
    for ip in other {
        assert!(!Reach::Public.allows(ip.parse().unwrap()), "{ip}");
        assert!(Reach::Insecure.allows(ip.parse().unwrap()), "{ip}");
    }
    for ip in ["10.0.0.1", "127.0.0.1", "::1", "fd00::1", "100.64.0.1"] {
        assert!(Reach::Private.allows(ip.parse().unwrap()), "{ip}");
    }
    for ip in ["169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1", "::"] {
        assert!(!Reach::Private.allows(ip.parse().unwrap()), "{ip}");
    }
}

#[test]
fn urls_are_checked_when_they_are_configured() {
    let long = format!("https://example.com/{}", "a".repeat(3_000));
    let never = [
        "",
        "example.com",
        "file:///etc/passwd",
        "ftp://example.com/",
        "javascript:alert(1)",
        "https://",
        "https://user@example.com/",
        "https://:password@example.com/",
        "https://example.com/#fragment",
        &long,
    ];
    for url in never {
        for reach in [Reach::Public, Reach::Private, Reach::Insecure] {
            assert!(reach.check_url(url).is_err(), "{url} {reach:?}");
        }
    }
    let not_public = [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        // Other spellings of 127.0.0.1 and 169.254.169.254
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0251.0376.0251.0376/",
        "https://127.1/",
        "http://localhost/",
    ];
    for url in not_public {
        assert!(Reach::Public.check_url(url).is_err(), "{url}");
    }
    let public = "https://issuer.example:8443/realms/one?a=b";
    assert_eq!(Reach::Public.check_url(public).unwrap().as_str(), public);
    for url in ["http://127.0.0.1:9/", "http://localhost/", "http://[::1]/"] {
        assert!(Reach::Private.check_url(url).is_ok(), "{url}");
    }
    for url in ["http://10.0.0.1/", "http://example.com/"] {
        assert!(Reach::Private.check_url(url).is_err(), "{url}");
        assert!(Reach::Insecure.check_url(url).is_ok(), "{url}");
    }
}

#[tokio::test]
async fn private_addresses_are_refused_by_number_and_by_name() {
    let server = Server::start().await;
    let port = server.url.rsplit(':').next().unwrap();
    let public = Outbound::new(Reach::Public).unwrap();
    let by_number = format!("https://127.0.0.1:{port}/");
    let error = public
        .get_json::<Value>(&by_number, None)
        .await
        .unwrap_err();
    assert!(matches!(error, OutboundError::Refused(_)), "{error:?}");
    let by_name = format!("https://localhost:{port}/");
    let error = public.get_json::<Value>(&by_name, None).await.unwrap_err();
    assert!(matches!(error, OutboundError::Refused(_)), "{error:?}");
    // A name that does not say so is looked up first.
    let name = "localhost".parse().unwrap();
    let looked_up = Resolver(Reach::Public).resolve(name).await;
    let Err(why) = looked_up.map(|_| ()) else {
        panic!("it is of this machine");
    };
    let why = why.to_string();
    assert!(why.contains("is not an address"), "{why}");
    assert!(server.script.lock().asked.is_empty());
}

#[tokio::test]
async fn redirects_are_answers() {
    let server = Server::start().await;
    server.answer("/here", 302, format!("{}/there", server.url));
    server.json("/there", &json!({}));
    let client = Outbound::new(Reach::Private).unwrap();
    let url = format!("{}/here", server.url);
    let error = client.get_json::<Value>(&url, None).await.unwrap_err();
    assert_eq!(error, OutboundError::Status(302));
    assert!(server.asked("/there").is_empty());
}

#[tokio::test]
async fn answers_are_cut_off() {
    let server = Server::start().await;
    let client = Outbound::new(Reach::Private).unwrap();
    let request = || Request::get(format!("{}/", server.url)).body(Vec::new());
    server.answer("/", 200, "x".repeat(ANSWER_BYTES_MAX));
    let answer = client.send(request().unwrap()).await.unwrap();
    assert_eq!(answer.body().len(), ANSWER_BYTES_MAX);
    server.answer("/", 200, "x".repeat(ANSWER_BYTES_MAX + 1));
    let error = client.send(request().unwrap()).await.unwrap_err();
    assert_eq!(error, OutboundError::TooLarge);
}

/// One that never says how long its answer is, and never ends it.
#[tokio::test]
async fn endless_answers_are_cut_off() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 4_096]).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\n\r\n";
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut sent = 0;
        while socket.write_all(&[b'x'; 4_096]).await.is_ok() {
            sent += 4_096;
        }
        sent
    });
    let client = Outbound::new(Reach::Private).unwrap();
    let error = client.get_json::<Value>(&url, None).await.unwrap_err();
    assert_eq!(error, OutboundError::TooLarge);
    assert!(task.await.unwrap() < 64 << 20, "the connection was closed");
}

#[tokio::test]
async fn errors_hold_nothing_of_the_body_or_the_url() {
    let server = Server::start().await;
    server.json("/", &json!({ "issuer": "secret-body" }));
    let client = Outbound::new(Reach::Private).unwrap();
    let url = format!("{}/?key=secret-query", server.url);
    let error = client.get_json::<Vec<u8>>(&url, None).await.unwrap_err();
    assert_eq!(error, OutboundError::NotJson);
    assert!(!format!("{error} {error:?}").contains("secret"));
    server.task.abort();
    tokio::task::yield_now().await;
    let closed = "http://127.0.0.1:1/?key=secret-query";
    let error = client.get_json::<Value>(closed, None).await.unwrap_err();
    assert!(matches!(error, OutboundError::Failed(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret"));
}
