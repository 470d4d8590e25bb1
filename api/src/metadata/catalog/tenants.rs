//! What the snapshot has of organizations, projects and keys.

use std::collections::HashMap;

use crate::{
    auth::{Role, Scope, decode_hex},
    metadata::store::{KeyRow, MembershipRow, ProjectRow, StoreError},
};

/// An organization's people.
#[derive(Debug, Default)]
pub struct Members(HashMap<String, Role>);

impl Members {
    /// Of the rows of one organization.
    ///
    /// # Errors
    /// A row is not one that this service wrote.
    pub fn of_rows(rows: Vec<MembershipRow>) -> Result<Self, StoreError> {
        let members = rows.into_iter().map(|row| {
            let role = Role::of(&row.role).ok_or_else(|| {
                StoreError(format!(
                    "{}: bad role of {}",
                    row.organization_id, row.email
                ))
            })?;
            Ok((row.email, role))
        });
        members.collect::<Result<_, _>>().map(Self)
    }

    /// A user's role.
    pub fn role(&self, email: &str) -> Option<Role> {
        self.0.get(email).copied()
    }
}

/// A project.
#[derive(Debug)]
pub struct Project {
    /// Unique in the service.
    pub id: String,
    /// The organization it is in.
    pub organization: String,
    /// Signs the project's cursors.
    pub cursor_secret: [u8; 32],
}

impl Project {
    /// Of its row.
    ///
    /// # Errors
    /// The row is not one that this service wrote.
    pub fn of_row(row: ProjectRow) -> Result<Self, StoreError> {
        let mut cursor_secret = [0; 32];
        decode_hex(&row.cursor_secret, &mut cursor_secret)
            .ok_or_else(|| StoreError(format!("project {}: bad cursor secret", row.id)))?;
        Ok(Self {
            id: row.id,
            organization: row.organization_id,
            cursor_secret,
        })
    }
}

/// An API key.
#[derive(Debug)]
pub struct Key {
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
}

impl Key {
    /// A key that no secret opens.
    pub fn nobodys() -> &'static Self {
        static NOBODYS: Key = Key {
            project: String::new(),
            secret_sha256: [0; 32],
            expires_at_ms: None,
            created_by: String::new(),
            scopes: Vec::new(),
        };
        &NOBODYS
    }

    /// Of its row.
    ///
    /// # Errors
    /// The row is not one that this service wrote.
    pub fn of_row(row: KeyRow) -> Result<Self, StoreError> {
        let bad = |what: &dyn std::fmt::Display| StoreError(format!("key {}: {what}", row.id));
        let mut secret_sha256 = [0; 32];
        decode_hex(&row.secret_sha256, &mut secret_sha256).ok_or_else(|| bad(&"bad hash"))?;
        let scopes = serde_json::from_str(&row.scopes).map_err(|error| bad(&error))?;
        Ok(Self {
            project: row.project_id,
            secret_sha256,
            expires_at_ms: row.expires_at,
            created_by: row.created_by,
            scopes,
        })
    }
}
