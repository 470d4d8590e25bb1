//! Messages that chance makes of what reflection says of them, at every method of a service that others
//! ask the same: whatever comes, it is no fault of the service, and it is answered.

use std::collections::HashMap;

use prost::encoding::WireType;
use prost::encoding::{encode_key, encode_varint};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use tonic::Code;

use super::client::{Grpc, framed, framed_bytes};
use super::fuzz::damaged;
use super::open::file_of;
use super::pb::health::{HealthCheckRequest, health_check_response::ServingStatus};
use super::records::{produce, record};
use crate::groups::worker::ensure;
use crate::harness::Server;

const SERVICES: [&str; 5] = [
    "headwater.v1.TopicService",
    "headwater.v1.RecordService",
    "headwater.v1.GroupService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
];
const ROUNDS: usize = 200;
const NESTED_MAX: usize = 5;
/// What is never an answer to whatever comes.
const FAULTS: [Code; 3] = [Code::Internal, Code::Unknown, Code::DataLoss];

/// Texts that mean something somewhere, and some that do not anywhere.
const TEXTS: [&str; 14] = [
    "walked",
    "shared",
    "letters",
    "headwater-reason",
    "",
    ".",
    "__groups",
    "no/name",
    "ü\u{0}\u{10ffff}",
    "AQGiAcAi7nA9noHR7KmYkkIB",
    "headwater.v1.GroupService",
    "*",
    "9007199254740993",
    "a name that is a good deal longer than those of topics may be, if only somebody wrote it down often",
];

/// Numbers at the edges of what is allowed.
const NUMBERS: [u64; 12] = [
    0,
    1,
    2,
    7,
    1_000,
    10_000,
    60_001,
    1 << 31,
    (1 << 53) - 1,
    1 << 53,
    u32::MAX as u64,
    u64::MAX,
];

/// All messages by their full names.
struct Messages(HashMap<String, DescriptorProto>);

impl Messages {
    fn of(files: &[FileDescriptorProto]) -> Self {
        let mut all = Self(HashMap::new());
        for file in files {
            for message in &file.message_type {
                all.add(&format!(".{}", file.package()), message);
            }
        }
        all
    }

    fn add(&mut self, parent: &str, message: &DescriptorProto) {
        let name = format!("{parent}.{}", message.name());
        for nested in &message.nested_type {
            self.add(&name, nested);
        }
        self.0.insert(name, message.clone());
    }

    /// A message with some of its fields.
    fn some(&self, random: &mut StdRng, name: &str, depth: usize) -> Vec<u8> {
        let message = self.0.get(name).unwrap_or_else(|| panic!("no {name}"));
        let mut bytes = Vec::new();
        for field in &message.field {
            let is_list = field.label() == Label::Repeated;
            let count = match is_list {
                true => random.random_range(0..4),
                false => usize::from(random.random_bool(0.7)),
            };
            for _ in 0..count {
                self.put(random, field, depth, &mut bytes);
            }
        }
        bytes
    }

    fn put(
        &self,
        random: &mut StdRng,
        field: &FieldDescriptorProto,
        depth: usize,
        to: &mut Vec<u8>,
    ) {
        let number = field.number() as u32;
        let mut bytes = |of: &[u8]| {
            encode_key(number, WireType::LengthDelimited, to);
            encode_varint(of.len() as u64, to);
            to.extend_from_slice(of);
        };
        match field.r#type() {
            Type::String => bytes(TEXTS[random.random_range(0..TEXTS.len())].as_bytes()),
            Type::Bytes => {
                let length = random.random_range(0..40);
                let any: Vec<u8> = (0..length).map(|_| random.random()).collect();
                bytes(&any);
            }
            Type::Message if depth < NESTED_MAX => {
                bytes(&self.some(random, field.type_name(), depth + 1));
            }
            Type::Message => bytes(&[]),
            Type::Fixed64 | Type::Sfixed64 | Type::Double => {
                encode_key(number, WireType::SixtyFourBit, to);
                to.extend_from_slice(&random.random::<u64>().to_le_bytes());
            }
            Type::Fixed32 | Type::Sfixed32 | Type::Float => {
                encode_key(number, WireType::ThirtyTwoBit, to);
                to.extend_from_slice(&random.random::<u32>().to_le_bytes());
            }
            _ => {
                encode_key(number, WireType::Varint, to);
                let edge = NUMBERS[random.random_range(0..NUMBERS.len())];
                let any = [edge, random.random_range(0..4), random.random()];
                encode_varint(any[random.random_range(0..3)], to);
            }
        }
    }
}

/// A body of one message, or of some where the method takes any number; sometimes damaged.
fn body(random: &mut StdRng, messages: &Messages, input: &str, streams: bool) -> Vec<u8> {
    let count = match streams {
        true => random.random_range(0..4),
        false => 1,
    };
    let framed = (0..count).flat_map(|_| framed_bytes(0, &messages.some(random, input, 0)));
    let body: Vec<u8> = framed.collect();
    match random.random_bool(0.25) && !body.is_empty() {
        true => damaged(random, &body),
        false => body,
    }
}

#[tokio::test]
async fn whatever_a_message_says_it_is_answered_and_no_fault_of_the_service() {
    let server = Server::start().await;
    let api = server.api();
    for topic in ["walked", "letters"] {
        api.topic(topic, 2).await;
    }
    ensure(&api, "walked", json!({"topics": ["walked"]})).await;
    let spec = json!({"topics": ["walked"], "type": "shared", "dead_letter_topic": "letters"});
    ensure(&api, "shared", spec).await;
    let mut files = Vec::new();
    let mut methods = Vec::new();
    for service in SERVICES {
        let file = file_of(service).await;
        let named = file
            .service
            .iter()
            .find(|found| service.ends_with(found.name()));
        for method in &named.expect("the service").method {
            let path = format!("/{service}/{}", method.name());
            methods.push((
                path,
                method.input_type().to_owned(),
                method.client_streaming(),
            ));
        }
        files.push(file);
    }
    assert!(methods.len() > 25, "{methods:?}");
    let messages = Messages::of(&files);
    let seed: u64 = rand::random();
    println!("seed {seed}");
    // A wait that chance asks for would last.
    let grpc = Grpc::connect(&api).await.with("grpc-timeout", "300m");
    let walks = (0..).zip(&methods).map(
        async |(nth, (path, input, streams)): (u64, &(String, String, bool))| {
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(nth));
            let mut answered = 0;
            for _ in 0..ROUNDS {
                let body = body(&mut random, &messages, input, *streams);
                let code = grpc.raw(path, body.clone()).await.status.code();
                assert!(
                    !FAULTS.contains(&code),
                    "{path}: {code:?} for {body:?}, seed {seed}"
                );
                answered += usize::from(code == Code::Ok);
            }
            (path.as_str(), answered)
        },
    );
    let answered: Vec<_> = futures_util::future::join_all(walks).await;
    println!("{answered:?}");
    let good = answered.iter().filter(|(_, count)| *count > 0).count();
    assert!(
        good > methods.len() / 4,
        "hardly anything that comes is a message: {answered:?}"
    );
    api.topic("after", 1).await;
    let message = framed(&produce("after", vec![record("1")]));
    let path = "/headwater.v1.RecordService/Produce";
    let after = Grpc::connect(&api).await.raw(path, message).await;
    assert_eq!(after.status.code(), Code::Ok, "{:?}", after.status);
    let check = HealthCheckRequest::default();
    let status = Grpc::connect(&api).await.health().check(check).await;
    let status = status.expect("a status").into_inner().status();
    assert_eq!(status, ServingStatus::Serving);
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(!log.contains("fault of the service"), "{log}");
}
