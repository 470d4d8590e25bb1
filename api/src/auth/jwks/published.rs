//! What an issuer publishes: its discovery document and its keys.

use std::sync::Arc;

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

use crate::auth::outbound::{Outbound, Reach};

/// Keys of one issuer; more are not read.
pub const KEYS_MAX: usize = 100;

const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// What is read of an OpenID Connect discovery document.
#[derive(Debug, Deserialize)]
pub struct Discovery {
    pub(in crate::auth) issuer: String,
    jwks_uri: String,
    pub(in crate::auth) authorization_endpoint: Option<String>,
    pub(in crate::auth) token_endpoint: Option<String>,
    pub(in crate::auth) userinfo_endpoint: Option<String>,
    pub(in crate::auth) token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct KeyDocument {
    keys: Vec<Value>,
}

/// A key and the one algorithm that it is for.
pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// What an issuer published.
pub(super) struct Published {
    pub(super) discovery: Arc<Discovery>,
    keys: Vec<Key>,
}

impl Published {
    /// The keys that a token may mean: those of its `kid`; without one, or if the only key has none,
    /// the only key.
    pub(super) fn candidates<'a>(&'a self, kid: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        let only = self.keys.len() == 1;
        self.keys.iter().filter(move |key| match (kid, &key.id) {
            (Some(kid), Some(id)) => kid == id,
            _ => only,
        })
    }
}

/// Checks an issuer when it is configured.
///
/// # Errors
/// What is wrong with it, for people.
pub fn check_issuer(reach: Reach, issuer_url: &str) -> Result<(), String> {
    let url = reach.check_url(issuer_url)?;
    match url.query() {
        Some(_) => Err("an issuer's URL has no query".to_owned()),
        None => Ok(()),
    }
}

/// Fetches both documents of an issuer.
///
/// # Errors
/// What is wrong with which of them.
pub(super) async fn fetch(outbound: &Outbound, issuer_url: &str) -> Result<Published, String> {
    check_issuer(outbound.reach(), issuer_url)?;
    let base = issuer_url.strip_suffix('/').unwrap_or(issuer_url);
    let discovery: Discovery = outbound
        .get_json(&format!("{base}/.well-known/openid-configuration"), None)
        .await
        .map_err(|error| format!("discovery: {error}"))?;
    if discovery.issuer != issuer_url {
        return Err("discovery: it names another issuer".to_owned());
    }
    let document: KeyDocument = outbound
        .get_json(&discovery.jwks_uri, None)
        .await
        .map_err(|error| format!("keys: {error}"))?;
    let keys: Vec<Key> = document
        .keys
        .into_iter()
        .filter_map(read_key)
        .take(KEYS_MAX)
        .collect();
    if keys.is_empty() {
        return Err("keys: none that signatures can be verified with".to_owned());
    }
    Ok(Published {
        discovery: Arc::new(discovery),
        keys,
    })
}

/// A key that signatures can be verified with. Its algorithm is fixed here, from the key alone, so
/// that a token cannot choose one.
fn read_key(jwk: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(jwk).ok()?;
    let purpose = &jwk.common.public_key_use;
    if !matches!(purpose, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let operations = jwk.common.key_operations.as_ref();
    if operations.is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
        return None;
    }
    let possible = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) if (2_048..=8_192).contains(&bits(&rsa.n)?) => RSA,
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            &[Algorithm::EdDSA]
        }
        _ => return None,
    };
    let algorithm = match jwk.common.key_algorithm {
        Some(algorithm) => {
            let algorithm: Algorithm = algorithm.to_string().parse().ok()?;
            *possible.iter().find(|possible| **possible == algorithm)?
        }
        None => *possible.first()?,
    };
    Some(Key {
        key: DecodingKey::from_jwk(&jwk).ok()?,
        algorithm,
        id: jwk.common.key_id,
    })
}

/// The bits of a big-endian number in base64url.
fn bits(number: &str) -> Option<usize> {
    let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(number).ok()?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let first = bytes.get(zeros)?;
    Some((bytes.len() - zeros) * 8 - first.leading_zeros() as usize)
}
