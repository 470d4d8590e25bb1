use std::time::Duration;

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::{NOW, NOW_MS, TestKey, base64url, token};
use crate::auth::signing::{
    ACCESS_AUDIENCE, ACCESS_TOKEN_LIFE, AccessClaims, Claims, LEEWAY_S, OIDC_AUDIENCE, Session,
    SigningKey, TOKEN_BYTES_MAX, TokenError, VerifyingKey, jwks, verify,
};

fn published(key: &SigningKey) -> VerifyingKey {
    VerifyingKey {
        id: key.id().to_owned(),
        public_key: key.public_key(),
        expires_at_ms: NOW_MS + 3_600_000,
    }
}

fn claims() -> AccessClaims {
    let session = Session {
        sid: "session".to_owned(),
    };
    Claims::new(
        ACCESS_AUDIENCE,
        "somebody@example.com",
        session,
        NOW_MS,
        ACCESS_TOKEN_LIFE,
    )
}

/// Reads an access token with one published key.
fn read(token: &str, key: &VerifyingKey, now_ms: i64) -> Result<AccessClaims, TokenError> {
    let keys = |id: &str| (id == key.id).then(|| key.clone());
    verify(token, keys, ACCESS_AUDIENCE, now_ms)
}

/// A key whose private half a test has, to sign what no `SigningKey` would.
fn forger() -> (TestKey, VerifyingKey) {
    let pair = TestKey::ed("0123456789abcdef");
    let x = pair.jwk["x"].as_str().unwrap();
    let public = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(x).unwrap();
    let key = VerifyingKey {
        id: "0123456789abcdef".to_owned(),
        public_key: public.try_into().unwrap(),
        expires_at_ms: i64::MAX,
    };
    (pair, key)
}

#[test]
fn what_is_signed_is_read_back() {
    let key = SigningKey::generate();
    let token = key.sign(&claims());
    assert_eq!(read(&token, &published(&key), NOW_MS).unwrap(), claims());
    assert_eq!(claims().iat, NOW);
    assert_eq!(claims().exp, NOW + 900);
    assert_eq!(key.id().len(), 16);
    assert_ne!(key.id(), SigningKey::generate().id());
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!(header.kid.as_deref(), Some(key.id()));
    assert_eq!(header.typ.as_deref(), Some("JWT"));
    assert!(!format!("{key:?}").contains("content: ["), "{key:?}");
}

#[test]
fn no_kind_passes_for_another() {
    let key = SigningKey::generate();
    let state = json!({ "sid": "chosen" });
    let life = Duration::from_secs(600);
    let token = key.sign(&Claims::new(OIDC_AUDIENCE, "sign-in", state, NOW_MS, life));
    assert!(read(&token, &published(&key), NOW_MS).is_err());
    let keys = |_: &str| Some(published(&key));
    assert!(verify::<Value>(&token, keys, OIDC_AUDIENCE, NOW_MS).is_ok());
    let access = key.sign(&claims());
    assert!(verify::<Value>(&access, keys, OIDC_AUDIENCE, NOW_MS).is_err());
}

#[test]
fn times_are_those_of_the_caller() {
    let key = SigningKey::generate();
    let token = key.sign(&claims());
    let last_ms = NOW_MS + (900 + LEEWAY_S) * 1_000;
    assert!(read(&token, &published(&key), last_ms - 1).is_ok());
    assert_eq!(
        read(&token, &published(&key), last_ms),
        Err(TokenError::Invalid("the token has expired"))
    );
    let first_ms = NOW_MS - LEEWAY_S * 1_000;
    assert!(read(&token, &published(&key), first_ms).is_ok());
    assert!(read(&token, &published(&key), first_ms - 1).is_err());
    let mut expired = published(&key);
    expired.expires_at_ms = NOW_MS;
    assert!(read(&token, &expired, NOW_MS - 1).is_ok());
    assert!(read(&token, &expired, NOW_MS).is_err());
}

#[test]
fn forged_headers_are_refused() {
    let (pair, key) = forger();
    let good = serde_json::to_value(claims()).unwrap();
    let header = json!({ "alg": "EdDSA", "kid": key.id, "typ": "JWT" });
    assert!(read(&token(&header, &good, &pair.sign), &key, NOW_MS).is_ok());

    let bad_headers = [
        json!({ "alg": "none", "kid": key.id }),
        json!({ "alg": "None", "kid": key.id }),
        json!({ "alg": "RS256", "kid": key.id }),
        json!({ "alg": "EdDSA" }),
        json!({ "alg": "EdDSA", "kid": "fedcba9876543210" }),
        json!({ "alg": "EdDSA", "kid": key.id, "crit": ["exp"] }),
        json!({ "alg": "EdDSA", "kid": key.id, "crit": [] }),
        json!({ "kid": key.id }),
        json!("EdDSA"),
    ];
    for header in bad_headers {
        let signed = token(&header, &good, &pair.sign);
        assert!(read(&signed, &key, NOW_MS).is_err(), "{header}");
        let unsigned = token(&header, &good, |_| Vec::new());
        assert!(read(&unsigned, &key, NOW_MS).is_err(), "{header}");
    }
    // The public key as the secret of an HMAC.
    let header = json!({ "alg": "HS256", "kid": key.id });
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &key.public_key);
    let forged = token(&header, &good, |m| hmac::sign(&secret, m).as_ref().to_vec());
    assert!(read(&forged, &key, NOW_MS).is_err());
}

#[test]
fn forged_claims_are_refused() {
    let (pair, key) = forger();
    let with = |name: &str, value: Value| {
        let mut claims = serde_json::to_value(claims()).unwrap();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value;
        }
        read(&pair.token(&claims), &key, NOW_MS)
    };
    assert!(with("extra", json!(1)).is_ok());
    assert!(with("nbf", json!(NOW + LEEWAY_S)).is_ok());
    for name in ["iss", "aud", "sub", "sid", "iat", "exp"] {
        assert!(with(name, Value::Null).is_err(), "{name}");
        assert!(with(name, json!({})).is_err(), "{name}");
    }
    for name in ["iss", "aud", "iat", "exp"] {
        assert!(with(name, json!("another")).is_err(), "{name}");
    }
    assert!(with("iss", json!(["headwater", "other"])).is_err());
    assert!(with("sub", json!("")).is_err());
    assert!(with("exp", json!(NOW - LEEWAY_S)).is_err());
    assert!(with("exp", json!(-1)).is_err());
    assert!(with("exp", json!((NOW + 5).to_string())).is_err());
    assert!(with("iat", json!(NOW + LEEWAY_S + 1)).is_err());
    assert!(with("nbf", json!(NOW + LEEWAY_S + 1)).is_err());
    assert!(with("nbf", json!("soon")).is_err());
}

#[test]
fn tampered_and_malformed_tokens_are_refused() {
    let key = SigningKey::generate();
    let good = key.sign(&claims());
    let key = published(&key);
    let parts: Vec<&str> = good.split('.').collect();
    let mut other = claims();
    other.sub = "root@example.com".to_owned();
    let payload = base64url(serde_json::to_string(&other).unwrap());
    let tampered = [
        format!("{}.{payload}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}."),
        format!("{good}="),
        format!(" {good}"),
        format!("{}.{}.{}", parts[0], parts[1], SigningKey::generate().id()),
        String::new(),
        "..".to_owned(),
        "hw_0123456789abcdef_0".to_owned(),
    ];
    for token in tampered {
        assert!(read(&token, &key, NOW_MS).is_err(), "{token}");
    }
    let foreign = SigningKey::generate().sign(&claims());
    assert!(read(&foreign, &key, NOW_MS).is_err());
    // A signature of the right key, but the claim is there twice.
    let (pair, key) = forger();
    let header = base64url(json!({ "alg": "EdDSA", "kid": key.id }).to_string());
    let text = serde_json::to_string(&claims()).unwrap();
    let payload = base64url(text.replacen('{', r#"{"sub":"root@example.com","#, 1));
    let message = format!("{header}.{payload}");
    let signature = base64url((pair.sign)(message.as_bytes()));
    assert!(read(&format!("{message}.{signature}"), &key, NOW_MS).is_err());
}

#[test]
fn long_tokens_are_not_read() {
    let key = SigningKey::generate();
    let mut claims = claims();
    claims.content.sid = "x".repeat(TOKEN_BYTES_MAX * 3 / 4);
    assert_eq!(
        read(&key.sign(&claims), &published(&key), NOW_MS),
        Err(TokenError::Invalid("the token is too long"))
    );
    claims.content.sid.truncate(TOKEN_BYTES_MAX / 2);
    assert!(read(&key.sign(&claims), &published(&key), NOW_MS).is_ok());
}

#[test]
fn the_published_keys_are_a_jwk_set() {
    let key = SigningKey::generate();
    let set = jwks(&[published(&key)]);
    let jwk = &set["keys"][0];
    assert_eq!(jwk["kty"], "OKP");
    assert_eq!(jwk["kid"], key.id());
    assert_eq!(jwk["x"], base64url(key.public_key()));
    assert_eq!(jwk.as_object().unwrap().len(), 6);
    let library: jsonwebtoken::jwk::JwkSet = serde_json::from_value(set).unwrap();
    assert_eq!(library.keys.len(), 1);
}
