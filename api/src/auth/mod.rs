//! Who calls, and what they may do.

mod keys;
pub mod permissions;
mod scopes;
mod secrets;

pub use keys::{Access, authorize};
pub use permissions::{Operation, Permission, Role};
pub use scopes::Scope;
pub use secrets::{
    ApiKey, decode_hex, encode_hex, generate_api_key, hash_password, random_password, random_secret,
};
