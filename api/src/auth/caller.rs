//! From an `Authorization` header to who calls, and to what that opens. Everything is answered from
//! the snapshot of the metadata: no request waits for the database, and an unknown key costs what a
//! known one does.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    jwks::ExternalClaims,
    permissions::{Permission, Role, Who},
    signing::{ACCESS_AUDIENCE, AccessClaims, verify},
};
use crate::{
    metadata::{Catalog, Key, Organization, Project},
    problem::{Code, Problem},
    quota::Layers,
};

/// Who calls: their credential was proved.
#[derive(Clone)]
pub enum Caller {
    /// The bearer of an API key.
    Key(Bearer),
    /// A person who signed in.
    User(Arc<User>),
    /// The bearer of a token of an issuer that organizations trust.
    External(Arc<ExternalClaims>),
}

/// The bearer of an API key, who is in its project what the key's maker is.
#[derive(Clone)]
pub struct Bearer {
    key: Arc<Key>,
    opens: Arc<Project>,
    role: Role,
}

impl Deref for Bearer {
    type Target = Key;

    fn deref(&self) -> &Key {
        &self.key
    }
}

/// A person who signed in.
#[derive(Debug)]
pub struct User {
    /// Their address.
    pub email: String,
    /// The session that the token is of.
    pub session: String,
    /// When the token ends, in milliseconds since the epoch.
    expires_at_ms: i64,
}

/// One sentence for an unknown id, a wrong secret and a maker who left.
const NO_SUCH_KEY: &str = "no such API key";
const KEY_EXPIRED: &str = "the API key has expired";

impl Caller {
    /// The bearer of the key of that id, if `proves` says that they have its secret.
    ///
    /// # Errors
    /// 401, alike for a key that does not exist.
    pub fn with_key(
        catalog: &Catalog,
        id: &str,
        proves: impl Fn(&Key) -> bool,
        now_ms: i64,
    ) -> Result<Self, Problem> {
        // Where there is no key of that id, one that nobody has is asked, so that both take as long.
        let known = catalog.key(id);
        let good = proves(known.as_ref().map_or(Key::nobodys(), |(key, _)| key));
        let Some((key, place)) = known.filter(|_| good) else {
            return Err(unauthenticated(NO_SUCH_KEY));
        };
        if key.expires_at_ms.is_some_and(|at| at <= now_ms) {
            return Err(unauthenticated(KEY_EXPIRED));
        }
        // A key is at most what its maker is now: nothing, if they left.
        let (opens, role) = place.ok_or_else(|| unauthenticated(NO_SUCH_KEY))?;
        Ok(Self::Key(Bearer { key, opens, role }))
    }

    /// The person whose session an access token of this service is of.
    ///
    /// # Errors
    /// 401 if the token is not good, or its session has ended.
    pub fn with_access_token(catalog: &Catalog, token: &str, now_ms: i64) -> Result<Self, Problem> {
        let keys = |id: &str| catalog.signing_key(id);
        let claims: AccessClaims = verify(token, keys, ACCESS_AUDIENCE, now_ms)
            .map_err(|error| unauthenticated(&error.to_string()))?;
        let caller = Self::User(Arc::new(User {
            email: claims.sub,
            session: claims.content.sid,
            expires_at_ms: claims.exp.saturating_mul(1_000),
        }));
        caller.still_good(catalog, now_ms)?;
        Ok(caller)
    }

    /// Whether a token has neither ended nor been ended.
    fn still_good(&self, catalog: &Catalog, now_ms: i64) -> Result<(), Problem> {
        match self {
            Self::User(user) if catalog.session_ended(&user.session) => {
                Err(unauthenticated("the session has ended"))
            }
            Self::Key(_) | Self::User(_) | Self::External(_) => self.unexpired(now_ms),
        }
    }

    /// Whether time has ended the credential: that changes nothing in the metadata.
    fn unexpired(&self, now_ms: i64) -> Result<(), Problem> {
        if !self.expires_in(now_ms).is_zero() {
            return Ok(());
        }
        Err(unauthenticated(match self {
            Self::Key(_) => KEY_EXPIRED,
            Self::User(_) | Self::External(_) => "the token has expired",
        }))
    }

    /// The caller as they are now, if their credential is still good.
    ///
    /// # Errors
    /// 401 if it is not.
    pub fn again(&self, catalog: &Catalog, now_ms: i64) -> Result<Self, Problem> {
        match self {
            // With the scopes of now.
            Self::Key(key) => {
                let same = |known: &Key| known.secret_sha256 == key.secret_sha256;
                Self::with_key(catalog, &key.id, same, now_ms)
            }
            other => {
                other.still_good(catalog, now_ms)?;
                Ok(other.clone())
            }
        }
    }

    /// How long the credential is good by itself.
    pub fn expires_in(&self, now_ms: i64) -> Duration {
        let expires_at_ms = match self {
            Self::Key(key) => key.expires_at_ms,
            Self::User(user) => Some(user.expires_at_ms),
            Self::External(token) => Some(token.expires_at_ms),
        };
        let left_ms = expires_at_ms.map(|at| at.saturating_sub(now_ms));
        left_ms.map_or(Duration::MAX, |ms| Duration::from_millis(ms.max(0) as u64))
    }

    /// What the caller is in an organization; for a key, what its maker is in its own.
    pub fn role(&self, organization: &Organization) -> Option<Role> {
        match self {
            Self::Key(key) => (key.opens.organization == organization.id).then_some(key.role),
            Self::User(user) => organization.role(&user.email),
            Self::External(token) => organization.role_by_claims(&token.issuer, &token.claims),
        }
    }

    /// The organizations that the caller has a part in, by id, and what they are there.
    pub fn organizations(&self, catalog: &Catalog) -> Vec<(Arc<Organization>, Role)> {
        let candidates = match self {
            Self::User(user) => return catalog.organizations_of(&user.email),
            Self::Key(key) => {
                let organization = catalog.organization(&key.opens.organization);
                organization.into_iter().collect()
            }
            Self::External(token) => catalog.organizations_that_trust(&token.issuer),
        };
        let with_role = |organization: Arc<Organization>| {
            let role = self.role(&organization)?;
            Some((organization, role))
        };
        candidates.into_iter().filter_map(with_role).collect()
    }

    /// The projects of an organization that the caller may see.
    pub fn projects(&self, catalog: &Catalog, organization: &str) -> Vec<Arc<Project>> {
        let mut projects = catalog.projects_of(organization);
        if let Self::Key(key) = self {
            projects.retain(|project| project.id == key.project);
        }
        projects
    }

    /// The address of the person behind the call: a key is its maker's.
    pub fn email(&self) -> Option<&str> {
        match self {
            Self::Key(key) => Some(&key.created_by),
            Self::User(user) => Some(&user.email),
            Self::External(_) => None,
        }
    }

    /// As the audit log names the caller.
    pub fn actor(&self) -> String {
        match self {
            Self::Key(key) => format!("key:{}/{}", key.project, key.name),
            Self::User(user) => user.email.clone(),
            Self::External(token) => format!("external:{}#{}", token.issuer, token.subject),
        }
    }

    /// Whether the caller is a person who runs the service.
    pub fn is_operator(&self, catalog: &Catalog) -> bool {
        match self {
            Self::User(user) => catalog.is_operator(&user.email),
            Self::Key(_) | Self::External(_) => false,
        }
    }

    /// Whether the caller may do an operation that is about no organization.
    ///
    /// # Errors
    /// 403 if not.
    pub fn check_at_large(&self, catalog: &Catalog, row: &Permission) -> Result<(), Problem> {
        if row.who == Who::Operator && !self.is_operator(catalog) {
            let detail = format!("{} is for operators of the service", row.operation);
            return Err(Problem::new(Code::Forbidden, detail));
        }
        self.check_scopes(row, None)
    }

    /// The organization of that id, if the caller has a part in it and may do the operation, which
    /// may be about a person.
    ///
    /// # Errors
    /// 404, as for one that does not exist, if it is not theirs; 403 if they may not.
    pub fn open_organization(
        &self,
        catalog: &Catalog,
        row: &Permission,
        id: &str,
        about: Option<&str>,
    ) -> Result<(Arc<Organization>, Role), Problem> {
        let organization = catalog.organization(id);
        let opened = organization.and_then(|organization| {
            let role = self.role(&organization)?;
            Some((organization, role))
        });
        let Some((organization, role)) = opened else {
            return Err(Problem::new(Code::NotFound, "no such organization"));
        };
        self.check_scopes(row, None)?;
        let about_self = matches!(
            self,
            Self::User(user) if about.is_some_and(|about| about.eq_ignore_ascii_case(&user.email))
        );
        self.check_role(role, row, about_self)?;
        Ok((organization, role))
    }

    /// The project of that id, if the caller has a part in it and may do the operation on `name`.
    ///
    /// # Errors
    /// 404, as for one that does not exist, if it is not theirs; 403 if they may not, whether or not
    /// there is anything of that name.
    pub fn open_project(
        &self,
        catalog: &Catalog,
        row: &Permission,
        id: &str,
        name: Option<&str>,
    ) -> Result<Access, Problem> {
        let access = self.enter_project(catalog, id)?;
        access.may(row, name)?;
        Ok(access)
    }

    /// The project of that id, if the caller has a part in it; what they may do there is another
    /// question.
    ///
    /// # Errors
    /// 404, as for one that does not exist, if it is not theirs.
    pub fn enter_project(&self, catalog: &Catalog, id: &str) -> Result<Access, Problem> {
        let opened = match self {
            // It was found with its project.
            Self::Key(key) => (key.opens.id == id).then(|| (key.opens.clone(), key.role)),
            Self::User(_) | Self::External(_) => catalog.project(id).and_then(|project| {
                let organization = catalog.organization(&project.organization)?;
                let role = self.role(&organization)?;
                Some((project, role))
            }),
        };
        let Some((project, role)) = opened else {
            return Err(Problem::new(Code::NotFound, "no such project"));
        };
        Ok(Access {
            project,
            role,
            caller: self.clone(),
            asked_at: AskedAt::default(),
        })
    }

    fn check_role(&self, role: Role, row: &Permission, about_self: bool) -> Result<(), Problem> {
        let least = match row.who {
            Who::Member(least) => least,
            Who::MemberOrSelf(least) if !about_self => least,
            _ => return Ok(()),
        };
        if role >= least {
            return Ok(());
        }
        let whose = match self {
            Self::Key(_) => "whoever made the API key has",
            Self::User(_) | Self::External(_) => "yours is",
        };
        Err(Problem::new(
            Code::Forbidden,
            format!(
                "{} needs the role {}, and {whose} {}",
                row.operation,
                least.name(),
                role.name()
            ),
        ))
    }

    fn check_scopes(&self, row: &Permission, name: Option<&str>) -> Result<(), Problem> {
        if self.allows(row, name) {
            return Ok(());
        }
        Err(Problem::new(
            Code::Forbidden,
            format!("the API key's scopes do not allow {}", row.operation),
        ))
    }

    /// Whether a key's scopes have what `row` asks for on `name`. People have no scopes.
    pub fn allows(&self, row: &Permission, name: Option<&str>) -> bool {
        match self {
            Self::Key(key) => {
                let mut scopes = key.scopes.iter();
                scopes.any(|scope| scope.allows(row.key, name))
            }
            Self::User(_) | Self::External(_) => true,
        }
    }
}

/// A caller inside one project.
#[derive(Clone)]
pub struct Access {
    /// The project that the path names and the credential opens.
    pub project: Arc<Project>,
    /// What the caller, or a key's maker, is in its organization.
    pub role: Role,
    /// Who.
    pub caller: Caller,
    /// When they were last asked for what they were let in for.
    pub asked_at: AskedAt,
}

/// The version of the metadata at which somebody was asked last; none at first.
#[derive(Debug, Default)]
pub struct AskedAt(AtomicU64);

impl AskedAt {
    /// Notes that somebody was asked after the metadata's version was this.
    pub fn note(&self, version: u64) {
        self.0.store(version, Ordering::Relaxed);
    }

    /// Whether asking again would answer the same.
    fn is_now(&self, catalog: &Catalog) -> bool {
        self.0.load(Ordering::Relaxed) == catalog.version()
    }
}

impl Clone for AskedAt {
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }
}

impl Access {
    /// Whether the caller may do on `name` what `row` is about, beside what their role says.
    pub fn allows(&self, row: &Permission, name: Option<&str>) -> bool {
        self.caller.allows(row, name)
    }

    /// Whether the caller may do the operation on `name`.
    ///
    /// # Errors
    /// 403 if not, whether or not there is anything of that name.
    pub fn may(&self, row: &Permission, name: Option<&str>) -> Result<(), Problem> {
        self.caller.check_role(self.role, row, false)?;
        self.caller.check_scopes(row, name)
    }

    /// Whose quotas the caller's doings count against.
    pub fn layers(&self) -> Layers<'_> {
        let project = &self.project;
        let layers = Layers::of_project(&project.allowance, &project.organization_allowance);
        match &self.caller {
            Caller::Key(key) => layers.with_key(&key.allowance),
            Caller::User(_) | Caller::External(_) => layers,
        }
    }

    /// How long the credential is good by itself.
    pub fn expires_in(&self, now_ms: i64) -> Duration {
        self.caller.expires_in(now_ms)
    }

    /// Whether no more than time has passed since the caller was asked last: then nothing but time
    /// can have ended what they may, and it has not.
    ///
    /// # Errors
    /// 401 when it has, and 503 when nothing is known for too long.
    pub fn is_unchanged(&self, catalog: &Catalog, now_ms: i64) -> Result<bool, Problem> {
        check_current(catalog)?;
        if !self.asked_at.is_now(catalog) {
            return Ok(false);
        }
        self.caller.unexpired(now_ms)?;
        Ok(true)
    }
}

/// Whether what is known of callers is young enough to let anybody in.
///
/// # Errors
/// 503 if it is not.
pub fn check_current(catalog: &Catalog) -> Result<(), Problem> {
    if catalog.is_current() {
        return Ok(());
    }
    Err(Problem::new(
        Code::Unavailable,
        "the metadata database has not answered for too long",
    ))
}

pub(super) fn unauthenticated(detail: &str) -> Problem {
    Problem::new(Code::Unauthenticated, detail)
}
