//! Clients over TLS.

use std::{fs, process::Output};

use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use serde_json::json;

use super::{
    authority::{Authority, Files},
    connect, shown,
};
use crate::{
    client::{Api, reply},
    cluster::brokers::signal,
    grpc::{
        client::Grpc,
        records::{produce, record},
    },
    harness::{BINARY, Server, eventually, soon},
};

/// A server of one project, its files, and a client of it.
struct Served {
    server: Server,
    files: Files,
    authority: Authority,
    api: Api,
    password: String,
}

async fn serve() -> Served {
    let authority = Authority::generate();
    let files = Files::of(&authority, &authority.issue());
    let database = format!("sqlite://{}", files.path("metadata.db").display());
    let server = files
        .public()
        .into_iter()
        .fold(Server::serve(&database), |server, (name, value)| {
            server.with(name, &value)
        })
        .certified_by(&authority.pem())
        .started()
        .await;
    let made = server.bootstrap("acme", "orders", "ada@example.com").await;
    let text = |name: &str| made[name].as_str().expect(name).to_owned();
    let api = server.client("orders", &text("api_key"));
    eventually("the key is known", async || {
        api.get("/topics").await.status == 200
    })
    .await;
    Served {
        server,
        files,
        authority,
        api,
        password: text("password"),
    }
}

async fn headwater(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(BINARY);
    let output = command.args(arguments).output();
    soon("it ends", output).await.expect("it runs")
}

#[tokio::test]
async fn every_protocol_comes_over_tls_on_one_port() {
    let Served {
        mut server,
        files,
        authority,
        api,
        password,
    } = serve().await;
    let topic = api.topic("orders", 1).await;
    api.produce(&topic, r#"{"records":[{"value":"rest"}]}"#)
        .await;

    let stream = connect(server.port, &authority.pem(), Some("h2")).await;
    let stream = stream.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let builder = http2::Builder::new(TokioExecutor::new());
    let grpc = Grpc::connect_over(&api, builder, stream).await;
    let request = produce("orders", vec![record(*b"\"grpc\"")]);
    grpc.records().produce(request).await.expect("produced");
    // What came as bytes is told as base64.
    let rows = api.read_partition(&topic, 0).await;
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].value, "\"rest\"");

    // A browser must not send the cookie over anything else.
    let body = json!({"email": "ada@example.com", "password": password});
    let session = api.with_key("").manage("POST", "/sessions", body).await;
    let session = session.expect(200);
    let cookie = session.header("set-cookie").expect("a cookie");
    assert!(cookie.contains("; Secure"), "{cookie}");

    // Who does not speak TLS, or does not trust the authority, hears nothing.
    let plain = format!("http://127.0.0.1:{}/healthz", server.port);
    assert!(reqwest::get(&plain).await.is_err());
    let other = Authority::generate().pem();
    assert!(connect(server.port, &other, None).await.is_err());

    let ca_file = files.path("ca.pem");
    let ca_file = ca_file.to_str().expect("a path");
    let list = ["topics", "list", "--url", &api.base, "--key", &api.key];
    let listed = headwater(&[&list[..], &["--ca-file", ca_file]].concat()).await;
    let printed = String::from_utf8_lossy(&listed.stdout);
    assert!(printed.contains("orders"), "{listed:?}");
    let refused = headwater(&list).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("certificate"), "{told}");
    server.stop().await;
}

#[tokio::test]
async fn a_new_certificate_needs_no_restart_and_a_broken_one_changes_nothing() {
    let Served {
        mut server,
        files,
        authority,
        api,
        ..
    } = serve().await;
    let pem = authority.pem();
    let topic = api.topic("orders", 1).await;
    let tail = api.request("GET", &format!("{topic}/tail.ndjson?from=earliest"));
    let mut tail = tail.send().await.expect("a tail");
    let mut arrives = async |value: &str| {
        let body = json!({"records": [{"value": value}]}).to_string();
        api.produce(&topic, body).await;
        let mut heard = String::new();
        while !heard.contains(value) {
            let chunk = soon("the record comes", tail.chunk()).await;
            let chunk = chunk.expect("the tail goes on").expect("it does not end");
            heard.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    let metric = async |name: &str| {
        let url = format!("{}/metrics", server.internal_root());
        let text = reply(api.anonymous("GET", &url)).await.expect(200).text;
        let line = format!("headwater_tls_certificate_{name}{{listener=\"public\"}} ");
        let found = text.lines().find_map(|found| found.strip_prefix(&line));
        found.expect(name).parse::<f64>().expect("a number")
    };
    arrives("before").await;
    assert_eq!(metric("stale").await, 0.0);

    let new = authority.issue_with(&["127.0.0.1"], |params| {
        params.not_after = rcgen::date_time_ymd(2049, 1, 1);
    });
    files.replace(&new);
    signal(server.pid(), "-HUP");
    eventually("the new certificate is shown", async || {
        shown(server.port, &pem).await == new.der
    })
    .await;
    arrives("after").await;
    assert_eq!(metric("not_after_timestamp_seconds").await, 2_493_072_000.0);

    // Another key than the certificate's.
    fs::write(files.path("key.pem"), authority.issue().key).expect("written");
    signal(server.pid(), "-HUP");
    eventually("it is told", async || metric("stale").await == 1.0).await;
    let log = server.log();
    assert!(log.contains("not the certificate's key"), "{log}");
    assert_eq!(shown(server.port, &pem).await, new.der);
    fs::write(files.path("key.pem"), &new.key).expect("written");
    signal(server.pid(), "-HUP");
    eventually("all is well", async || metric("stale").await == 0.0).await;
    arrives("at last").await;
    drop(tail);
    server.stop().await;
}

#[tokio::test]
async fn the_page_of_metrics_has_those_of_certificates() {
    let Served {
        mut server, api, ..
    } = serve().await;
    let url = format!("{}/metrics", server.internal_root());
    let text = reply(api.anonymous("GET", &url)).await.expect(200).text;
    let page = include_str!("../../../../docs/metrics.md");
    let (_, page) = page.split_once("## With TLS").expect("the section");
    let exported = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let exported: Vec<_> = exported
        .filter(|line| line.starts_with("headwater_tls_"))
        .collect();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: Vec<_> = rows
        .map(|row| {
            row.split(" | ")
                .take(2)
                .collect::<Vec<_>>()
                .join(" ")
                .replace('`', "")
        })
        .collect();
    assert_eq!(exported, documented);
    server.stop().await;
}

#[tokio::test]
async fn files_that_are_no_certificate_are_told_at_the_start() {
    let authority = Authority::generate();
    let files = Files::of(&authority, &authority.issue());
    let path = |name: &str| files.path(name).display().to_string();
    fs::write(files.path("none.pem"), "no certificate\n").expect("written");
    let database = format!("sqlite://{}", path("metadata.db"));
    let data_dir = path("data");
    let tries: [(&[&str], &str); 5] = [
        (&["--tls-cert", &path("cert.pem")], "tls_cert and tls_key"),
        (&["--tls-internal-ca", &path("ca.pem")], "give all or none"),
        (
            &[
                "--tls-cert",
                &path("none.pem"),
                "--tls-key",
                &path("key.pem"),
            ],
            "no certificate is in it",
        ),
        (
            &[
                "--tls-cert",
                &path("cert.pem"),
                "--tls-key",
                &path("none.pem"),
            ],
            "no private key",
        ),
        (
            &[
                "--tls-cert",
                &path("away.pem"),
                "--tls-key",
                &path("key.pem"),
            ],
            "No such file",
        ),
    ];
    for (flags, why) in tries {
        let start = ["serve", "--database", &database, "--data-dir", &data_dir];
        let output = headwater(&[&start[..], flags].concat()).await;
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(why), "{told}");
    }
    assert!(!files.path("data").exists(), "nothing was made");
}
