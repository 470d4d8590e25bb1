//! Who calls, and what they may do.

#[allow(dead_code, unused_imports, reason = "the calls that use it come next")]
pub mod jwks;
mod keys;
#[allow(dead_code, unused_imports, reason = "the calls that use it come next")]
pub mod oidc;
#[allow(dead_code, unused_imports, reason = "the calls that use it come next")]
pub mod outbound;
pub mod permissions;
mod scopes;
mod secrets;
#[allow(dead_code, unused_imports, reason = "the calls that use it come next")]
pub mod signing;
#[cfg(test)]
mod tests;

pub use keys::{Access, authorize};
pub use permissions::{Operation, Permission, Role};
pub use scopes::Scope;
pub use secrets::{
    ApiKey, decode_hex, encode_hex, generate_api_key, hash_password, random_password, random_secret,
};
