//! gRPC as a generated client sees it, and as bytes that no client would send.

mod arbitrary;
pub mod client;
mod deadlines;
mod fuzz;
mod malformed;
mod open;
mod permissions;
pub mod records;
mod stream;
mod tail;
mod topics;

#[allow(
    clippy::all,
    clippy::disallowed_methods,
    dead_code,
    reason = "generated"
)]
pub mod pb {
    include!(concat!(env!("OUT_DIR"), "/client/headwater.v1.rs"));

    pub mod health {
        include!(concat!(env!("OUT_DIR"), "/client/grpc.health.v1.rs"));
    }

    pub mod reflection {
        include!(concat!(env!("OUT_DIR"), "/client/grpc.reflection.v1.rs"));
    }
}
