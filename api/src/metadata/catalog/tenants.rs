//! What the snapshot has of organizations, projects and keys.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, atomic::AtomicI64},
};

use super::Unreadable;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    auth::{Role, Scope, decode_hex, jwks},
    metadata::store::{
        IssuerRow, KeyRow, Layer, MembershipRow, OrganizationRow, ProjectRow, QuotaRow, StoreError,
    },
    quota::{Allowance, Allowances, Limits, Owner},
    usage::Meter,
};

/// Which claim of an external token gives its bearer which role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"claim": "groups", "value": "data", "role": "viewer"}))]
pub struct IssuerRule {
    /// The claim's name.
    pub claim: String,
    /// What it must be, or hold if it is a list.
    pub value: String,
    /// What its bearer is then.
    pub role: Role,
}

/// An issuer of tokens that an organization trusts.
#[derive(Debug)]
struct Issuer {
    url: String,
    audience: String,
    rules: Vec<IssuerRule>,
}

/// An organization: its people, and whom else it trusts.
#[derive(Debug)]
pub struct Organization {
    /// Never taken twice.
    pub id: String,
    /// For people.
    pub name: String,
    /// Milliseconds since the epoch.
    pub created_at_ms: i64,
    /// What it may use, all of its projects together.
    pub allowance: Arc<Allowance>,
    members: HashMap<String, Role>,
    issuers: Vec<Issuer>,
}

impl Organization {
    /// Of its rows; members and issuers that cannot be read are left out.
    pub(super) fn of_rows(
        row: OrganizationRow,
        members: Vec<MembershipRow>,
        issuers: Vec<IssuerRow>,
        quotas: &[QuotaRow],
        (allowances, unreadable): (&Allowances, &Unreadable),
    ) -> Self {
        let members = members.into_iter().filter_map(|member| {
            let role = Role::of(&member.role).ok_or_else(|| StoreError("bad role".into()));
            let id = format_args!("{}/{}", row.id, member.email);
            let role = unreadable.or_absent("member", id, role)?;
            Some((member.email, role))
        });
        let members = members.collect();
        let issuers = issuers.into_iter().filter_map(|issuer| {
            let rules = serde_json::from_str(&issuer.rules);
            let rules = rules.map_err(|error| StoreError(error.to_string()));
            let id = format_args!("{}/{}", row.id, issuer.name);
            let rules = unreadable.or_absent("issuer", id, rules)?;
            Some(Issuer {
                url: issuer.issuer,
                audience: issuer.audience,
                rules,
            })
        });
        let issuers = issuers.collect();
        let allowance = organization_allowance(allowances, &row.id);
        allowance.set(&Limits::of_organization(quotas));
        Self {
            id: row.id,
            name: row.name,
            created_at_ms: row.created_at,
            allowance,
            members,
            issuers,
        }
    }

    /// A user's role.
    pub fn role(&self, email: &str) -> Option<Role> {
        self.members.get(email).copied()
    }

    /// The addresses of its members.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// The audiences that it accepts of an issuer.
    pub fn audiences(&self, issuer: &str) -> impl Iterator<Item = &str> {
        let trusted = self.issuers.iter().filter(move |known| known.url == issuer);
        trusted.map(|known| known.audience.as_str())
    }

    /// The highest role that its rules give to the bearer of these claims of an issuer.
    pub fn role_by_claims(&self, issuer: &str, claims: &Map<String, Value>) -> Option<Role> {
        let trusted = self.issuers.iter().filter(|known| {
            known.url == issuer && jwks::claim_matches(claims, "aud", &known.audience)
        });
        let rules = trusted.flat_map(|known| &known.rules);
        rules
            .filter(|rule| jwks::claim_matches(claims, &rule.claim, &rule.value))
            .map(|rule| rule.role)
            .max()
    }
}

fn organization_allowance(allowances: &Allowances, id: &str) -> Arc<Allowance> {
    allowances.of(Owner::Organization, id.to_owned(), id)
}

/// A project.
#[derive(Debug)]
pub struct Project {
    /// Unique in the service.
    pub id: String,
    /// For people.
    pub name: String,
    /// The organization it is in.
    pub organization: String,
    /// Signs the project's cursors.
    pub cursor_secret: [u8; 32],
    /// Counts the calls about none of its topics, once it is in the catalog.
    pub meter: Arc<Meter>,
    /// What it may use.
    pub allowance: Arc<Allowance>,
    /// What its organization may use.
    pub organization_allowance: Arc<Allowance>,
}

impl Project {
    /// Of its rows.
    ///
    /// # Errors
    /// The row is not one that this service wrote.
    pub fn of_rows(
        row: ProjectRow,
        quotas: &[QuotaRow],
        allowances: &Allowances,
    ) -> Result<Self, StoreError> {
        let mut cursor_secret = [0; 32];
        decode_hex(&row.cursor_secret, &mut cursor_secret)
            .ok_or_else(|| StoreError(format!("project {}: bad cursor secret", row.id)))?;
        let allowance = allowances.of(Owner::Project, row.id.clone(), &row.id);
        allowance.set(&Limits::of_rows(quotas, Layer::Project));
        Ok(Self {
            organization_allowance: organization_allowance(allowances, &row.organization_id),
            allowance,
            id: row.id,
            name: row.name,
            organization: row.organization_id,
            cursor_secret,
            meter: Arc::default(),
        })
    }
}

/// An API key.
#[derive(Debug)]
pub struct Key {
    /// The public half.
    pub id: String,
    /// Unique in the project.
    pub name: String,
    /// The project it opens.
    pub project: String,
    /// What is stored of the secret, so that every request still proves it.
    pub secret_sha256: [u8; 32],
    /// Milliseconds since the epoch, if it ends.
    pub expires_at_ms: Option<i64>,
    /// The user who made it.
    pub created_by: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When this node last saw it, in milliseconds since the epoch.
    pub used_ms: Arc<AtomicI64>,
    /// What it may use, whatever its secret is at the moment.
    pub allowance: Arc<Allowance>,
}

impl Key {
    /// A key that no secret opens.
    pub fn nobodys() -> &'static Self {
        static NOBODYS: LazyLock<Key> = LazyLock::new(|| Key {
            id: String::new(),
            name: String::new(),
            project: String::new(),
            secret_sha256: [0; 32],
            expires_at_ms: None,
            created_by: String::new(),
            scopes: Vec::new(),
            used_ms: Arc::default(),
            allowance: Arc::new(Allowance::new(Owner::Key, "")),
        });
        &NOBODYS
    }

    /// Of its row.
    ///
    /// # Errors
    /// The row is not one that this service wrote.
    pub fn of_row(row: KeyRow, allowances: &Allowances) -> Result<Self, StoreError> {
        let bad = |what: &dyn std::fmt::Display| StoreError(format!("key {}: {what}", row.id));
        let mut secret_sha256 = [0; 32];
        decode_hex(&row.secret_sha256, &mut secret_sha256).ok_or_else(|| bad(&"bad hash"))?;
        let scopes = serde_json::from_str(&row.scopes).map_err(|error| bad(&error))?;
        let limits = serde_json::from_str(&row.quotas).map_err(|error| bad(&error))?;
        let id = format!("{}/{}", row.project_id, row.name);
        let allowance = allowances.of(Owner::Key, id, &row.name);
        allowance.set(&limits);
        Ok(Self {
            id: row.id,
            name: row.name,
            project: row.project_id,
            secret_sha256,
            expires_at_ms: row.expires_at,
            created_by: row.created_by,
            scopes,
            used_ms: Arc::default(),
            allowance,
        })
    }
}
