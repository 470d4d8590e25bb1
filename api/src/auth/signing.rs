//! Access tokens, and other small things that the service signs and later reads back.
//!
//! Every gateway makes a key pair when it starts and keeps it in memory. Only public keys are
//! published to the others, so no store holds anything that could sign.

use std::{fmt, time::Duration};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::secrets::encode_hex;

/// Who signs.
pub const ISSUER: &str = "headwater";
/// The audience of access tokens.
pub const ACCESS_AUDIENCE: &str = "headwater";
/// The audience of the state of a sign-in through a provider.
pub const OIDC_AUDIENCE: &str = "headwater-oidc";
/// How long an access token is good.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
/// A token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;
/// How far the clocks of two machines may be apart, in seconds.
pub const LEEWAY_S: i64 = 30;

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenError {
    /// It proves nothing, and will not later.
    Invalid(&'static str),
    /// The keys of its issuer cannot be had now, for a reason that is meant for the log and for who
    /// configured the issuer.
    IssuerUnavailable(String),
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => f.write_str(why),
            Self::IssuerUnavailable(why) => {
                write!(f, "the keys of the token's issuer cannot be had: {why}")
            }
        }
    }
}

impl std::error::Error for TokenError {}

/// What a token of this service says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims<T> {
    /// Always [`ISSUER`].
    pub iss: String,
    /// What kind of token it is; neither kind passes for another.
    pub aud: String,
    /// Whom it is about; not empty.
    pub sub: String,
    /// When it was signed, in seconds.
    pub iat: i64,
    /// When it ends, in seconds.
    pub exp: i64,
    /// What else this kind says; its fields stand beside those above and must not repeat them.
    #[serde(flatten)]
    pub content: T,
}

/// What an access token says beside its subject, which is the user's e-mail address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The session that it belongs to.
    pub sid: String,
}

/// What an access token says.
pub type AccessClaims = Claims<Session>;

impl<T> Claims<T> {
    /// Claims that are good from `now_ms` for `life`.
    pub fn new(audience: &str, subject: &str, content: T, now_ms: i64, life: Duration) -> Self {
        let iat = now_ms.div_euclid(1_000);
        Self {
            iss: ISSUER.to_owned(),
            aud: audience.to_owned(),
            sub: subject.to_owned(),
            iat,
            exp: iat.saturating_add_unsigned(life.as_secs()),
            content,
        }
    }
}

/// The public half of a [`SigningKey`], as it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    /// What tokens name it by: 16 hexadecimal digits.
    pub id: String,
    /// The Ed25519 key.
    pub public_key: [u8; 32],
    /// From then on nothing that it signed is accepted.
    pub expires_at_ms: i64,
}

/// A key that signs. It never leaves the process.
#[derive(Debug)]
pub struct SigningKey {
    id: String,
    public_key: [u8; 32],
    key: EncodingKey,
}

impl SigningKey {
    /// A new key of the system's randomness.
    pub fn generate() -> Self {
        let document =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("the system is random");
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("it was just made");
        let mut public_key = [0; 32];
        public_key.copy_from_slice(pair.public_key().as_ref());
        Self {
            id: encode_hex(&Sha256::digest(public_key)[..8]),
            public_key,
            key: EncodingKey::from_ed_der(document.as_ref()),
        }
    }

    /// What its tokens name it by: 16 hexadecimal digits, from the public key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What others verify with.
    pub fn public_key(&self) -> [u8; 32] {
        self.public_key
    }

    /// Signs; the audience is in the claims.
    pub fn sign<T: Serialize>(&self, claims: &Claims<T>) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, claims, &self.key)
            .expect("claims serialize, and a good key signs")
    }
}

/// Reads a token of this service for `audience`; `keys` finds a published key by its id.
///
/// # Errors
/// [`TokenError::Invalid`].
pub fn verify<T: DeserializeOwned>(
    token: &str,
    keys: impl Fn(&str) -> Option<VerifyingKey>,
    audience: &str,
    now_ms: i64,
) -> Result<Claims<T>, TokenError> {
    let (algorithm, kid) = read_header(token)?;
    if algorithm != Algorithm::EdDSA {
        return Err(TokenError::Invalid("tokens of this service use EdDSA"));
    }
    let key = kid
        .and_then(|kid| keys(&kid))
        .filter(|key| now_ms < key.expires_at_ms)
        .ok_or(TokenError::Invalid("the token's key is not known"))?;
    let key = DecodingKey::from_ed_der(&key.public_key);
    let claims = read_claims(token, &key, Algorithm::EdDSA, ISSUER, &[audience], now_ms)?;
    serde_json::from_value(Value::Object(claims))
        .map_err(|_| TokenError::Invalid("a claim of the token is missing"))
}

/// The published keys as a JWK set (RFC 7517, RFC 8037).
pub fn jwks<'a>(keys: impl IntoIterator<Item = &'a VerifyingKey>) -> Value {
    let keys: Vec<Value> = keys
        .into_iter()
        .map(|key| {
            json!({
                "kty": "OKP",
                "crv": "Ed25519",
                "use": "sig",
                "alg": "EdDSA",
                "kid": key.id,
                "x": base64_simd::URL_SAFE_NO_PAD.encode_to_string(key.public_key),
            })
        })
        .collect();
    json!({ "keys": keys })
}

/// The algorithm and the key's id that a token names; nothing is verified yet.
pub(super) fn read_header(token: &str) -> Result<(Algorithm, Option<String>), TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Invalid("the token is too long"));
    }
    let header = jsonwebtoken::decode_header(token)
        .map_err(|_| TokenError::Invalid("the token or its algorithm is not known here"))?;
    if header.crit.is_some() {
        return Err(TokenError::Invalid(
            "the token asks for an extension that is not known",
        ));
    }
    Ok((header.alg, header.kid))
}

/// The claims of a token that `key` signed with `algorithm`, that `issuer` issued for one of
/// `audiences`, that says a subject and that is good now.
pub(super) fn read_claims(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
    issuer: &str,
    audiences: &[impl ToString],
    now_ms: i64,
) -> Result<Map<String, Value>, TokenError> {
    let mut validation = Validation::new(algorithm);
    validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
    validation.set_issuer(&[issuer]);
    validation.set_audience(audiences);
    validation.validate_exp = false; // it would ask the system's clock
    let claims = jsonwebtoken::decode::<Map<String, Value>>(token, key, &validation)
        .map_err(|error| {
            TokenError::Invalid(match error.kind() {
                ErrorKind::InvalidSignature => "the token's signature is wrong",
                ErrorKind::InvalidAudience => "the token is for another audience",
                ErrorKind::InvalidIssuer => "the token is of another issuer",
                ErrorKind::MissingRequiredClaim(_) => "a claim of the token is missing",
                _ => "the token is not well-formed",
            })
        })?
        .claims;
    // The library would take a list that has the issuer among others.
    if claims.get("iss").and_then(Value::as_str) != Some(issuer) {
        return Err(TokenError::Invalid("the token is of another issuer"));
    }
    if claims
        .get("sub")
        .and_then(Value::as_str)
        .is_none_or(str::is_empty)
    {
        return Err(TokenError::Invalid("the token has no subject"));
    }
    let now = now_ms.div_euclid(1_000);
    let latest = now.saturating_add(LEEWAY_S);
    match seconds(&claims, "exp")? {
        Some(exp) if now < exp.saturating_add(LEEWAY_S) => {}
        _ => return Err(TokenError::Invalid("the token has expired")),
    }
    for name in ["nbf", "iat"] {
        if seconds(&claims, name)?.is_some_and(|at| at > latest) {
            return Err(TokenError::Invalid("the token is not good yet"));
        }
    }
    Ok(claims)
}

/// A NumericDate: whole seconds of a number that may have a fraction.
pub(super) fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, TokenError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    value
        .as_i64()
        .or_else(|| value.as_f64().map(|seconds| seconds as i64))
        .map(Some)
        .ok_or(TokenError::Invalid("a time in the token is not a number"))
}
