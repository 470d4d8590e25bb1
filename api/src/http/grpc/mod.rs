//! gRPC on the same port: `headwater.v1`, with health and reflection.
//!
//! A method asks the same row of the table of permissions and calls the same functions as its twin in
//! REST. [`frames`] reads messages out of the request's body, within the budget for bytes in flight;
//! tonic has the protocol between them and the methods.

mod call;
mod codec;
mod edge;
mod frames;
mod groups;
mod health;
mod methods;
mod page;
mod produce;
mod read;
mod records;
mod redrive;
mod reflection;
mod status;
mod stream;
mod topics;
mod wire;

pub use edge::Grpc;

/// What build.rs makes of `proto/`: messages.
#[allow(missing_docs, dead_code, clippy::all, reason = "generated")]
pub mod pb {
    /// The API.
    pub mod headwater {
        /// Its first version.
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/messages/headwater.v1.rs"));
        }
    }

    /// Standard services.
    pub mod grpc {
        /// Whether the service can serve.
        pub mod health {
            /// Its first version.
            pub mod v1 {
                include!(concat!(env!("OUT_DIR"), "/messages/grpc.health.v1.rs"));
            }
        }

        /// What the service has.
        pub mod reflection {
            /// Its first version.
            pub mod v1 {
                include!(concat!(env!("OUT_DIR"), "/messages/grpc.reflection.v1.rs"));
            }
        }
    }
}

/// What build.rs makes of `proto/`: the services.
#[allow(missing_docs, dead_code, clippy::all, reason = "generated")]
mod services {
    pub mod headwater {
        include!(concat!(env!("OUT_DIR"), "/services/headwater.v1.rs"));
    }
    pub mod health {
        include!(concat!(env!("OUT_DIR"), "/services/grpc.health.v1.rs"));
    }
    pub mod reflection {
        include!(concat!(env!("OUT_DIR"), "/services/grpc.reflection.v1.rs"));
    }
}
