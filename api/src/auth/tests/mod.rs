//! Tokens, keys and a small real HTTP server that plays issuer and provider.

mod jwks;
mod oidc;
mod outbound;
mod signing;

use std::{collections::HashMap, sync::Arc};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
    },
};
use axum::{
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, StatusCode, Uri};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// A moment in 2033, far from the system's clock.
const NOW_MS: i64 = 2_000_000_000_000;
const NOW: i64 = NOW_MS / 1_000;

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// A token of any header and claims; `sign` makes the signature of the first two parts.
fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!(
        "{}.{}",
        base64url(header.to_string()),
        base64url(claims.to_string())
    );
    let signature = base64url(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// A key of an issuer.
struct TestKey {
    jwk: Value,
    sign: Sign,
}

impl TestKey {
    fn rsa(kid: &str, alg: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        let encoding: &'static dyn RsaEncoding = match alg {
            "RS512" => &RSA_PKCS1_SHA512,
            "PS256" => &RSA_PSS_SHA256,
            _ => &RSA_PKCS1_SHA256,
        };
        Self {
            jwk: json!({
                "kty": "RSA", "kid": kid, "alg": alg, "use": "sig",
                "n": base64url(public.n), "e": base64url(public.e),
            }),
            sign: Box::new(move |message| {
                let mut signature = vec![0; pair.public_modulus_len()];
                let random = SystemRandom::new();
                pair.sign(encoding, &random, message, &mut signature)
                    .unwrap();
                signature
            }),
        }
    }

    fn ec(kid: &str, alg: &str) -> Self {
        let (algorithm, curve): (&'static EcdsaSigningAlgorithm, _) = match alg {
            "ES384" => (&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            _ => (&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
        };
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        let point = pair.public_key().as_ref()[1..].to_vec();
        let (x, y) = point.split_at(point.len() / 2);
        Self {
            jwk: json!({
                "kty": "EC", "kid": kid, "alg": alg, "use": "sig", "crv": curve,
                "x": base64url(x), "y": base64url(y),
            }),
            sign: Box::new(move |message| {
                let signature = pair.sign(&SystemRandom::new(), message).unwrap();
                signature.as_ref().to_vec()
            }),
        }
    }

    fn ed(kid: &str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        Self {
            jwk: json!({
                "kty": "OKP", "kid": kid, "alg": "EdDSA", "crv": "Ed25519",
                "x": base64url(pair.public_key().as_ref()),
            }),
            sign: Box::new(move |message| pair.sign(message).as_ref().to_vec()),
        }
    }

    fn alg(&self) -> &Value {
        &self.jwk["alg"]
    }

    /// A token as an issuer with this key makes it.
    fn token(&self, claims: &Value) -> String {
        let header = json!({ "alg": self.alg(), "kid": self.jwk["kid"], "typ": "JWT" });
        token(&header, claims, &self.sign)
    }
}

/// What the server was asked.
#[derive(Clone)]
struct Asked {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: String,
}

#[derive(Default)]
struct Script {
    answers: HashMap<String, (StatusCode, String)>,
    asked: Vec<Asked>,
}

/// A server with an answer for each path, which can be changed while it runs.
struct Server {
    url: String,
    script: Arc<Mutex<Script>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script::default()));
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(script.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, script, task }
    }

    /// One that publishes `keys` as an issuer.
    async fn issuer(keys: &[&TestKey]) -> Self {
        let server = Self::start().await;
        server.json(
            "/.well-known/openid-configuration",
            &json!({
                "issuer": server.url,
                "jwks_uri": format!("{}/keys", server.url),
                "authorization_endpoint": format!("{}/authorize", server.url),
                "token_endpoint": format!("{}/token", server.url),
                "userinfo_endpoint": format!("{}/userinfo", server.url),
            }),
        );
        server.publish(keys);
        server
    }

    fn answer(&self, path: &str, status: u16, body: impl Into<String>) {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = (status, body.into());
        self.script.lock().answers.insert(path.to_owned(), answer);
    }

    fn json(&self, path: &str, body: &Value) {
        self.answer(path, 200, body.to_string());
    }

    fn publish(&self, keys: &[&TestKey]) {
        let keys: Vec<&Value> = keys.iter().map(|key| &key.jwk).collect();
        self.json("/keys", &json!({ "keys": keys }));
    }

    fn asked(&self, path: &str) -> Vec<Asked> {
        let script = self.script.lock();
        let found = script.asked.iter().filter(|asked| asked.path == path);
        found.cloned().collect()
    }

    fn claims(&self) -> Value {
        json!({
            "iss": self.url, "aud": "headwater", "sub": "somebody",
            "iat": NOW, "exp": NOW + 300,
        })
    }
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut script = script.lock();
    let path = uri.path().to_owned();
    script.asked.push(Asked {
        method,
        path: path.clone(),
        headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let (status, body) = script
        .answers
        .get(&path)
        .cloned()
        .unwrap_or((StatusCode::NOT_FOUND, String::new()));
    if status.is_redirection() {
        return (status, [(http::header::LOCATION, body)]).into_response();
    }
    let json = [(http::header::CONTENT_TYPE, "application/json")];
    (status, json, body).into_response()
}
