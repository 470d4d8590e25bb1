//! What every call starts from: who asks, from where, in which organization or project, about which
//! topic.

use std::{
    marker::PhantomData,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use axum::extract::{FromRequestParts, RawPathParams};
use http::{HeaderMap, header, request::Parts};

use super::{params::Params, router::App};
use crate::{
    auth::{
        Access, Caller, Operation, Permission, Role,
        permissions::{KeyRule, OverQuota},
        without_secrets,
    },
    gateway::{Intent, Place, Standing, partition_not_found},
    limits::{DENIED_LOGS_MAX, METADATA_TIMEOUT, QUOTA_SLEEP_MAX},
    metadata::{Organization, Topic},
    problem::{Code, Problem},
    quota::{Connection, Layers, Resource, check_stored},
};

/// The request's id, taken from `X-Request-Id` or made.
#[derive(Debug, Clone)]
pub struct RequestId(pub Arc<str>);

/// The other end of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// A request, as far as it matters who made it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// From where.
    pub peer: IpAddr,
    /// For problems inside a body, and for the audit log.
    pub request_id: Arc<str>,
}

impl Asked {
    fn of(parts: &Parts) -> Self {
        let peer = parts.extensions.get::<Peer>();
        let id = parts.extensions.get::<RequestId>();
        Self {
            peer: peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0),
            request_id: id.map_or_else(|| Arc::from(""), |id| id.0.clone()),
        }
    }

    /// Who it is, for a call that one may also make without a credential.
    ///
    /// # Errors
    /// 401 without a good one.
    pub async fn identify(&self, app: &App, headers: &HeaderMap) -> Result<Caller, Problem> {
        let gateway = &app.gateway;
        let credential = headers.get(header::AUTHORIZATION);
        let now_ms = gateway.clock.now_ms();
        let authority = &gateway.authority;
        authority
            .identify(&gateway.catalog, credential, self.peer, now_ms)
            .await
    }

    /// Who it is, and the version of the metadata by which that was found out.
    ///
    /// # Errors
    /// 401 without a good credential.
    pub async fn identify_in_project(
        &self,
        app: &App,
        headers: &HeaderMap,
    ) -> Result<Identified, Problem> {
        // Before anything is looked up, so that what changes meanwhile is asked again.
        let version = app.gateway.catalog.version();
        let caller = self.identify(app, headers).await?;
        Ok(Identified { caller, version })
    }

    /// What the audit log will say of a change.
    pub fn intent(&self, actor: String, action: &'static str, dry_run: bool) -> Intent {
        Intent {
            standing: None,
            actor,
            source_ip: self.peer,
            request_id: self.request_id.clone(),
            action,
            dry_run,
        }
    }

    fn intent_to(&self, caller: &Caller, row: &Permission, place: Place, dry_run: bool) -> Intent {
        let standing = Standing {
            caller: caller.clone(),
            permission: *row,
            place,
        };
        Intent {
            standing: Some(standing),
            ..self.intent(caller.actor(), row.operation, dry_run)
        }
    }

    /// Has a refusal written down: in the log of the organization that it is about, if the caller is
    /// in it, else in those of the organizations that they are in.
    fn refused(
        &self,
        app: &App,
        caller: &Caller,
        row: &Permission,
        organization: Option<&str>,
        target: &str,
    ) {
        let target = without_secrets(target);
        let intent = self.intent(caller.actor(), row.operation, false);
        let mut theirs = caller.organizations(&app.gateway.catalog);
        if let Some(about) = organization
            && theirs.iter().any(|(theirs, _)| theirs.id == about)
        {
            theirs.retain(|(theirs, _)| theirs.id == about);
        }
        for (organization, _) in theirs.into_iter().take(DENIED_LOGS_MAX) {
            let gateway = &app.gateway;
            gateway.note_denied(&intent, &organization.id, &target);
        }
    }
}

/// A caller who is about to enter a project.
#[derive(Clone)]
pub struct Identified {
    caller: Caller,
    /// The metadata's version before they were looked up.
    version: u64,
}

impl Identified {
    /// The project that a call is about which names it beside its message, or not at all: a key is of
    /// one.
    ///
    /// # Errors
    /// 400 if it is left to the service and could be any.
    pub fn project<'a>(&'a self, named: Option<&'a str>) -> Result<&'a str, Problem> {
        let own = match &self.caller {
            Caller::Key(key) => Some(key.project.as_str()),
            Caller::User(_) | Caller::External(_) => None,
        };
        named.or(own).ok_or_else(|| {
            let message = "must name the project; only API keys are of one";
            Problem::invalid("headwater-project", "missing_field", message)
        })
    }
}

/// Whoever asks: nothing was proved.
pub struct Anybody {
    /// The request.
    pub asked: Asked,
}

/// A caller that proved who they are.
pub struct SignedIn {
    /// Who.
    pub caller: Caller,
    /// The request.
    pub asked: Asked,
    permission: Permission,
}

/// A caller that may use the organization of the path.
pub struct InOrganization {
    /// Who.
    pub caller: Caller,
    /// The organization.
    pub organization: Arc<Organization>,
    /// What the caller is in it.
    pub role: Role,
    /// The last name in the path, if it has one beside the organization's.
    pub name: Option<String>,
    asked: Asked,
    permission: Permission,
}

/// A caller that may use the project of the path.
pub struct InProject {
    /// What the credential opens.
    pub access: Access,
    /// The path's topic or key, if it has one. It may be no name at all.
    pub name: Option<String>,
    /// The same if it is what a key's scopes are asked about.
    scoped: Option<String>,
    /// The request.
    pub asked: Asked,
    permission: Permission,
    /// The path's partition, as text.
    partition: Option<String>,
    /// The path's key, of the project or of records, or member of a group.
    key: Option<String>,
}

/// A caller, and a topic of the project.
pub struct InTopic {
    /// The caller.
    pub access: Access,
    /// The topic.
    pub topic: Arc<Topic>,
    /// What the caller was let in for.
    pub permission: Permission,
    /// The request.
    pub asked: Asked,
    partition: Option<String>,
    record_key: Option<String>,
}

/// A caller who may do the operation `O`: its row of the table of permissions was asked.
pub struct May<O, C> {
    /// The call.
    pub call: C,
    operation: PhantomData<fn() -> O>,
}

impl<O, C> May<O, C> {
    fn new(call: C) -> Self {
        Self {
            call,
            operation: PhantomData,
        }
    }
}

/// The names in a path.
#[derive(Default)]
struct Names {
    organization: Option<String>,
    project: Option<String>,
    /// Of a topic or group: what a key's scopes are asked about.
    scoped: Option<String>,
    /// Of a member of an organization or group, an issuer or a key, or the key of records.
    other: Option<String>,
    partition: Option<String>,
}

impl Names {
    async fn of(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, app)
            .await
            .map_err(|error| Problem::invalid("path", "invalid_utf8", error.to_string()))?;
        let mut names = Self::default();
        for (name, value) in &params {
            let place = match name {
                "organization" => &mut names.organization,
                "project" => &mut names.project,
                "topic" | "group" => &mut names.scoped,
                "email" | "issuer" | "key" | "member" => &mut names.other,
                "partition" => &mut names.partition,
                _ => continue,
            };
            *place = Some(value.to_owned());
        }
        Ok(names)
    }
}

impl<O: Operation> FromRequestParts<App> for May<O, Anybody> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let asked = Asked::of(parts);
        Ok(Self::new(Anybody { asked }))
    }
}

impl<O: Operation> FromRequestParts<App> for May<O, SignedIn> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let asked = Asked::of(parts);
        let caller = asked.identify(app, &parts.headers).await?;
        app.gateway.at_large.take(caller.actor())?;
        let checked = caller.check_at_large(&app.gateway.catalog, &O::ROW);
        checked.inspect_err(|_| asked.refused(app, &caller, &O::ROW, None, &target(parts)))?;
        Ok(Self::new(SignedIn {
            caller,
            asked,
            permission: O::ROW,
        }))
    }
}

impl<O: Operation> FromRequestParts<App> for May<O, InOrganization> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let asked = Asked::of(parts);
        let names = Names::of(parts, app).await?;
        let caller = asked.identify(app, &parts.headers).await?;
        let id = names.organization.unwrap_or_default();
        let about = names.other.as_deref();
        let opened = caller.open_organization(&app.gateway.catalog, &O::ROW, &id, about);
        let (organization, role) = opened
            .inspect_err(|_| asked.refused(app, &caller, &O::ROW, Some(&id), &target(parts)))?;
        let layers = Layers::of_organization(&organization.allowance);
        admit(&O::ROW, layers, connection(parts))?;
        Ok(Self::new(InOrganization {
            caller,
            organization,
            role,
            name: names.other,
            asked,
            permission: O::ROW,
        }))
    }
}

impl<O: Operation> FromRequestParts<App> for May<O, InProject> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let call = InProject::open(parts, app, O::ROW).await?;
        call.count(app);
        Ok(Self::new(call))
    }
}

impl<O: Operation> FromRequestParts<App> for May<O, InTopic> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let call = InProject::open(parts, app, O::ROW).await?;
        let topic = topic_of(app, &call.access, &call.name.unwrap_or_default())?;
        Ok(Self::new(InTopic {
            access: call.access,
            topic,
            permission: O::ROW,
            asked: call.asked,
            partition: call.partition,
            record_key: call.key,
        }))
    }
}

impl<O: Operation> May<O, InProject> {
    /// The caller of a request in a project, about the topic of that name or none in particular.
    ///
    /// # Errors
    /// 403 and 404, as the extractor.
    pub fn open(
        app: &App,
        project: &str,
        topic: Option<&str>,
        identified: &Identified,
        asked: Asked,
        connection: &Connection,
    ) -> Result<Self, Problem> {
        let connection = Some(connection);
        let access = open_project(app, &asked, &O::ROW, project, topic, identified, connection)?;
        let name = topic.map(str::to_owned);
        let call = InProject {
            access,
            name: name.clone(),
            scoped: name,
            asked,
            permission: O::ROW,
            partition: None,
            key: None,
        };
        call.count(app);
        Ok(Self::new(call))
    }
}

impl<O: Operation> May<O, InTopic> {
    /// The caller of a request about a topic, by names that were taken from its path or message.
    ///
    /// # Errors
    /// 403 and 404, as the extractor.
    pub fn open(
        app: &App,
        project: &str,
        topic: &str,
        identified: &Identified,
        asked: Asked,
        connection: &Connection,
    ) -> Result<Self, Problem> {
        let (name, connection) = (Some(topic), Some(connection));
        let access = open_project(app, &asked, &O::ROW, project, name, identified, connection)?;
        let topic = topic_of(app, &access, topic)?;
        Ok(Self::new(InTopic {
            access,
            topic,
            permission: O::ROW,
            asked,
            partition: None,
            record_key: None,
        }))
    }
}

/// What a call is about, as the audit log names it: its path below `/v1`.
fn target(parts: &Parts) -> String {
    let path = parts.uri.path().trim_start_matches('/');
    let path = path.strip_prefix("v1/").unwrap_or(path);
    let decoded = percent_encoding::percent_decode_str(path);
    decoded.decode_utf8_lossy().into_owned()
}

fn open_project(
    app: &App,
    asked: &Asked,
    row: &Permission,
    project: &str,
    name: Option<&str>,
    identified: &Identified,
    connection: Option<&Connection>,
) -> Result<Access, Problem> {
    let Identified { caller, version } = identified;
    let refused = |organization: Option<&str>| {
        let name = match (row.key, name) {
            (KeyRule::Topic(_), Some(name)) => format!("/topics/{name}"),
            (KeyRule::Group(_), Some(name)) => format!("/groups/{name}"),
            _ => String::new(),
        };
        let target = format!("projects/{project}{name}");
        asked.refused(app, caller, row, organization, &target);
    };
    let access = caller.enter_project(&app.gateway.catalog, project);
    let access = access.inspect_err(|_| refused(None))?;
    // What is refused for want of permission counts too.
    admit(row, access.layers(), connection)?;
    let organization = Some(access.project.organization.as_str());
    access
        .may(row, name)
        .inspect_err(|_| refused(organization))?;
    access.asked_at.note(*version);
    Ok(access)
}

/// The connection that a request came over.
fn connection(parts: &Parts) -> Option<&Connection> {
    let connection = parts.extensions.get::<Arc<Connection>>();
    connection.map(|connection| &**connection)
}

/// Counts a request, and its connection, against the quotas of those whom it is about.
fn admit(
    row: &Permission,
    layers: Layers<'_>,
    connection: Option<&Connection>,
) -> Result<(), Problem> {
    let admitted = layers.take_request().and_then(|()| match connection {
        Some(connection) => connection.enter(layers),
        None => Ok(()),
    });
    match admitted {
        Err(_) if row.over_quota == OverQuota::Few && layers.take_quota_call() => Ok(()),
        admitted => admitted,
    }
}

/// The topic of that name. The request counts as one about it, or about none.
fn topic_of(app: &App, access: &Access, name: &str) -> Result<Arc<Topic>, Problem> {
    let topic = app.gateway.topic(access, name);
    let project = &access.project;
    let meter = topic.as_ref().map_or(&project.meter, |topic| &topic.meter);
    meter.request();
    topic
}

impl SignedIn {
    /// What the audit log will say of the change that the call asks for, by `dry_run` only tried.
    ///
    /// # Errors
    /// 400 for another parameter.
    pub fn intent(&self, uri: &http::Uri) -> Result<Intent, Problem> {
        let (place, dry_run) = (Place::AtLarge, dry_run(uri)?);
        let asked = &self.asked;
        Ok(asked.intent_to(&self.caller, &self.permission, place, dry_run))
    }
}

impl InOrganization {
    /// As [`SignedIn::intent`].
    ///
    /// # Errors
    /// 400 for another parameter.
    pub fn intent(&self, uri: &http::Uri) -> Result<Intent, Problem> {
        let place = Place::Organization(self.organization.id.clone(), self.name.clone());
        let (asked, dry_run) = (&self.asked, dry_run(uri)?);
        Ok(asked.intent_to(&self.caller, &self.permission, place, dry_run))
    }
}

impl InProject {
    async fn open(parts: &mut Parts, app: &App, permission: Permission) -> Result<Self, Problem> {
        let asked = Asked::of(parts);
        let names = Names::of(parts, app).await?;
        let identified = asked.identify_in_project(app, &parts.headers).await?;
        let access = open_project(
            app,
            &asked,
            &permission,
            &names.project.unwrap_or_default(),
            names.scoped.as_deref(),
            &identified,
            connection(parts),
        )?;
        Ok(Self {
            access,
            name: names.scoped.clone().or(names.other.clone()),
            key: names.other,
            scoped: names.scoped,
            asked,
            permission,
            partition: names.partition,
        })
    }

    /// The request counts as one about the topic that its path names, if there is that topic.
    fn count(&self, app: &App) {
        match (&self.name, self.permission.key) {
            // Whether there is one is not for this to say.
            (Some(name), KeyRule::Topic(_)) => drop(topic_of(app, &self.access, name)),
            _ => self.access.project.meter.request(),
        }
    }

    /// As [`SignedIn::intent`].
    ///
    /// # Errors
    /// 400 for another parameter.
    pub fn intent(&self, uri: &http::Uri) -> Result<Intent, Problem> {
        Ok(self.intent_to(dry_run(uri)?))
    }

    /// What the audit log will say of the change that the call asks for, or only tries.
    pub fn intent_to(&self, dry_run: bool) -> Intent {
        let place = Place::Project(self.access.project.id.clone(), self.scoped.clone());
        let caller = &self.access.caller;
        self.asked
            .intent_to(caller, &self.permission, place, dry_run)
    }
}

impl InProject {
    /// The group that the path names.
    pub fn group(&self) -> &str {
        self.scoped.as_deref().unwrap_or_default()
    }

    /// The group's member that the path names.
    pub fn member(&self) -> &str {
        self.key.as_deref().unwrap_or_default()
    }

    /// Looks again whether the caller still may do it to the group: for what goes on for longer than a
    /// moment.
    ///
    /// # Errors
    /// 401, 403 and 404, as at first.
    pub fn check_group(&self, app: &App) -> Result<(), Problem> {
        let gateway = &app.gateway;
        gateway.check_group(&self.access, &self.permission, self.group())
    }
}

impl InTopic {
    /// As [`SignedIn::intent`].
    ///
    /// # Errors
    /// 400 for another parameter.
    pub fn intent(&self, uri: &http::Uri) -> Result<Intent, Problem> {
        Ok(self.intent_to(dry_run(uri)?))
    }

    /// As [`InProject::intent_to`].
    pub fn intent_to(&self, dry_run: bool) -> Intent {
        let name = Some(self.topic.name.clone());
        let place = Place::Project(self.access.project.id.clone(), name);
        let caller = &self.access.caller;
        self.asked
            .intent_to(caller, &self.permission, place, dry_run)
    }

    /// Looks again whether the caller still may: for what goes on for longer than a moment.
    ///
    /// # Errors
    /// 401, 403 and 404, as at first.
    pub fn check(&self, app: &App) -> Result<(), Problem> {
        let checked = app
            .gateway
            .check(&self.access, &self.permission, &self.topic);
        checked.map(drop)
    }

    /// Whether the caller may append: their quotas of bytes written and stored are not used up.
    ///
    /// # Errors
    /// 429 and 403 if they are.
    pub async fn check_ingress(&self, app: &App) -> Result<(), Problem> {
        check_ingress(app, &self.access).await
    }

    /// Waits, as long as the caller still may, until what they appended is paid for.
    pub async fn wait_out_debt(&self, app: &App) {
        let ingress = Resource::IngressBytesPerSecond;
        let mut draining = app.gateway.draining.clone();
        while let Some(debt) = self.access.layers().debt(ingress) {
            tokio::select! {
                () = tokio::time::sleep(debt.min(QUOTA_SLEEP_MAX)) => {}
                _ = draining.wait_for(|draining| *draining) => return,
            }
            if self.check(app).is_err() {
                return;
            }
        }
    }

    /// Whether more may be stored.
    ///
    /// # Errors
    /// 403 if not.
    pub async fn check_stored(&self, app: &App) -> Result<(), Problem> {
        check_all_stored(app, &self.access).await
    }

    /// The key of records that the path names.
    pub fn record_key(&self) -> &str {
        self.record_key.as_deref().unwrap_or_default()
    }

    /// The partition that the path names.
    ///
    /// # Errors
    /// 404 if the topic has no such partition.
    pub fn partition(&self) -> Result<u32, Problem> {
        self.partition
            .as_deref()
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .filter(|partition| *partition < self.topic.partitions())
            .ok_or_else(|| partition_not_found(&self.topic))
    }
}

/// Whether a caller may append to topics of the project: their quotas of bytes written and stored are not
/// used up.
///
/// # Errors
/// 429 and 403 if they are.
pub async fn check_ingress(app: &App, access: &Access) -> Result<(), Problem> {
    access.layers().check(Resource::IngressBytesPerSecond)?;
    check_all_stored(app, access).await
}

async fn check_all_stored(app: &App, access: &Access) -> Result<(), Problem> {
    for (allowance, limit) in access.layers().storage_limits() {
        let measure = app.gateway.stored_bytes(allowance);
        let stored = allowance.stored_bytes(measure).await;
        check_stored(allowance, stored, limit)?;
    }
    Ok(())
}

fn dry_run(uri: &http::Uri) -> Result<bool, Problem> {
    let params = Params::parse(uri, &["dry_run"])?;
    let dry_run = params.word("dry_run", &[("true", true), ("false", false)])?;
    Ok(dry_run.unwrap_or(false))
}

/// Does work that must not stop half-way when its client goes away: what is dropped then is the
/// waiting, not the work.
///
/// # Errors
/// Those of the work, 500 if it panicked, and 504 if the database hangs in the middle of it.
pub async fn unbroken<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let work = tokio::spawn(work);
    match tokio::time::timeout(METADATA_TIMEOUT, work).await {
        Ok(done) => {
            done.unwrap_or_else(|error| Err(Problem::internal("a change was not finished", error)))
        }
        Err(_) => Err(Problem::new(
            Code::OutcomeUnknown,
            "the metadata database does not answer; whether the change is made is not known yet",
        )),
    }
}
