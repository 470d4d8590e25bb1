//! Who calls, and what they may do.

mod authority;
mod caller;
mod guesses;
pub mod jwks;
pub mod oidc;
pub mod outbound;
mod passwords;
pub mod permissions;
mod scopes;
mod secrets;
pub mod signing;
#[cfg(test)]
mod tests;

pub use authority::{Authority, UsedKey};
pub use caller::{Access, Caller};
pub use guesses::{Guesses, place};
pub use passwords::{check_new_password, hash_password};
pub use permissions::{Operation, Permission, Role};
pub use scopes::Scope;
pub use secrets::{
    ApiKey, decode_hex, encode_hex, generate_api_key, random_password, random_secret, sha256_hex,
    without_secrets,
};
