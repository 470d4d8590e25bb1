//! Bytes that no generated client sends.

use std::io::Write;

use bytes::BufMut;
use prost::Message;
use tonic::Code;

use super::client::{Grpc, framed, framed_bytes, refused};
use super::pb;
use super::records::{produce, record};
use crate::client::Api;
use crate::harness::{Server, shared, unique};

const PRODUCE: &str = "/headwater.v1.RecordService/Produce";
const GET: &str = "/headwater.v1.TopicService/GetTopic";

#[tokio::test]
async fn every_broken_message_is_an_invalid_argument() {
    let api = shared().await;
    let grpc = Grpc::connect(&api).await;
    let topic = unique("grpc-broken");
    api.topic(&topic, 1).await;
    let mut wrong_records = produce(&topic, Vec::new()).encode_to_vec();
    wrong_records.extend([0x10, 1]);
    let whole = framed(&pb::GetTopicRequest { topic: "x".into() });
    let mut announced = vec![0];
    announced.put_u32(100);
    announced.put_slice(b"less");
    for (what, path, body) in [
        ("nothing", GET, Vec::new()),
        ("half a head", GET, vec![0, 0]),
        ("less than announced", GET, announced),
        ("two messages", GET, [whole.clone(), whole.clone()].concat()),
        ("an unknown flag", GET, framed_bytes(2, b"")),
        ("compressed, nobody knows how", GET, framed_bytes(1, b"x")),
        ("a wrong wire type", GET, framed_bytes(0, &[0x08, 1])),
        ("not UTF-8", GET, framed_bytes(0, &[0x0a, 1, 0xff])),
        (
            "a length beyond the end",
            GET,
            framed_bytes(0, &[0x0a, 200]),
        ),
        (
            "records that are numbers",
            PRODUCE,
            framed_bytes(0, &wrong_records),
        ),
        ("field 0", PRODUCE, framed_bytes(0, &[0x00, 1])),
        ("a group", PRODUCE, framed_bytes(0, &[0x0b, 0x0c])),
        (
            "a varint without end",
            PRODUCE,
            framed_bytes(0, &[0xff; 11]),
        ),
        (
            "a topic that is not UTF-8",
            PRODUCE,
            framed_bytes(0, &[0x0a, 1, 0xff]),
        ),
    ] {
        let answer = grpc.raw(path, body).await;
        println!("{what}: {}", answer.status.message());
        refused(&answer.status, Code::InvalidArgument, "invalid_request");
    }
    let nowhere = grpc
        .raw("/headwater.v1.TopicService/Nothing", whole.clone())
        .await;
    refused(&nowhere.status, Code::Unimplemented, "not_implemented");
    let timeout = grpc
        .with("grpc-timeout", "soon")
        .raw(GET, whole.clone())
        .await;
    refused(&timeout.status, Code::InvalidArgument, "invalid_request");
    let unknown = grpc.with("grpc-encoding", "br").raw(GET, whole).await;
    refused(
        &unknown.status,
        Code::Unimplemented,
        "unsupported_media_type",
    );
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 3).expect("memory")
}

#[tokio::test]
async fn compressed_messages_are_read() {
    let api = shared().await;
    let grpc = Grpc::connect(&api).await;
    let topic = unique("grpc-compressed");
    let path = api.topic(&topic, 1).await;
    let message = produce(&topic, vec![record(vec![b'x'; 10_000])]).encode_to_vec();
    for (name, bytes) in [("gzip", gzip(&message)), ("zstd", zstd(&message))] {
        let sender = grpc.with("grpc-encoding", name);
        let answer = sender.raw(PRODUCE, framed_bytes(1, &bytes)).await;
        assert_eq!(
            answer.status.code(),
            Code::Ok,
            "{name}: {:?}",
            answer.status
        );
        // The header alone compresses nothing.
        let plain = sender.raw(PRODUCE, framed_bytes(0, &message)).await;
        assert_eq!(plain.status.code(), Code::Ok);
        let broken = sender.raw(PRODUCE, framed_bytes(1, b"not that")).await;
        refused(&broken.status, Code::InvalidArgument, "invalid_request");
    }
    assert_eq!(api.high_watermarks(&path).await, [4]);
}

/// A message that says a lot in few bytes: fields of nothing, over and over.
fn nothing_often(number: u8, times: usize, front: &[u8]) -> Vec<u8> {
    let mut message = front.to_vec();
    for _ in 0..times {
        message.put_u8(number << 3 | 2);
        message.put_u8(0);
    }
    message
}

#[tokio::test]
async fn what_is_too_large_takes_no_memory() {
    let server = Server::start().await;
    let api = server.api();
    api.topic("bombed", 1).await;
    let grpc = Grpc::connect(&api).await;
    let before = server.peak_resident_bytes();
    let large = vec![0; (8 << 20) + 1];
    let mut announced = vec![0];
    announced.put_u32(u32::MAX);
    let bombs = [
        ("larger than its limit", "", framed_bytes(0, &large)),
        ("only announced", "", announced),
        (
            "a gzip bomb",
            "gzip",
            framed_bytes(1, &gzip(&vec![0; 64 << 20])),
        ),
        (
            "a zstd bomb",
            "zstd",
            framed_bytes(1, &zstd(&vec![0; 64 << 20])),
        ),
    ];
    for (what, encoding, body) in bombs {
        let sender = match encoding {
            "" => grpc.clone(),
            encoding => grpc.with("grpc-encoding", encoding),
        };
        let answer = sender.raw(PRODUCE, body).await;
        println!("{what}: {}", answer.status.message());
        refused(&answer.status, Code::InvalidArgument, "payload_too_large");
    }
    let small = framed_bytes(0, &[0; (64 << 10) + 1]);
    refused(
        &grpc.raw(GET, small).await.status,
        Code::InvalidArgument,
        "payload_too_large",
    );
    // Millions of empty records, and of empty headers of one record, in less than 8 MiB.
    let topic = [0x0a, 6, b'b', b'o', b'm', b'b', b'e', b'd'];
    let records = nothing_often(2, 4_000_000, &topic);
    let answer = grpc.raw(PRODUCE, framed_bytes(0, &records)).await;
    refused(&answer.status, Code::InvalidArgument, "too_many_records");
    let headers = nothing_often(4, 4_000_000, b"");
    let mut one = topic.to_vec();
    one.put_u8(0x12);
    prost::encode_length_delimiter(headers.len(), &mut one).expect("memory");
    one.extend_from_slice(&headers);
    let answer = grpc.raw(PRODUCE, framed_bytes(0, &one)).await;
    refused(&answer.status, Code::InvalidArgument, "invalid_request");
    let after = server.peak_resident_bytes();
    println!("resident at most: {before}, then {after}");
    assert!(after < before + (128 << 20), "{before} became {after}");
    assert_eq!(api.high_watermarks("/topics/bombed").await, [0]);
}

#[tokio::test]
async fn what_is_not_grpc_is_rest() {
    let api = shared().await;
    let web = api
        .anonymous("POST", &format!("{}{GET}", api.root))
        .header("content-type", "application/grpc-web")
        .body("");
    crate::client::reply(web).await.problem(404, "not_found");
    let old = api
        .anonymous("POST", &format!("{}{GET}", api.root))
        .header("content-type", "application/grpc")
        .body("");
    // Over HTTP/1 there is no gRPC.
    crate::client::reply(old).await.problem(404, "not_found");
}

#[tokio::test]
async fn requests_have_their_ids_and_metrics() {
    let server = Server::start().await;
    let api: Api = server.api();
    let grpc = Grpc::connect(&api)
        .await
        .with("x-request-id", "chosen-by-the-client");
    let absent = framed(&pb::GetTopicRequest {
        topic: "absent".into(),
    });
    let answer = grpc.raw(GET, absent).await;
    assert_eq!(
        super::client::error_info(&answer.status)["request_id"],
        "chosen-by-the-client"
    );
    let metrics = crate::client::reply(api.anonymous("GET", &format!("{}/metrics", api.root)));
    let text = metrics.await.expect(200).text;
    let line = format!(
        "headwater_http_requests_total{{method=\"POST\",route=\"{GET}\",status=\"404\"}} 1"
    );
    assert!(text.contains(&line), "{text}");
}
