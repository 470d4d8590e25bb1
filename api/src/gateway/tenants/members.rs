//! Members of organizations, and those who are invited to become one.

use serde::{Deserialize, Serialize};

use super::{super::Gateway, not_found, too_many};
use crate::{
    auth::{Role, encode_hex, random_secret, sha256_hex},
    gateway::{
        Intent,
        changes::{check_absent, check_version, unavailable},
    },
    limits::{INVITATION_LIFE, MEMBERS_MAX},
    metadata::{
        Change, Kind,
        store::{InvitationRow, MembershipRow},
    },
    problem::{Code, Problem},
};

/// What a member shall be.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "developer"}))]
pub struct PutMember {
    /// The role.
    pub role: Role,
}

/// Whether somebody is in an organization yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// They are.
    Active,
    /// They have not accepted the invitation.
    Invited,
}

/// A member, or somebody who is invited.
#[derive(Debug)]
pub struct Member {
    /// The address.
    pub email: String,
    /// The name of a role.
    pub role: String,
    /// Whether they are in.
    pub state: MemberState,
    /// Since when, in milliseconds since the epoch.
    pub created_at_ms: i64,
    /// When the invitation ends, in milliseconds since the epoch.
    pub expires_at_ms: Option<i64>,
    /// The ETag of a member; invitations have none.
    pub version: Option<i64>,
    /// The invitation's token, for who made it.
    pub token: Option<String>,
}

impl From<MembershipRow> for Member {
    fn from(row: MembershipRow) -> Self {
        Self {
            email: row.email,
            role: row.role,
            state: MemberState::Active,
            created_at_ms: row.created_at,
            expires_at_ms: None,
            version: Some(row.version),
            token: None,
        }
    }
}

impl From<InvitationRow> for Member {
    fn from(row: InvitationRow) -> Self {
        Self {
            email: row.email,
            role: row.role,
            state: MemberState::Invited,
            created_at_ms: row.created_at,
            expires_at_ms: Some(row.expires_at),
            version: None,
            token: None,
        }
    }
}

impl Gateway {
    /// Members and invited people after `after`, by address, at most `most`.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn list_members(
        &self,
        organization: &str,
        after: &str,
        most: i64,
    ) -> Result<Vec<Member>, Problem> {
        let now_ms = self.clock.now_ms();
        let mut connection = self.connection().await?;
        let members = MembershipRow::page(&mut connection, organization, after, most).await;
        let invited = InvitationRow::page(&mut connection, organization, now_ms, after, most).await;
        let members = members.map_err(unavailable)?.into_iter().map(Member::from);
        let invited = invited.map_err(unavailable)?.into_iter().map(Member::from);
        let mut all: Vec<Member> = members.chain(invited).collect();
        all.sort_by(|a, b| a.email.cmp(&b.email));
        all.truncate(most as usize);
        Ok(all)
    }

    /// One of them.
    ///
    /// # Errors
    /// 404 if there is none of that address.
    pub async fn read_member(&self, organization: &str, email: &str) -> Result<Member, Problem> {
        let now_ms = self.clock.now_ms();
        let mut connection = self.connection().await?;
        let member = MembershipRow::get(&mut connection, organization, email).await;
        if let Some(member) = member.map_err(unavailable)? {
            return Ok(member.into());
        }
        let invited = InvitationRow::get(&mut connection, organization, email).await;
        let invited = invited.map_err(unavailable)?;
        let open = invited.filter(|invited| invited.expires_at > now_ms);
        open.map(Member::from).ok_or_else(|| not_found("member"))
    }

    /// Gives a member a role, or invites somebody; answers whether a new invitation was made.
    ///
    /// # Errors
    /// 403 where an owner is needed, 409 for the last owner, 412 if it was changed meanwhile.
    pub async fn put_member(
        &self,
        intent: &Intent,
        organization: &str,
        email: &str,
        role: Role,
        if_match: Option<&str>,
    ) -> Result<(Member, bool), Problem> {
        let (mut change, by) = self.begin_with_role(intent).await?;
        let member = MembershipRow::get(&mut change, organization, email).await;
        if let Some(mut member) = member.map_err(unavailable)? {
            check_version(member.version, if_match)?;
            let was_owner = member.role == Role::Owner.name();
            check_owners_business(by, was_owner || role == Role::Owner)?;
            if was_owner && role != Role::Owner {
                check_not_last_owner(&mut change, organization).await?;
            }
            member.role = role.name().into();
            member.version += 1;
            member.put(&mut change).await.map_err(unavailable)?;
            self.finish_member(change, intent, organization, email)
                .await?;
            return Ok((member.into(), false));
        }
        check_absent(if_match)?;
        let at_ms = change.at_ms();
        let before = InvitationRow::get(&mut change, organization, email).await;
        let before = before.map_err(unavailable)?;
        let of_owner = |before: &InvitationRow| before.role == Role::Owner.name();
        let was_owner = before.as_ref().is_some_and(of_owner);
        check_owners_business(by, was_owner || role == Role::Owner)?;
        let is_new = before.is_none_or(|before| before.expires_at <= at_ms);
        let count = MembershipRow::count_people(&mut change, organization).await;
        if is_new && count.map_err(unavailable)? >= MEMBERS_MAX {
            return Err(too_many("members of an organization", MEMBERS_MAX));
        }
        let token = format!("hwi_{}", encode_hex(&random_secret()));
        let invitation = InvitationRow {
            organization_id: organization.to_owned(),
            email: email.to_owned(),
            role: role.name().into(),
            token_sha256: sha256_hex(&token),
            invited_by: intent.actor.clone(),
            created_at: at_ms,
            expires_at: at_ms + INVITATION_LIFE.as_millis() as i64,
        };
        invitation.put(&mut change).await.map_err(unavailable)?;
        self.finish_member(change, intent, organization, email)
            .await?;
        let token = (!intent.dry_run).then_some(token);
        let invited = Member {
            token,
            ..invitation.into()
        };
        Ok((invited, is_new))
    }

    /// Removes a member, or withdraws an invitation.
    ///
    /// # Errors
    /// 403 where an owner is needed, 404 if there is neither, 409 for the last owner, 412 if it was
    /// changed meanwhile.
    pub async fn remove_member(
        &self,
        intent: &Intent,
        organization: &str,
        email: &str,
        if_match: Option<&str>,
    ) -> Result<(), Problem> {
        let (mut change, by) = self.begin_with_role(intent).await?;
        let member = MembershipRow::get(&mut change, organization, email).await;
        match member.map_err(unavailable)? {
            Some(member) => {
                check_version(member.version, if_match)?;
                if member.role == Role::Owner.name() {
                    check_owners_business(by, true)?;
                    check_not_last_owner(&mut change, organization).await?;
                }
                member.delete(&mut change).await.map_err(unavailable)?;
            }
            None => {
                check_absent(if_match)?;
                let before = InvitationRow::get(&mut change, organization, email).await;
                let at_ms = change.at_ms();
                let open = before.map_err(unavailable)?;
                let open = open.filter(|before| before.expires_at > at_ms);
                let open = open.ok_or_else(|| not_found("member"))?;
                check_owners_business(by, open.role == Role::Owner.name())?;
                let deleted = InvitationRow::delete(&mut change, organization, email).await;
                deleted.map_err(unavailable)?;
            }
        }
        self.finish_member(change, intent, organization, email)
            .await
    }

    pub(super) async fn finish_member(
        &self,
        change: Change,
        intent: &Intent,
        organization: &str,
        email: &str,
    ) -> Result<(), Problem> {
        let target = format!("organizations/{organization}/members/{email}");
        self.conclude(
            change,
            intent,
            (Kind::Organization, organization),
            organization,
            &target,
        )
        .await
    }
}

fn check_owners_business(by: Option<Role>, about_an_owner: bool) -> Result<(), Problem> {
    if about_an_owner && by < Some(Role::Owner) {
        return Err(Problem::new(
            Code::Forbidden,
            "owners are made, changed and removed by owners",
        ));
    }
    Ok(())
}

async fn check_not_last_owner(change: &mut Change, organization: &str) -> Result<(), Problem> {
    let owners = MembershipRow::count_with_role(change, organization, Role::Owner.name()).await;
    if owners.map_err(unavailable)? > 1 {
        return Ok(());
    }
    Err(Problem::new(
        Code::LastOwner,
        "the organization would have no owner; make somebody else one first",
    ))
}
