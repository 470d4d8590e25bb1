//! Tokens of external issuers: their discovery documents and keys, fetched, cached and bounded.
//!
//! A token never causes a fetch of anything but its configured issuer's two documents, and those at
//! most once in [`RETRY_MS`], whatever tokens come.

mod published;

use std::{collections::HashMap, sync::Arc};

use parking_lot::{Mutex, RwLock};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    outbound::Outbound,
    signing::{TOKEN_BYTES_MAX, TokenError, read_claims, read_header, seconds},
};
use published::{Published, fetch};

pub use published::{Discovery, check_issuer};

/// Issuers in the cache; beyond it the one that was not used for the longest time goes.
pub const ISSUERS_MAX: usize = 1_000;
/// How long an issuer's documents are good without asking again.
pub const FRESH_MS: i64 = 10 * 60 * 1_000;
/// How long they are good while the issuer does not answer.
pub const KEPT_MS: i64 = 24 * 60 * 60 * 1_000;
/// The least time between two fetches from one issuer, failed ones included.
pub const RETRY_MS: i64 = 30 * 1_000;

/// What a verified token of an external issuer says.
#[derive(Debug, Clone, PartialEq)]
pub struct ExternalClaims {
    /// The issuer, exactly as configured.
    pub issuer: String,
    /// Whom it is about, within the issuer; not empty.
    pub subject: String,
    /// All claims, those above included.
    pub claims: Map<String, Value>,
    /// When the token ends.
    pub expires_at_ms: i64,
}

#[derive(Clone, Default)]
struct State {
    published: Option<Arc<Published>>,
    fetched_ms: i64,
    tried_ms: Option<i64>,
    /// Why the last try failed, if it did.
    error: Option<String>,
}

impl State {
    fn kept(&self, now_ms: i64, age_ms: i64) -> Option<&Arc<Published>> {
        // A clock that was set back makes documents old rather than good for long.
        let young = (now_ms - self.fetched_ms).abs() < age_ms;
        self.published.as_ref().filter(|_| young)
    }

    fn may_try(&self, now_ms: i64) -> bool {
        self.tried_ms
            .is_none_or(|tried_ms| (now_ms - tried_ms).abs() >= RETRY_MS)
    }
}

struct Issuer {
    url: String,
    state: RwLock<State>,
    /// Held by the one flight to the issuer.
    flight: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Issuers {
    /// With the turn of the last use.
    known: HashMap<String, (u64, Arc<Issuer>)>,
    turn: u64,
}

/// Keys of external issuers. Clones share the cache.
#[derive(Clone)]
pub struct Jwks {
    outbound: Outbound,
    issuers: Arc<Mutex<Issuers>>,
}

impl Jwks {
    /// An empty cache that is filled through `outbound`.
    pub fn new(outbound: Outbound) -> Self {
        Self {
            outbound,
            issuers: Arc::default(),
        }
    }

    /// What documents are fetched through.
    pub(super) fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    /// Verifies a token of `issuer_url`, which must be configured for the caller's purpose: nothing
    /// here decides which issuers are trusted. `audiences` are those that are accepted.
    ///
    /// # Errors
    /// [`TokenError::Invalid`], or [`TokenError::IssuerUnavailable`] if the token's key is neither
    /// cached nor can be had.
    pub async fn verify(
        &self,
        token: &str,
        issuer_url: &str,
        audiences: &[String],
        now_ms: i64,
    ) -> Result<ExternalClaims, TokenError> {
        let (algorithm, kid) = read_header(token)?;
        if peek_issuer(token).as_deref() != Some(issuer_url) {
            return Err(TokenError::Invalid("the token is of another issuer"));
        }
        let kid = kid.as_deref();
        let published = self
            .published(issuer_url, now_ms, |published| {
                // Without a key id, another fetch would not tell more.
                kid.is_none() || published.candidates(kid).next().is_some()
            })
            .await?;
        let key = published
            .candidates(kid)
            .find(|key| key.algorithm == algorithm)
            .ok_or(TokenError::Invalid(
                "the issuer has no key of that id and algorithm",
            ))?;
        let claims = read_claims(
            token,
            &key.key,
            key.algorithm,
            issuer_url,
            audiences,
            now_ms,
        )?;
        let subject = claims
            .get("sub")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Ok(ExternalClaims {
            issuer: issuer_url.to_owned(),
            subject: subject.to_owned(),
            expires_at_ms: seconds(&claims, "exp")?.unwrap_or(0).saturating_mul(1_000),
            claims,
        })
    }

    /// The issuer's discovery document, of this or an earlier fetch.
    ///
    /// # Errors
    /// [`TokenError::IssuerUnavailable`].
    pub async fn discovery(
        &self,
        issuer_url: &str,
        now_ms: i64,
    ) -> Result<Arc<Discovery>, TokenError> {
        let published = self.published(issuer_url, now_ms, |_| true).await?;
        Ok(published.discovery.clone())
    }

    /// What the issuer published, with what `wanted` looks for.
    async fn published(
        &self,
        issuer_url: &str,
        now_ms: i64,
        wanted: impl Fn(&Published) -> bool,
    ) -> Result<Arc<Published>, TokenError> {
        let issuer = self.issuer(issuer_url);
        let good = |state: &State, age_ms| {
            let kept = state.kept(now_ms, age_ms);
            kept.filter(|published| wanted(published)).cloned()
        };
        let state = issuer.state.read().clone();
        if let Some(published) = good(&state, FRESH_MS) {
            return Ok(published);
        }
        // While the issuer is down, one try after the other, what is kept is used without waiting.
        let down = state.error.is_some()
            && (state.tried_ms).is_some_and(|tried_ms| (now_ms - tried_ms).abs() < FRESH_MS);
        if let Some(published) = good(&state, KEPT_MS).filter(|_| down) {
            if let Ok(flight) = issuer.flight.clone().try_lock_owned() {
                drop(self.refresh(&issuer, flight, now_ms));
            }
            return Ok(published);
        }
        let flight = issuer.flight.clone().lock_owned().await;
        if let Some(task) = self.refresh(&issuer, flight, now_ms) {
            let _ = task.await; // its outcome is in the state
        }
        let state = issuer.state.read().clone();
        if let Some(published) = good(&state, KEPT_MS) {
            return Ok(published);
        }
        Err(match state.error {
            None if state.published.is_some() => {
                TokenError::Invalid("the issuer has no key of that id and algorithm")
            }
            error => TokenError::IssuerUnavailable(error.unwrap_or_default()),
        })
    }

    /// Fetches, unless it is too early. By a task of its own: a caller that goes away must not cost
    /// others the fetch, as no other comes for a while.
    fn refresh(
        &self,
        issuer: &Arc<Issuer>,
        flight: tokio::sync::OwnedMutexGuard<()>,
        now_ms: i64,
    ) -> Option<tokio::task::JoinHandle<()>> {
        {
            let mut state = issuer.state.write();
            if !state.may_try(now_ms) {
                return None;
            }
            state.tried_ms = Some(now_ms);
        }
        let (outbound, issuer) = (self.outbound.clone(), issuer.clone());
        Some(tokio::spawn(async move {
            let fetched = fetch(&outbound, &issuer.url).await;
            let mut state = issuer.state.write();
            match fetched {
                Ok(published) => {
                    state.published = Some(Arc::new(published));
                    state.fetched_ms = now_ms;
                    state.error = None;
                }
                Err(error) => {
                    tracing::warn!(issuer = issuer.url, %error, "no keys from an issuer");
                    state.error = Some(error);
                }
            }
            drop((state, flight));
        }))
    }

    fn issuer(&self, url: &str) -> Arc<Issuer> {
        let mut issuers = self.issuers.lock();
        issuers.turn += 1;
        let turn = issuers.turn;
        if let Some((used, issuer)) = issuers.known.get_mut(url) {
            *used = turn;
            return issuer.clone();
        }
        if issuers.known.len() >= ISSUERS_MAX {
            let oldest = issuers.known.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(url, _)| url.clone()) {
                issuers.known.remove(&oldest);
            }
        }
        let issuer = Arc::new(Issuer {
            url: url.to_owned(),
            state: RwLock::default(),
            flight: Arc::default(),
        });
        issuers.known.insert(url.to_owned(), (turn, issuer.clone()));
        issuer
    }
}

/// Who issued a token, by its own word alone: good for finding the issuer to verify it with.
pub fn peek_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Issued {
        iss: String,
    }
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let claims = jsonwebtoken::dangerous::insecure_decode_claims::<Issued>(token).ok()?;
    Some(claims.iss)
}

/// Whether the top-level claim `name` is `value`, or a list with it. Strings, booleans and numbers
/// are compared as text; nothing equals an object or null.
pub fn claim_matches(claims: &Map<String, Value>, name: &str, value: &str) -> bool {
    fn equals(claim: &Value, value: &str) -> bool {
        match claim {
            Value::String(text) => text == value,
            Value::Bool(flag) => value == if *flag { "true" } else { "false" },
            Value::Number(number) => number.to_string() == value,
            _ => false,
        }
    }
    match claims.get(name) {
        Some(Value::Array(list)) => list.iter().any(|claim| equals(claim, value)),
        Some(claim) => equals(claim, value),
        None => false,
    }
}
