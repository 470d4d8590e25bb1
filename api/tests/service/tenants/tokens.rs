//! Tokens of our own making: an issuer that tests run, and forgeries of the service's tokens.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use axum::{Json, Router, routing::get};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// base64url without padding, as tokens are written.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// The JSON of a token's part: 0 is the header, 1 the claims.
pub fn part(token: &str, n: usize) -> Value {
    let part = token.split('.').nth(n).expect("a part");
    let bytes = base64_simd::URL_SAFE_NO_PAD
        .decode_to_vec(part)
        .expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// A token with this header and claims, signed by whatever `sign` does.
pub fn token(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!(
        "{}.{}",
        encode(header.to_string()),
        encode(claims.to_string())
    );
    let signature = encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// An HMAC, as HS256 signs.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is good");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// A key that nobody knows of.
pub fn some_key() -> Ed25519KeyPair {
    Ed25519KeyPair::generate().expect("a key")
}

/// An issuer on loopback that publishes one key. It ends with the test's runtime.
pub struct Issuer {
    pub url: String,
    key: Ed25519KeyPair,
}

impl Issuer {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let key = some_key();
        let keys = json!({"keys": [{
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "test",
            "x": encode(key.public_key().as_ref()),
        }]});
        let discovery = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
        let routes = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(async move || Json(discovery)),
            )
            .route("/keys", get(async move || Json(keys)));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, key }
    }

    /// Claims that are good for five minutes, of somebody in team data.
    pub fn claims(&self) -> Value {
        let now = jiff::Timestamp::now().as_second();
        json!({
            "iss": self.url, "aud": "headwater", "sub": "somebody", "team": "data",
            "iat": now, "exp": now + 300,
        })
    }

    /// Signs claims as the issuer does.
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "EdDSA", "kid": "test", "typ": "JWT"});
        token(&header, claims, |message| {
            self.key.sign(message).as_ref().to_vec()
        })
    }

    /// The public half, which a forger may try as a secret.
    pub fn public_key(&self) -> Vec<u8> {
        self.key.public_key().as_ref().to_vec()
    }
}
