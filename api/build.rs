//! Writes the code of the public gRPC, whose compiler is a crate, and the list of the console's files,
//! if it was built: nothing needs to be installed.

use std::{
    env,
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
};

use prost::Message;

/// Answers whose records the gateway writes into a page as it reads them.
const PAGES: [&str; 6] = [
    "FetchPartitionResponse",
    "FetchTopicResponse",
    "GetLastOfKeyResponse",
    "TailResponse",
    "LeaseResponse",
    "PollResponse",
];

/// Asks whose records are read straight into batches.
const RAW: [&str; 2] = ["ProduceRequest", "ProduceStreamRequest"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    write_console(Path::new("../web/dist"))?;
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

/// Writes `console.rs`: a slice of the path below `site` and the bytes of each of its files, ordered by
/// path. It is empty where nobody built the console.
fn write_console(dist: &Path) -> io::Result<()> {
    // The directory itself is always there: of one that is not, Cargo would think that it has changed.
    println!("cargo:rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    let site = dist.join("site");
    if site.is_dir() {
        list_files(&site.canonicalize()?, "", &mut files)?;
    }
    files.sort();
    let mut code = String::from("&[\n");
    for (name, path) in files {
        writeln!(code, "({name:?}, include_bytes!({path:?})),").map_err(io::Error::other)?;
    }
    code.push_str("]\n");
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("console.rs"), code)
}

/// Adds what is in a directory: each file's name, behind `prefix`, and where it is.
fn list_files(
    directory: &Path,
    prefix: &str,
    files: &mut Vec<(String, PathBuf)>,
) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list_files(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.push((name, entry.path()));
        }
    }
    Ok(())
}
