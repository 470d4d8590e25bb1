//! Writes the code of the public gRPC. The compiler of protobuf is a crate: nothing needs to be
//! installed.

use std::{env, fs, path::PathBuf};

use prost::Message;

/// Answers whose records the gateway writes into a page as it reads them.
const PAGES: [&str; 5] = [
    "FetchPartitionResponse",
    "FetchTopicResponse",
    "TailResponse",
    "LeaseResponse",
    "PollResponse",
];

/// Asks whose records are read straight into batches.
const RAW: [&str; 2] = ["ProduceRequest", "ProduceStreamRequest"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(
        [
            "headwater/v1/topics.proto",
            "headwater/v1/records.proto",
            "headwater/v1/groups.proto",
            "grpc/health/v1/health.proto",
            "grpc/reflection/v1/reflection.proto",
        ],
        ["proto"],
    )?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), files.encode_to_vec())?;
    let part = |name: &str| {
        let out = out.join(name);
        fs::create_dir_all(&out)?;
        let configured = tonic_prost_build::configure()
            // Connections are our own: tonic's would need its whole transport.
            .build_transport(false)
            // There is one result a record, and seldom an error.
            .boxed(".headwater.v1.RecordResult.error")
            .out_dir(out);
        Ok::<_, std::io::Error>(configured)
    };
    part("messages")?
        .build_client(false)
        .build_server(false)
        // Keys and values are slices of the message that brought them.
        .bytes(".")
        .compile_fds(files.clone())?;
    // For tests.
    part("client")?
        .build_server(false)
        .compile_fds(files.clone())?;
    let mut services = part("services")?
        .build_client(false)
        .codec_path("crate::http::grpc::codec::Codec");
    for package in ["headwater", "grpc.health", "grpc.reflection"] {
        let module = package.replace('.', "::");
        services = services.extern_path(
            format!(".{package}.v1"),
            format!("crate::http::grpc::pb::{module}::v1"),
        );
    }
    for name in PAGES {
        services = services.extern_path(
            format!(".headwater.v1.{name}"),
            format!("crate::http::grpc::page::Page<crate::http::grpc::pb::headwater::v1::{name}>"),
        );
    }
    for name in RAW {
        services = services.extern_path(
            format!(".headwater.v1.{name}"),
            "crate::http::grpc::records::Raw",
        );
    }
    services.compile_fds(files)?;
    Ok(())
}
