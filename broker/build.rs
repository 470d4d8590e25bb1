//! Writes the code of the internal gRPC. The compiler of protobuf is a crate: nothing needs to be
//! installed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["headwater/internal/v1/broker.proto"], ["proto"])?;
    tonic_prost_build::configure()
        // Connections are our own: tonic's would need its whole transport.
        .build_transport(false)
        // Batches are slices of the message that brought them.
        .bytes(".")
        .compile_fds(files)?;
    Ok(())
}
