//! Sessions of people: begun with a password, carried on by a cookie whose token works once, ended by
//! whoever has it, or by a token that comes twice.

use std::{net::IpAddr, sync::Arc, time::Duration};

use super::super::Gateway;
use crate::{
    auth::{
        Caller, check_new_password, encode_hex, place, random_secret, sha256_hex,
        signing::SigningKey,
    },
    gateway::{
        Intent,
        changes::{unavailable, write_down},
    },
    limits::{METADATA_POLL, METADATA_PRUNE, SESSION_LIFE, SIGNING_KEY_ROTATION},
    metadata::{
        Change, Kind, UserRow,
        store::{MembershipRow, RefreshRow, SigningKeyRow, StoreError},
    },
    problem::{Code, Problem},
};

/// What a session is carried on with. It works once.
pub struct Refresh {
    /// For the cookie.
    pub token: String,
    /// When the session ends by itself, from now.
    pub life: Duration,
}

/// A session that goes on.
pub struct SignedSession {
    /// For `Authorization`.
    pub access_token: String,
    /// How long it is good.
    pub expires_in: Duration,
    /// What comes after it.
    pub refresh: Refresh,
}

fn wrong() -> Problem {
    Problem::new(
        Code::Unauthenticated,
        "no user has this address and this password",
    )
}

fn no_session() -> Problem {
    Problem::new(Code::Unauthenticated, "the session has ended; sign in")
}

impl Gateway {
    /// Begins a session of whoever has this password.
    ///
    /// # Errors
    /// 401, alike for an address that nobody has; 429 after too many wrong tries.
    pub async fn sign_in(
        &self,
        intent: Intent,
        email: &str,
        password: String,
    ) -> Result<SignedSession, Problem> {
        let user = self.read_user(email).await?;
        let intent = Intent {
            actor: email.to_owned(),
            ..intent
        };
        let peer = place(intent.source_ip);
        let checked = self
            .check_password(email, password, user.as_ref(), peer)
            .await;
        if let Err(problem) = checked {
            self.note_denied_everywhere(&intent, email);
            return Err(problem);
        }
        let user = user.ok_or_else(wrong)?;
        self.begin_session(&intent, &user).await
    }

    /// Whether the password is this user's, or would be if there were one. Wrong ones are counted.
    ///
    /// # Errors
    /// 401 if not, 429 after too many.
    pub(super) async fn check_password(
        &self,
        email: &str,
        password: String,
        user: Option<&UserRow>,
        peer: IpAddr,
    ) -> Result<(), Problem> {
        let authority = &self.authority;
        let who = (peer, email.to_owned());
        let now_ms = self.clock.now_ms();
        // Counted before it is known to be wrong: tries that come at once are as many.
        authority.wrong_credentials.attempt(&peer, now_ms)?;
        authority.wrong_passwords.attempt(&who, now_ms)?;
        let hash = user.map(|user| user.password_hash.clone());
        let verified = authority.passwords.verify(password, hash).await;
        if !matches!(verified, Ok(false)) {
            authority.wrong_credentials.take_back(&peer);
        }
        match verified {
            Ok(true) => {
                authority.wrong_passwords.right(&who);
                Ok(())
            }
            Ok(false) => Err(wrong()),
            Err(problem) => {
                authority.wrong_passwords.take_back(&who);
                Err(problem)
            }
        }
    }

    /// Begins a session of a user who proved who they are.
    pub(super) async fn begin_session(
        &self,
        intent: &Intent,
        user: &UserRow,
    ) -> Result<SignedSession, Problem> {
        let mut change = self.change().await?;
        // A password that was changed meanwhile begins nothing any more.
        let now = UserRow::get(&mut change, &user.email).await;
        let now = now.map_err(unavailable)?;
        if now.is_none_or(|now| now.password_hash != user.password_hash) {
            return Err(wrong());
        }
        self.begin_session_in(change, intent, &user.email).await
    }

    /// Begins a session in the change that it depends on, and commits both.
    pub(super) async fn begin_session_in(
        &self,
        mut change: Change,
        intent: &Intent,
        email: &str,
    ) -> Result<SignedSession, Problem> {
        let session = encode_hex(&random_secret()[..16]);
        let at_ms = change.at_ms();
        let expires_at_ms = at_ms + SESSION_LIFE.as_millis() as i64;
        let begun = RefreshRow::insert_session(&mut change, &session, email, at_ms, expires_at_ms);
        begun.await.map_err(unavailable)?;
        let token = next_token(&mut change, &session).await?;
        self.write_down_everywhere(&mut change, intent, email)
            .await?;
        self.commit(change).await?;
        Ok(self.signed(email, &session, token, SESSION_LIFE))
    }

    /// Carries a session on.
    ///
    /// # Errors
    /// 401 if it has ended, or the token was used before: then it ends now.
    pub async fn refresh_session(
        &self,
        intent: Intent,
        token: &str,
    ) -> Result<SignedSession, Problem> {
        let token_sha256 = sha256_hex(token);
        self.known_token(&token_sha256, intent.source_ip).await?;
        let mut change = self.change().await?;
        let at_ms = change.at_ms();
        let row = RefreshRow::get(&mut change, &token_sha256).await;
        let row = row.map_err(unavailable)?.ok_or_else(no_session)?;
        if row.ended_at.is_some() || row.expires_at <= at_ms {
            return Err(no_session());
        }
        if row.used_at.is_some() {
            // Two have it, and one of them stole it.
            tracing::warn!(email = row.email, "a used refresh token came back");
            self.end(change, &row.session_id).await?;
            let intent = Intent {
                actor: row.email.clone(),
                ..intent
            };
            self.note_denied_everywhere(&intent, &row.email);
            return Err(no_session());
        }
        let used = RefreshRow::use_token(&mut change, &token_sha256, at_ms).await;
        used.map_err(unavailable)?;
        let token = next_token(&mut change, &row.session_id).await?;
        self.commit(change).await?;
        let left_ms = row.expires_at.saturating_sub(at_ms).max(0) as u64;
        let life = Duration::from_millis(left_ms);
        Ok(self.signed(&row.email, &row.session_id, token, life))
    }

    /// The session of a refresh token. Made-up ones take no turn among changes, and are counted.
    async fn known_token(&self, token_sha256: &str, from: IpAddr) -> Result<RefreshRow, Problem> {
        let (peer, now_ms) = (place(from), self.clock.now_ms());
        let wrong_credentials = &self.authority.wrong_credentials;
        let mut connection = self.connection().await?;
        let row = RefreshRow::get(&mut connection, token_sha256).await;
        row.map_err(unavailable)?.ok_or_else(|| {
            let refused = wrong_credentials.check(&peer, now_ms);
            wrong_credentials.wrong(&peer, now_ms);
            refused.err().unwrap_or_else(no_session)
        })
    }

    /// Ends the session of a refresh token.
    ///
    /// # Errors
    /// 401 if there is none, 429 after too many such.
    pub async fn end_session_of_token(&self, token: &str, from: IpAddr) -> Result<(), Problem> {
        let row = self.known_token(&sha256_hex(token), from).await?;
        let change = self.change().await?;
        self.end(change, &row.session_id).await
    }

    /// Ends the session that an access token is of.
    ///
    /// # Errors
    /// 403 for a caller that has none.
    pub async fn end_session_of(&self, caller: &Caller) -> Result<(), Problem> {
        let Caller::User(user) = caller else {
            return Err(Problem::new(
                Code::Forbidden,
                "the credential is not of a session",
            ));
        };
        let change = self.change().await?;
        self.end(change, &user.session).await
    }

    async fn end(&self, mut change: Change, session: &str) -> Result<(), Problem> {
        end_in(&mut change, session).await?;
        self.commit(change).await
    }

    /// Changes a user's password, and ends their other sessions.
    ///
    /// # Errors
    /// 403 if the current one is wrong, 422 if the new one is no good.
    pub async fn change_password(
        &self,
        intent: Intent,
        caller: &Caller,
        current: String,
        new: String,
    ) -> Result<(), Problem> {
        let Caller::User(user) = caller else {
            super::user_of(caller)?;
            return Err(wrong());
        };
        check_new_password("/new_password", &new)?;
        let row = self.read_user(&user.email).await?;
        let peer = place(intent.source_ip);
        let checked = self
            .check_password(&user.email, current, row.as_ref(), peer)
            .await;
        checked.map_err(|problem| match problem.code {
            // Not 401: the credential of the call is good.
            Code::Unauthenticated => Problem::new(Code::Forbidden, "").at(
                "/current_password",
                "wrong_password",
                "the current password is another",
            ),
            _ => problem,
        })?;
        let password_hash = self.authority.passwords.hash(new).await?;
        let mut change = self.change().await?;
        let row = UserRow::get(&mut change, &user.email).await;
        let mut row = row.map_err(unavailable)?.ok_or_else(wrong)?;
        row.password_hash = password_hash;
        row.update(&mut change).await.map_err(unavailable)?;
        end_all_in(&mut change, &user.email, Some(&user.session)).await?;
        self.write_down_everywhere(&mut change, &intent, &user.email)
            .await?;
        self.commit(change).await
    }

    pub(super) async fn read_user(&self, email: &str) -> Result<Option<UserRow>, Problem> {
        let mut connection = self.connection().await?;
        let row = UserRow::get(&mut connection, email).await;
        row.map_err(unavailable)
    }

    /// What concerns a person concerns every organization that they are in.
    async fn write_down_everywhere(
        &self,
        change: &mut Change,
        intent: &Intent,
        email: &str,
    ) -> Result<(), Problem> {
        let memberships = MembershipRow::of_user(change, email).await;
        for membership in memberships.map_err(unavailable)? {
            let target = format!("users/{email}");
            write_down(change, intent, &membership.organization_id, &target).await?;
        }
        Ok(())
    }

    pub(super) fn note_denied_everywhere(&self, intent: &Intent, email: &str) {
        for (organization, _) in self.catalog.organizations_of(email) {
            self.note_denied(intent, &organization.id, &format!("users/{email}"));
        }
    }

    fn signed(&self, email: &str, session: &str, token: String, life: Duration) -> SignedSession {
        let now_ms = self.clock.now_ms();
        let (access_token, expires_in) = self.authority.access_token(email, session, now_ms);
        SignedSession {
            access_token,
            expires_in,
            refresh: Refresh { token, life },
        }
    }

    /// Signs with another key from time to time, for as long as the service runs.
    pub async fn rotate_signing_keys(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SIGNING_KEY_ROTATION).await;
            let key = Arc::new(SigningKey::generate());
            while let Err(error) = self.publish_signing_key(&key).await {
                tracing::warn!(%error, "the next signing key is not published yet");
                tokio::time::sleep(METADATA_PRUNE).await;
            }
            // By then every node has read the feed.
            tokio::time::sleep(3 * METADATA_POLL).await;
            self.authority.sign_with(key);
        }
    }

    /// Tells every node the public half of a key that this one is about to sign with.
    ///
    /// # Errors
    /// The database failed.
    pub async fn publish_signing_key(&self, key: &SigningKey) -> Result<(), StoreError> {
        let mut change = self.store.change(self.clock.now_ms()).await?;
        let created_at = change.at_ms();
        let row = SigningKeyRow {
            id: key.id().to_owned(),
            public_key: encode_hex(&key.public_key()),
            created_at,
            // It signs until the next rotation, and what it signed lives a little longer.
            expires_at: created_at + 2 * SIGNING_KEY_ROTATION.as_millis() as i64,
        };
        row.insert(&mut change).await?;
        change.touch(Kind::SigningKey, &row.id).await?;
        change.commit().await
    }
}

async fn next_token(change: &mut Change, session: &str) -> Result<String, Problem> {
    let token = format!("hwr_{}", encode_hex(&random_secret()));
    let at_ms = change.at_ms();
    let inserted = RefreshRow::insert_token(change, &sha256_hex(&token), session, at_ms).await;
    inserted.map_err(unavailable)?;
    Ok(token)
}

/// Ends a user's sessions, `except` one.
pub(super) async fn end_all_in(
    change: &mut Change,
    email: &str,
    except: Option<&str>,
) -> Result<(), Problem> {
    let now_ms = change.at_ms();
    let open = RefreshRow::open_sessions(change, email, now_ms).await;
    for session in open.map_err(unavailable)? {
        if except != Some(session.as_str()) {
            end_in(change, &session).await?;
        }
    }
    Ok(())
}

async fn end_in(change: &mut Change, session: &str) -> Result<(), Problem> {
    let at_ms = change.at_ms();
    let ended = RefreshRow::end_session(change, session, at_ms).await;
    ended.map_err(unavailable)?;
    let touched = change.touch(Kind::Session, session).await;
    touched.map_err(unavailable)
}
