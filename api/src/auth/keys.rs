//! From an `Authorization` header to what it opens.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use http::HeaderValue;
use parking_lot::RwLock;

use super::secrets::{ApiKey, decode_hex};
use crate::{
    limits::KEY_CACHE,
    metadata::{Catalog, Project, Store},
    problem::{Code, Problem},
};

/// Keys in the cache at most; beyond it the cache starts anew.
const CACHED_KEYS_MAX: usize = 10_000;

/// A caller inside one project.
#[derive(Clone)]
pub struct Access {
    /// The project that the path names and the credential opens.
    pub project: Arc<Project>,
}

struct Known {
    project: String,
    secret_sha256: [u8; 32],
    expires_at_ms: Option<i64>,
    read_at: Instant,
}

/// Keys that the database knew a moment ago. What is cached is the stored hash, so every request
/// still proves its secret.
pub struct KeyCache {
    store: Store,
    catalog: Arc<Catalog>,
    known: RwLock<HashMap<String, Arc<Known>>>,
}

impl KeyCache {
    /// An empty cache over `store`.
    pub fn new(store: Store, catalog: Arc<Catalog>) -> Self {
        Self {
            store,
            catalog,
            known: RwLock::default(),
        }
    }

    /// What the credential opens in `project`.
    ///
    /// # Errors
    /// 401 without a good credential; 404, as for a project that does not exist, with one for
    /// another project.
    pub async fn authorize(
        &self,
        project: &str,
        credential: Option<&HeaderValue>,
        now_ms: i64,
    ) -> Result<Access, Problem> {
        let header =
            credential.ok_or_else(|| unauthenticated("send `Authorization: Bearer <API key>`"))?;
        let key = header
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .and_then(|(_, key)| ApiKey::parse(key.trim()))
            .ok_or_else(|| unauthenticated("the Authorization header holds no API key"))?;
        let known = self.known_key(key.id).await?;
        let good = known
            .as_ref()
            .is_some_and(|known| key.matches(&known.secret_sha256));
        let Some(known) = known.filter(|_| good) else {
            return Err(unauthenticated("no such API key"));
        };
        if known.expires_at_ms.is_some_and(|at| at <= now_ms) {
            return Err(unauthenticated("the API key has expired"));
        }
        if known.project != project {
            return Err(project_not_found());
        }
        let project = self
            .catalog
            .project(project)
            .ok_or_else(project_not_found)?;
        Ok(Access { project })
    }

    async fn known_key(&self, id: &str) -> Result<Option<Arc<Known>>, Problem> {
        let cached = self.known.read().get(id).cloned();
        if let Some(known) = &cached
            && known.read_at.elapsed() < KEY_CACHE
        {
            return Ok(cached);
        }
        let row = match tokio::time::timeout(Duration::from_secs(2), self.store.key(id)).await {
            Ok(Ok(row)) => row,
            // The data plane goes on while the database is away, for keys it has seen.
            Ok(Err(_)) | Err(_) if cached.is_some() => return Ok(cached),
            Ok(Err(error)) => return Err(unavailable(error)),
            Err(error) => return Err(unavailable(error)),
        };
        let known = row.and_then(|row| {
            let mut secret_sha256 = [0; 32];
            decode_hex(&row.secret_sha256, &mut secret_sha256)?;
            Some(Arc::new(Known {
                project: row.project_id,
                secret_sha256,
                expires_at_ms: row.expires_at,
                read_at: Instant::now(),
            }))
        });
        let mut cache = self.known.write();
        match &known {
            Some(known) => {
                if cache.len() >= CACHED_KEYS_MAX {
                    cache.clear();
                }
                cache.insert(id.to_owned(), known.clone());
            }
            None => {
                cache.remove(id);
            }
        }
        Ok(known)
    }
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(Code::Unauthenticated, detail)
}

fn project_not_found() -> Problem {
    Problem::new(Code::NotFound, "no such project")
}

fn unavailable(error: impl std::fmt::Display) -> Problem {
    tracing::warn!(%error, "the metadata database does not answer");
    Problem::new(Code::Unavailable, "the metadata database does not answer")
}
