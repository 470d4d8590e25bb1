//! Organizations: made by users, gone with everything in them.

use std::sync::Arc;

use serde::Deserialize;

use super::{super::Gateway, not_found, too_many};
use crate::{
    auth::Role,
    gateway::{
        Intent,
        changes::{check_version, unavailable},
    },
    limits::{ORGANIZATIONS_MADE_IN, ORGANIZATIONS_MADE_MAX, ORGANIZATIONS_MAX, TITLE_LENGTH_MAX},
    metadata::{
        Change, Kind, Organization, not_null,
        store::{Buried, MembershipRow, OrganizationRow, ProjectRow},
    },
    problem::{Code, Problem},
};

/// A new organization or project.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id": "acme", "name": "Acme Ltd."}))]
pub struct Named {
    /// 3 to 63 of a-z, 0-9 and -, starting with a letter; never given to anybody else.
    #[schema(pattern = "^[a-z][a-z0-9-]{2,62}$", example = "acme")]
    pub id: String,
    /// For people; the id by default.
    #[schema(value_type = String, max_length = 200, example = "Acme Ltd.")]
    #[serde(default, deserialize_with = "not_null")]
    pub name: Option<String>,
}

impl Named {
    /// The id and the name, checked.
    ///
    /// # Errors
    /// 400 if one is malformed.
    pub fn checked(self) -> Result<(String, String), Problem> {
        check_slug("/id", &self.id)?;
        let name = self.name.unwrap_or_else(|| self.id.clone());
        check_title(&name)?;
        Ok((self.id, name))
    }
}

/// Whether `id` may be that of an organization or a project.
///
/// # Errors
/// 400 if not.
pub fn check_slug(pointer: &str, id: &str) -> Result<(), Problem> {
    let good = (3..=63).contains(&id.len())
        && id.starts_with(|c: char| c.is_ascii_lowercase())
        && id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if good {
        return Ok(());
    }
    Err(Problem::invalid(
        pointer,
        "invalid_id",
        "must be 3 to 63 of a-z, 0-9 and -, and start with a letter",
    ))
}

/// Whether `name` may be one for people.
///
/// # Errors
/// 400 if not.
pub fn check_title(name: &str) -> Result<(), Problem> {
    let good = (1..=TITLE_LENGTH_MAX).contains(&name.chars().count())
        && !name.chars().any(char::is_control);
    if good {
        return Ok(());
    }
    Err(Problem::invalid(
        "/name",
        "invalid_name",
        format!("must be 1 to {TITLE_LENGTH_MAX} characters on one line"),
    ))
}

impl Gateway {
    /// Makes an organization that `owner` owns.
    ///
    /// # Errors
    /// 409 if the id is or was taken, 403 if the user has too many.
    pub async fn create_organization(
        &self,
        intent: &Intent,
        owner: &str,
        id: &str,
        name: String,
    ) -> Result<OrganizationRow, Problem> {
        let mut change = self.begin(intent).await?;
        let count = MembershipRow::count_of(&mut change, owner).await;
        if count.map_err(unavailable)? >= ORGANIZATIONS_MAX {
            return Err(too_many("organizations of one user", ORGANIZATIONS_MAX));
        }
        // An id is taken for ever, so deleting organizations does not make room for more.
        let since_ms = change.at_ms() - ORGANIZATIONS_MADE_IN.as_millis() as i64;
        let made = OrganizationRow::made_by(&mut change, owner, since_ms).await;
        if made.map_err(unavailable)? >= ORGANIZATIONS_MADE_MAX && !self.catalog.is_operator(owner)
        {
            let what =
                "organizations that one user makes in 24 hours, with those that were deleted";
            return Err(too_many(what, ORGANIZATIONS_MADE_MAX));
        }
        let row = OrganizationRow {
            id: id.to_owned(),
            name,
            version: 1,
            created_at: change.at_ms(),
        };
        let inserted = row.insert(&mut change, Some(owner)).await;
        if !inserted.map_err(unavailable)? {
            return Err(already_exists());
        }
        let member = MembershipRow {
            organization_id: id.to_owned(),
            email: owner.to_owned(),
            role: Role::Owner.name().into(),
            version: 1,
            created_at: change.at_ms(),
        };
        member.put(&mut change).await.map_err(unavailable)?;
        self.finish_organization(change, intent, id).await?;
        Ok(row)
    }

    /// Reads an organization.
    ///
    /// # Errors
    /// 404 if it went, 503 if the database is away.
    pub async fn read_organization(&self, id: &str) -> Result<OrganizationRow, Problem> {
        let mut connection = self.connection().await?;
        let row = OrganizationRow::get(&mut connection, id).await;
        row.map_err(unavailable)?
            .ok_or_else(|| not_found("organization"))
    }

    /// Renames an organization.
    ///
    /// # Errors
    /// 412 if it was changed meanwhile.
    pub async fn rename_organization(
        &self,
        intent: &Intent,
        id: &str,
        name: Option<String>,
        if_match: Option<&str>,
    ) -> Result<OrganizationRow, Problem> {
        let mut change = self.begin(intent).await?;
        let mut row = stored(&mut change, id).await?;
        check_version(row.version, if_match)?;
        row.name = name.unwrap_or(row.name);
        row.version += 1;
        row.update(&mut change).await.map_err(unavailable)?;
        self.finish_organization(change, intent, id).await?;
        Ok(row)
    }

    /// Deletes an organization with its people's part in it, its projects, keys and topics.
    ///
    /// # Errors
    /// 412 if it was changed meanwhile.
    pub async fn delete_organization(
        &self,
        intent: &Intent,
        organization: &Arc<Organization>,
        if_match: Option<&str>,
    ) -> Result<(), Problem> {
        let id = &organization.id;
        let mut change = self.begin(intent).await?;
        let row = stored(&mut change, id).await?;
        check_version(row.version, if_match)?;
        let buried = ProjectRow::bury(&mut change, Buried::Organization(id)).await;
        buried.map_err(unavailable)?;
        let at_ms = change.at_ms();
        let buried = OrganizationRow::bury(&mut change, id, at_ms).await;
        buried.map_err(unavailable)?;
        self.finish_organization(change, intent, id).await
    }

    /// Has every node read the organization again, and finishes the change of it.
    pub(super) async fn finish_organization(
        &self,
        change: Change,
        intent: &Intent,
        id: &str,
    ) -> Result<(), Problem> {
        self.conclude(
            change,
            intent,
            (Kind::Organization, id),
            id,
            &format!("organizations/{id}"),
        )
        .await
    }
}

async fn stored(change: &mut Change, id: &str) -> Result<OrganizationRow, Problem> {
    let row = OrganizationRow::get(change, id).await;
    row.map_err(unavailable)?
        .ok_or_else(|| not_found("organization"))
}

pub(super) fn already_exists() -> Problem {
    Problem::new(Code::AlreadyExists, "the id is taken").at("/id", "taken", "choose another id")
}
