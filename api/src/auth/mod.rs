//! Who calls: API keys, their secrets and the cache of those that were verified.

mod keys;
mod secrets;

pub use keys::{Access, KeyCache};
pub use secrets::{
    ApiKey, decode_hex, encode_hex, generate_api_key, hash_password, random_password, random_secret,
};
