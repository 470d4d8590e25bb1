//! Random bytes, and good messages with some of them changed, at every method: whatever comes, it is
//! no fault of the service.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tonic::Code;

use super::client::{Grpc, framed, framed_bytes};
use super::pb;
use super::permissions::rows;
use super::records::{produce, record};
use crate::harness::Server;

const ROUNDS: usize = 60;
const FAULTS: [Code; 4] = [
    Code::Internal,
    Code::Unknown,
    Code::Unavailable,
    Code::DataLoss,
];

pub fn damaged(random: &mut StdRng, good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    match random.random_range(0..4) {
        // Another message altogether, in a good frame.
        0 => {
            let length = random.random_range(0..200);
            let message: Vec<u8> = (0..length).map(|_| random.random()).collect();
            return framed_bytes(0, &message);
        }
        1 => bytes.truncate(random.random_range(0..=good.len())),
        2 => {
            let extra = random.random_range(1..40);
            bytes.extend((0..extra).map(|_| random.random::<u8>()));
        }
        _ => {
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..bytes.len());
                bytes[at] = random.random();
            }
        }
    }
    bytes
}

#[tokio::test]
async fn nothing_that_comes_is_a_fault_of_the_service() {
    let server = Server::start().await;
    let api = server.api();
    api.topic("walked", 2).await;
    // A wait that chance asks for would last.
    let grpc = Grpc::connect(&api).await.with("grpc-timeout", "5S");
    let mut methods: Vec<(String, Vec<u8>)> = rows(1)
        .into_iter()
        .map(|(method, _, call)| (format!("/headwater.v1.{method}"), call))
        .collect();
    let health = framed(&pb::health::HealthCheckRequest::default());
    let reflection = framed(&pb::reflection::ServerReflectionRequest {
        host: "h".into(),
        message_request: Some(
            pb::reflection::server_reflection_request::MessageRequest::ListServices("*".into()),
        ),
    });
    for method in ["Check", "Watch"] {
        methods.push((format!("/grpc.health.v1.Health/{method}"), health.clone()));
    }
    for version in ["v1", "v1alpha"] {
        let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        methods.push((path, reflection.clone()));
    }
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for (path, good) in &methods {
        for _ in 0..ROUNDS {
            let body = damaged(&mut random, good);
            let code = grpc.raw(path, body.clone()).await.status.code();
            assert!(
                !FAULTS.contains(&code),
                "{path}: {code:?} for {body:?}, seed {seed}"
            );
        }
        // What chance asked for may have been done.
        let answer = grpc.raw(path, good.clone()).await;
        assert!(
            !FAULTS.contains(&answer.status.code()),
            "{path}: {:?}",
            answer.status
        );
        api.send("PUT", "/topics/walked", "{}").await;
    }
    api.topic("after", 1).await;
    let message = framed(&produce("after", vec![record("1")]));
    let after = grpc
        .raw("/headwater.v1.RecordService/Produce", message)
        .await;
    assert_eq!(after.status.code(), Code::Ok, "{:?}", after.status);
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(!log.contains("fault of the service"), "{log}");
}
