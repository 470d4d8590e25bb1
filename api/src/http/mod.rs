//! The HTTP edge: connections, requests, and one file a verb.

mod body;
mod bulk;
mod call;
mod console;
mod errors;
mod fetch;
mod first_bytes;
mod groups;
mod grpc;
mod keys;
mod management;
mod observe;
mod ops;
mod params;
mod produce;
mod raw;
mod router;
mod serve;
mod service;
mod tail;
mod topics;
mod trim;

pub mod openapi;

pub use body::Object;
pub use grpc::pb;
pub use management::management_document;
pub use observe::Metrics;
pub use params::rfc3339;
pub use router::{App, internal_router, router};
pub use serve::Server;
