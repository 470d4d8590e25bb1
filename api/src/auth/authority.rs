//! What the service knows credentials by: keys that sign, issuers that are trusted, and who has
//! guessed too often.

use std::{
    cell::Cell,
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::HeaderValue;
use parking_lot::RwLock;

use super::{
    caller::{Caller, check_current, unauthenticated},
    guesses::{Guesses, place},
    jwks::{Jwks, peek_issuer},
    passwords::Passwords,
    secrets::ApiKey,
    signing::{
        ACCESS_AUDIENCE, ACCESS_TOKEN_LIFE, Claims, ISSUER, Session, SigningKey, TokenError,
    },
};
use crate::{
    limits::{KEY_REMEMBERED, KEY_USE_NOTED, WRONG_CREDENTIALS, WRONG_PASSWORDS},
    metadata::{Catalog, Key},
    problem::{Code, Problem},
};

/// Proves callers, and signs what they are proved by later.
pub struct Authority {
    signing_key: RwLock<Arc<SigningKey>>,
    /// Keys and issuers of external tokens.
    pub jwks: Jwks,
    /// Password hashing.
    pub passwords: Passwords,
    /// Wrong passwords, by address and by whose they were.
    pub wrong_passwords: Guesses<(IpAddr, String)>,
    /// Wrong keys, invitations and passwords for anybody, by address.
    pub wrong_credentials: Guesses<IpAddr>,
    /// Told of keys that are in use, about once in [`KEY_USE_NOTED`]; says whether it took note.
    note_use: Box<dyn Fn(UsedKey) -> bool + Send + Sync>,
}

/// When an API key was used.
#[derive(Debug)]
pub struct UsedKey {
    /// Its public id.
    pub id: String,
    /// Milliseconds since the epoch.
    pub at_ms: i64,
}

impl Authority {
    /// One with a new key of its own, that tells `note_use` of the API keys that come.
    pub fn new(jwks: Jwks, note_use: Box<dyn Fn(UsedKey) -> bool + Send + Sync>) -> Self {
        Self {
            signing_key: RwLock::new(Arc::new(SigningKey::generate())),
            jwks,
            passwords: Passwords::default(),
            wrong_passwords: Guesses::new(WRONG_PASSWORDS),
            wrong_credentials: Guesses::new(WRONG_CREDENTIALS),
            note_use,
        }
    }

    /// The key that signs now.
    pub fn signing_key(&self) -> Arc<SigningKey> {
        self.signing_key.read().clone()
    }

    /// Signs with another key from now on; every node must know its public half by then.
    pub fn sign_with(&self, key: Arc<SigningKey>) {
        *self.signing_key.write() = key;
    }

    /// An access token for a session, and how long it is good.
    pub fn access_token(&self, email: &str, session: &str, now_ms: i64) -> (String, Duration) {
        let content = Session {
            sid: session.to_owned(),
        };
        let claims = Claims::new(ACCESS_AUDIENCE, email, content, now_ms, ACCESS_TOKEN_LIFE);
        (self.signing_key().sign(&claims), ACCESS_TOKEN_LIFE)
    }

    /// Who sent this `Authorization` header from `peer`.
    ///
    /// # Errors
    /// 401 without a good credential; 429 after too many bad ones from there; 503 when nothing is
    /// known for too long, or an external issuer's keys cannot be had.
    pub async fn identify(
        &self,
        catalog: &Catalog,
        header: Option<&HeaderValue>,
        peer: IpAddr,
        now_ms: i64,
    ) -> Result<Caller, Problem> {
        let header = header
            .ok_or_else(|| unauthenticated("send `Authorization: Bearer <API key or token>`"))?;
        check_current(catalog)?;
        let credential = header
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, credential)| credential.trim());
        match credential {
            Some(text) => match ApiKey::parse(text) {
                Some(key) => self.with_key(catalog, &key, peer, now_ms),
                None => self.with_token(catalog, text, now_ms).await,
            },
            None => Err(unauthenticated(
                "the Authorization header must be `Bearer <API key or token>`",
            )),
        }
    }

    fn with_key(
        &self,
        catalog: &Catalog,
        key: &ApiKey<'_>,
        peer: IpAddr,
        now_ms: i64,
    ) -> Result<Caller, Problem> {
        let peer = place(peer);
        let may_try = || self.wrong_credentials.check(&peer, now_ms);
        let proved = Cell::new(false);
        let proves = |known: &Key| {
            proved.set(key.matches(&known.secret_sha256));
            proved.get()
        };
        let caller = Caller::with_key(catalog, key.id, proves, now_ms);
        if !proved.get() {
            may_try()?;
            self.wrong_credentials.wrong(&peer, now_ms);
            return caller;
        }
        if let Ok(Caller::Key(known)) = &caller {
            let used_ms = known.used_ms.load(Ordering::Relaxed);
            let since_ms = now_ms.saturating_sub(used_ms);
            if since_ms > KEY_REMEMBERED.as_millis() as i64 {
                // Whoever guessed so often from there does not learn that this guess is right.
                may_try()?;
            }
            if since_ms > KEY_USE_NOTED.as_millis() as i64 {
                known.used_ms.store(now_ms, Ordering::Relaxed);
                let id = known.id.clone();
                // A note that finds no room is made at another use.
                if !(self.note_use)(UsedKey { id, at_ms: now_ms }) {
                    known.used_ms.store(used_ms, Ordering::Relaxed);
                }
            }
        }
        caller
    }

    async fn with_token(
        &self,
        catalog: &Catalog,
        token: &str,
        now_ms: i64,
    ) -> Result<Caller, Problem> {
        let issuer = peek_issuer(token).ok_or_else(|| {
            unauthenticated("the Authorization header holds neither an API key nor a token")
        })?;
        if issuer == ISSUER {
            return Caller::with_access_token(catalog, token, now_ms);
        }
        let trusting = catalog.organizations_that_trust(&issuer);
        let audiences: Vec<String> = trusting
            .iter()
            .flat_map(|organization| organization.audiences(&issuer))
            .map(str::to_owned)
            .collect();
        if audiences.is_empty() {
            return Err(unauthenticated("the token's issuer is not trusted here"));
        }
        let verified = self.jwks.verify(token, &issuer, &audiences, now_ms).await;
        match verified {
            Ok(claims) => Ok(Caller::External(Arc::new(claims))),
            Err(TokenError::Invalid(why)) => Err(unauthenticated(why)),
            Err(TokenError::IssuerUnavailable(why)) => {
                tracing::warn!(issuer, why, "the keys of an external issuer cannot be had");
                Err(Problem::new(
                    Code::Unavailable,
                    "the keys of the token's issuer cannot be had now",
                ))
            }
        }
    }
}
