//! Who calls: API keys, their secrets and the cache of those that were verified; tokens of this
//! service and of external issuers; signing in through providers.

#[allow(dead_code, unused_imports, reason = "the calls that use it come next")]
pub mod jwks;
mod keys;
#[allow(dead_code, unused_imports, reason = "the calls that use it come next")]
pub mod oidc;
#[allow(dead_code, unused_imports, reason = "the calls that use it come next")]
pub mod outbound;
mod secrets;
#[allow(dead_code, unused_imports, reason = "the calls that use it come next")]
pub mod signing;
#[cfg(test)]
mod tests;

pub use keys::{Access, KeyCache};
pub use secrets::{
    ApiKey, decode_hex, encode_hex, generate_api_key, hash_password, random_password, random_secret,
};
