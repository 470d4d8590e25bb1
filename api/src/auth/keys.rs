//! From an `Authorization` header to what it opens. Everything is answered from the snapshot of the
//! metadata: no request waits for the database, and an unknown key costs what a known one does.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;

use super::{
    permissions::{Permission, Role},
    secrets::ApiKey,
};
use crate::{
    metadata::{Catalog, Key, Project},
    problem::{Code, Problem},
};

/// A caller inside one project.
#[derive(Clone)]
pub struct Access {
    /// The project that the path names and the credential opens.
    pub project: Arc<Project>,
    key_id: Arc<str>,
    key: Arc<Key>,
}

impl Access {
    /// Whether the key's scopes have what `row` asks for on `name`.
    pub fn allows(&self, row: &Permission, name: Option<&str>) -> bool {
        let mut scopes = self.key.scopes.iter();
        scopes.any(|scope| scope.allows(row.key, name))
    }

    /// How long the key is good by itself.
    pub fn expires_in(&self, now_ms: i64) -> Duration {
        let left_ms = self.key.expires_at_ms.map(|at| at.saturating_sub(now_ms));
        left_ms.map_or(Duration::MAX, |ms| Duration::from_millis(ms.max(0) as u64))
    }

    /// Looks again whether a caller who was let in still is: for what goes on for longer than a
    /// moment.
    ///
    /// # Errors
    /// As [`authorize`].
    pub fn check(
        &self,
        catalog: &Catalog,
        row: &Permission,
        name: &str,
        now_ms: i64,
    ) -> Result<(), Problem> {
        let known = known_key(catalog, &self.key_id, now_ms, |known| {
            known.secret_sha256 == self.key.secret_sha256
        })?;
        open(
            catalog,
            row,
            &self.project.id,
            Some(name),
            &self.key_id,
            known,
        )?;
        Ok(())
    }
}

/// One sentence for an unknown id, a wrong secret and a maker who left.
const NO_SUCH_KEY: &str = "no such API key";

/// What the credential opens in `project` for one operation on `name`.
///
/// # Errors
/// 401 without a good credential; 404, as for a project that does not exist, with one for another
/// project; 403 if its scopes or its maker's role do not reach that far, whether or not there is
/// anything of that name.
pub fn authorize(
    catalog: &Catalog,
    row: &Permission,
    project: &str,
    name: Option<&str>,
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
    let known = known_key(catalog, key.id, now_ms, |known| {
        key.matches(&known.secret_sha256)
    })?;
    open(catalog, row, project, name, key.id, known)
}

/// The key of that id, if `proves` says that the caller has it and it has not expired.
fn known_key(
    catalog: &Catalog,
    id: &str,
    now_ms: i64,
    proves: impl Fn(&Key) -> bool,
) -> Result<Arc<Key>, Problem> {
    if !catalog.is_current() {
        return Err(Problem::new(
            Code::Unavailable,
            "the metadata database has not answered for too long",
        ));
    }
    // Where there is no key of that id, one that nobody has is asked, so that both take as long.
    let known = catalog.key(id);
    let good = proves(known.as_deref().unwrap_or(Key::nobodys()));
    let Some(known) = known.filter(|_| good) else {
        return Err(unauthenticated(NO_SUCH_KEY));
    };
    if known.expires_at_ms.is_some_and(|at| at <= now_ms) {
        return Err(unauthenticated("the API key has expired"));
    }
    Ok(known)
}

/// What a key that was proved opens.
fn open(
    catalog: &Catalog,
    row: &Permission,
    project: &str,
    name: Option<&str>,
    key_id: &str,
    known: Arc<Key>,
) -> Result<Access, Problem> {
    // A key is at most what its maker is now: nothing, if they left.
    let Some(role) = catalog.role(&known.project, &known.created_by) else {
        return Err(unauthenticated(NO_SUCH_KEY));
    };
    let opened = (known.project == project)
        .then(|| catalog.project(project))
        .flatten();
    let Some(project) = opened else {
        return Err(Problem::new(Code::NotFound, "no such project"));
    };
    let access = Access {
        project,
        key_id: key_id.into(),
        key: known,
    };
    check_role(role, row)?;
    if !access.allows(row, name) {
        return Err(Problem::new(
            Code::Forbidden,
            format!("the API key's scopes do not allow {}", row.operation),
        ));
    }
    Ok(access)
}

fn check_role(role: Role, row: &Permission) -> Result<(), Problem> {
    if role >= row.role {
        return Ok(());
    }
    Err(Problem::new(
        Code::Forbidden,
        format!(
            "{} needs the role {}, and whoever made the API key has the role {}",
            row.operation,
            row.role.name(),
            role.name()
        ),
    ))
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(Code::Unauthenticated, detail)
}
