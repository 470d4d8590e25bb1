//! `/me`

use std::collections::BTreeSet;

use axum::{Json, body::Body, extract::State};
use http::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    auth::{
        Caller, Role, Scope,
        permissions::{ChangePassword, GetMe, Permission, TABLE, Who},
    },
    http::{
        body::json_body,
        call::{May, SignedIn, unbroken},
        openapi::{ChangeProblems, LookProblems},
        params::Params,
        router::App,
    },
    limits::ME_SHOWN_MAX,
    metadata::Catalog,
    problem::Problem,
};

/// What kind of caller it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallerKind {
    /// Somebody who signed in here.
    User,
    /// An API key.
    Key,
    /// A token of another issuer.
    External,
}

/// An organization that the caller has a part in.
#[derive(Serialize, ToSchema)]
pub struct MyOrganization {
    /// Its id.
    id: String,
    /// For people.
    name: String,
    /// What the caller is in it; of a key, what its maker is.
    role: Role,
}

/// A project that the caller may use.
#[derive(Serialize, ToSchema)]
pub struct MyProject {
    /// Its id.
    id: String,
    /// For people.
    name: String,
    /// The organization it is in.
    organization: String,
    /// What the caller is there; of a key, what its maker is.
    role: Role,
}

/// Who asks, and what they may.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "kind": "user", "email": "ada@example.com", "organizations": [{"id": "acme",
    "name": "Acme Ltd.", "role": "owner"}], "projects": [{"id": "acme-orders", "name": "Orders",
    "organization": "acme", "role": "owner"}], "permissions": ["fetchTopic", "produceRecords"]
}))]
pub struct Me {
    /// What kind of caller it is.
    kind: CallerKind,
    /// Of users.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    email: Option<String>,
    /// Of users: whether they may see and change the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    operator: Option<bool>,
    /// Of keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key_name: Option<String>,
    /// Of keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key_id: Option<String>,
    /// Of keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    scopes: Option<Vec<Scope>>,
    /// Of external tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    issuer: Option<String>,
    /// Of external tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    subject: Option<String>,
    /// By id; the first 1000.
    #[schema(max_items = 1000)]
    organizations: Vec<MyOrganization>,
    /// By organization and id; the first 1000.
    #[schema(max_items = 1000)]
    projects: Vec<MyProject>,
    /// True if there are more than these: `listOrganizations` and `listProjects` have all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    more: Option<bool>,
    /// The ids of operations that are allowed somewhere.
    permissions: BTreeSet<&'static str>,
}

/// Read who asks, and what they may.
///
/// This and other calls about no organization count against no quotas of one: each caller has 50 a
/// second.
#[utoipa::path(
    get, path = "/me", operation_id = "getMe", tag = "sessions",
    responses((status = 200, description = "The caller", body = Me), LookProblems),
)]
pub async fn get_me(
    State(app): State<App>,
    May { call, .. }: May<GetMe, SignedIn>,
    request: Request<Body>,
) -> Result<Json<Me>, Problem> {
    Params::parse(request.uri(), &[])?;
    Ok(Json(describe(&app.gateway.catalog, &call.caller)))
}

fn describe(catalog: &Catalog, caller: &Caller) -> Me {
    let mut me = Me {
        kind: CallerKind::User,
        email: None,
        operator: None,
        key_name: None,
        key_id: None,
        scopes: None,
        issuer: None,
        subject: None,
        organizations: Vec::new(),
        projects: Vec::new(),
        more: None,
        permissions: BTreeSet::new(),
    };
    match caller {
        Caller::User(user) => {
            me.email = Some(user.email.clone());
            me.operator = Some(catalog.is_operator(&user.email));
        }
        Caller::Key(key) => {
            me.kind = CallerKind::Key;
            me.key_name = Some(key.name.clone());
            me.key_id = Some(key.id.clone());
            me.scopes = Some(key.scopes.clone());
        }
        Caller::External(token) => {
            me.kind = CallerKind::External;
            me.issuer = Some(token.issuer.clone());
            me.subject = Some(token.subject.clone());
        }
    }
    let mut highest = None;
    for (organization, role) in caller.organizations(catalog) {
        highest = highest.max(Some(role));
        if me.organizations.len() == ME_SHOWN_MAX {
            // Those that are not shown still count for what is allowed.
            me.more = Some(true);
            continue;
        }
        let room = ME_SHOWN_MAX - me.projects.len();
        let projects = if room == 0 && me.more.is_some() {
            Vec::new()
        } else {
            caller.projects(catalog, &organization.id)
        };
        if projects.len() > room {
            me.more = Some(true);
        }
        me.projects
            .extend(projects.iter().take(room).map(|project| MyProject {
                id: project.id.clone(),
                name: project.name.clone(),
                organization: organization.id.clone(),
                role,
            }));
        me.organizations.push(MyOrganization {
            id: organization.id.clone(),
            name: organization.name.clone(),
            role,
        });
    }
    let may = |row: &&Permission| match row.who {
        Who::Anyone => false,
        Who::Member(least) => highest >= Some(least) && caller.allows(row, None),
        Who::MemberOrSelf(_) => highest.is_some() && caller.allows(row, None),
        Who::SignedIn | Who::Operator => caller.check_at_large(catalog, row).is_ok(),
    };
    me.permissions = TABLE.iter().filter(may).map(|row| row.operation).collect();
    me
}

/// Another password.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({
    "current_password": "correct horse battery", "new_password": "staple and a longer one"
}))]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The one of now.
    current_password: String,
    /// 12 to 256 characters.
    #[schema(min_length = 12, max_length = 256)]
    new_password: String,
}

/// Change one's password. All other sessions end.
#[utoipa::path(
    put, path = "/me/password", operation_id = "changePassword", tag = "sessions",
    request_body(content = PasswordChange, description = "The passwords"),
    responses((status = 204, description = "Changed"), ChangeProblems),
)]
pub async fn change_password(
    State(app): State<App>,
    May { call, .. }: May<ChangePassword, SignedIn>,
    request: Request<Body>,
) -> Result<StatusCode, Problem> {
    Params::parse(request.uri(), &[])?;
    crate::gateway::user_of(&call.caller)?;
    let intent = call
        .asked
        .intent(call.caller.actor(), "changePassword", false);
    let PasswordChange {
        current_password,
        new_password,
    } = json_body(&app, request).await?;
    let (gateway, caller) = (app.gateway.clone(), call.caller);
    unbroken(async move {
        gateway
            .change_password(intent, &caller, current_password, new_password)
            .await
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
