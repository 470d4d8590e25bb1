//! Secrets: made of the system's randomness, stored as hashes, compared in constant time.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const PREFIX: &str = "hw_";
const ID_DIGITS: usize = 16;
const SECRET_DIGITS: usize = 64;

/// An API key as a client sends it: `hw_`, 16 hexadecimal digits of public id, `_`, 64 of secret.
pub struct ApiKey<'a> {
    /// May be shown and logged.
    pub id: &'a str,
    secret: &'a str,
}

impl<'a> ApiKey<'a> {
    /// Reads a key; `None` if it is not one.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let good = id.len() == ID_DIGITS && secret.len() == SECRET_DIGITS && hex(id) && hex(secret);
        good.then_some(Self { id, secret })
    }

    /// What is stored of the secret. A plain hash: there is nothing to guess in 256 random bits.
    pub fn secret_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.secret.as_bytes()).into()
    }

    /// Whether the secret is the one that was hashed to `expected`, in constant time.
    pub fn matches(&self, expected: &[u8; 32]) -> bool {
        self.secret_sha256().ct_eq(expected).into()
    }
}

/// The text of a new API key, which its owner gets once.
pub fn generate_api_key() -> String {
    let id: [u8; ID_DIGITS / 2] = rand::random();
    format!(
        "{PREFIX}{}_{}",
        encode_hex(&id),
        encode_hex(&random_secret())
    )
}

/// What is stored of a secret with 256 random bits: a plain hash, as 64 hexadecimal digits.
pub fn sha256_hex(secret: &str) -> String {
    encode_hex(&Sha256::digest(secret.as_bytes()))
}

/// A path without what may be a credential in the wrong place, for logs: only its kind is left.
pub fn without_secrets(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        let kinds = ["hw_", "hwi_", "hwr_", "eyJ"];
        let kind = kinds.into_iter().find(|kind| segment.starts_with(kind));
        kind.unwrap_or(segment)
    });
    segments.collect::<Vec<_>>().join("/")
}

/// 256 random bits.
pub fn random_secret() -> [u8; 32] {
    rand::random()
}

/// A password that people can copy: 24 characters, about 120 bits.
pub fn random_password() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let bytes: [u8; 24] = rand::random();
    bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect()
}

/// Lower-case hexadecimal.
pub fn encode_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
            text
        })
}

/// Reads exactly `into.len()` bytes of hexadecimal.
pub fn decode_hex(text: &str, into: &mut [u8]) -> Option<()> {
    if text.len() != into.len() * 2 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in into.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(())
}
