//! Accepting invitations: by somebody who signed in, or with a new account.

use std::net::IpAddr;

use super::{super::Gateway, not_found};
use crate::{
    auth::{check_new_password, place, sha256_hex},
    gateway::{Intent, changes::unavailable},
    metadata::store::{InvitationRow, MembershipRow, UserRow},
    problem::{Code, Problem},
};

/// Where somebody is a member now.
#[derive(Debug)]
pub struct Accepted {
    /// The organization.
    pub organization: String,
    /// Their address.
    pub email: String,
    /// The name of their role.
    pub role: String,
}

impl Gateway {
    /// Makes a member of whom the token invites: of `signed_in`, or of who has or chooses the
    /// password of the invited address.
    ///
    /// # Errors
    /// 404 for a token that is not good, 403 for another user, 401 for a wrong password, 429 after
    /// too many of either.
    pub async fn accept_invitation(
        &self,
        intent: Intent,
        token: &str,
        signed_in: Option<&str>,
        password: Option<String>,
    ) -> Result<Accepted, Problem> {
        let peer = place(intent.source_ip);
        let now_ms = self.clock.now_ms();
        let wrong_tokens = &self.authority.wrong_credentials;
        wrong_tokens.check(&peer, now_ms)?;
        let token_sha256 = sha256_hex(token);
        let (invitation, user) = {
            let mut connection = self.connection().await?;
            let invitation = InvitationRow::by_token(&mut connection, &token_sha256).await;
            let open = invitation.map_err(unavailable)?;
            let Some(open) = open.filter(|open| open.expires_at > now_ms) else {
                wrong_tokens.wrong(&peer, now_ms);
                return Err(not_found("invitation"));
            };
            let user = UserRow::get(&mut connection, &open.email).await;
            (open, user.map_err(unavailable)?)
        };
        let new_account = match signed_in {
            Some(email) if email == invitation.email => None,
            Some(_) => {
                return Err(Problem::new(
                    Code::Forbidden,
                    "the invitation is for another address",
                ));
            }
            None => {
                let password = password.ok_or_else(|| {
                    Problem::invalid("/password", "required", "sign in, or send a password")
                })?;
                self.prove_or_choose(&invitation.email, password, user.as_ref(), peer)
                    .await?
            }
        };
        let intent = Intent {
            actor: invitation.email.clone(),
            ..intent
        };
        self.join(&intent, invitation, new_account).await
    }

    /// Checks the password of a user, or answers the hash of a new one's.
    async fn prove_or_choose(
        &self,
        email: &str,
        password: String,
        user: Option<&UserRow>,
        peer: IpAddr,
    ) -> Result<Option<String>, Problem> {
        match user {
            Some(user) => {
                self.check_password(email, password, Some(user), peer)
                    .await?;
                Ok(None)
            }
            None => {
                check_new_password("/password", &password)?;
                Ok(Some(self.authority.passwords.hash(password).await?))
            }
        }
    }

    async fn join(
        &self,
        intent: &Intent,
        invitation: InvitationRow,
        new_password_hash: Option<String>,
    ) -> Result<Accepted, Problem> {
        let mut change = self.change().await?;
        let (organization, email) = (&invitation.organization_id, &invitation.email);
        let created_at = change.at_ms();
        // Used, withdrawn or replaced meanwhile, or the organization went.
        let now = InvitationRow::by_token(&mut change, &invitation.token_sha256).await;
        if now.map_err(unavailable)?.is_none() {
            return Err(not_found("invitation"));
        }
        if let Some(password_hash) = new_password_hash {
            let user = UserRow {
                email: email.clone(),
                password_hash,
                operator: 0,
                verified_at: None,
                created_at,
            };
            if !user.insert(&mut change).await.map_err(unavailable)? {
                return Err(Problem::new(
                    Code::AlreadyExists,
                    "the account was made meanwhile: sign in and accept again",
                ));
            }
        }
        let member = MembershipRow {
            organization_id: organization.clone(),
            email: email.clone(),
            role: invitation.role.clone(),
            version: 1,
            created_at,
        };
        member.put(&mut change).await.map_err(unavailable)?;
        let deleted = InvitationRow::delete(&mut change, organization, email).await;
        deleted.map_err(unavailable)?;
        self.finish_member(change, intent, organization, email)
            .await?;
        Ok(Accepted {
            organization: organization.clone(),
            email: email.clone(),
            role: invitation.role,
        })
    }
}
