//! Sessions of people whom an identity provider vouches for, and whose account an identity is.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{
    super::Gateway,
    check_email,
    sessions::{SignedSession, end_all_in},
};
use crate::{
    auth::{
        oidc::{Identity, OidcError, Pending, Provider, Providers},
        place,
        signing::{Claims, OIDC_AUDIENCE, verify},
    },
    gateway::{Intent, changes::unavailable},
    limits::{OIDC_LIFE, OIDC_REDIRECT_BYTES_MAX},
    metadata::{Change, UserRow, store::InvitationRow},
    problem::{Code, Problem},
};

/// A sign-in on its way to a provider and back. Meanwhile only the browser that began it has it:
/// whoever sees it can end the sign-in in its place.
#[derive(Serialize, Deserialize)]
pub struct OidcSignIn {
    pending: Pending,
    /// Where the browser goes afterwards, on this service.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub redirect: Option<String>,
}

/// What a browser is given to sign in with.
pub struct BegunOidc {
    /// Where it goes.
    pub authorize_url: String,
    /// What it brings back: the sign-in, signed.
    pub token: String,
}

fn forbidden(detail: &str) -> Problem {
    Problem::new(Code::Forbidden, detail)
}

impl Gateway {
    /// Begins a sign-in through the provider of that name.
    ///
    /// # Errors
    /// 404 for another provider, 400 for a `redirect` that may leave this service, 503 while the
    /// provider is away.
    pub async fn start_oidc(
        &self,
        provider: &str,
        redirect: Option<&str>,
    ) -> Result<BegunOidc, Problem> {
        let (providers, provider) = self.provider(provider)?;
        if !redirect.is_none_or(stays_here) {
            return Err(Problem::invalid(
                "redirect",
                "invalid_path",
                format!(
                    "must be a path of this service: at most {OIDC_REDIRECT_BYTES_MAX} visible \
                     ASCII characters that start with / and have neither // nor \\"
                ),
            ));
        }
        let now_ms = self.clock.now_ms();
        let redirect_uri = providers.redirect_uri(provider);
        let started = providers.sign_in.start(provider, &redirect_uri, now_ms);
        let started = started.await.map_err(|error| refused(provider, error))?;
        let sign_in = OidcSignIn {
            pending: started.pending,
            redirect: redirect.map(str::to_owned),
        };
        let claims = Claims::new(OIDC_AUDIENCE, &provider.name, sign_in, now_ms, OIDC_LIFE);
        Ok(BegunOidc {
            authorize_url: started.authorize_url,
            token: self.authority.signing_key().sign(&claims),
        })
    }

    /// The sign-in that a browser began and comes back from the provider with.
    ///
    /// # Errors
    /// 404 for another provider, 401 if this browser did not begin it, or too long ago.
    pub fn resume_oidc(
        &self,
        provider: &str,
        token: Option<&str>,
        state: &str,
    ) -> Result<OidcSignIn, Problem> {
        self.provider(provider)?;
        let keys = |id: &str| self.catalog.signing_key(id);
        let now_ms = self.clock.now_ms();
        let verified = |token| verify::<OidcSignIn>(token, keys, OIDC_AUDIENCE, now_ms).ok();
        token
            .and_then(verified)
            .filter(|claims| claims.sub == provider)
            .map(|claims| claims.content)
            .filter(|sign_in| sign_in.pending.state_matches(state))
            .ok_or_else(|| {
                Problem::new(
                    Code::Unauthenticated,
                    "this browser did not begin the sign-in, or too long ago; begin again",
                )
            })
    }

    /// Asks the provider who came back with the code. `issuer` is who sent them, if they say so
    /// (RFC 9207).
    ///
    /// # Errors
    /// 401 if the code proves nothing, 429 after too many of those, 503 while the provider is away.
    pub async fn ask_provider(
        &self,
        peer: IpAddr,
        sign_in: &OidcSignIn,
        code: &str,
        issuer: Option<&str>,
    ) -> Result<Identity, Problem> {
        let (providers, provider) = self.provider(&sign_in.pending.provider)?;
        let peer = place(peer);
        let wrong_codes = &self.authority.wrong_credentials;
        // A code that was made up costs a request to the provider.
        wrong_codes.check(&peer, self.clock.now_ms())?;
        let Some(_turn) = providers.turn() else {
            return Err(Problem::new(
                Code::Overloaded,
                "too many people are signing in at once",
            ));
        };
        let now_ms = self.clock.now_ms();
        let proved = match issuer {
            Some(issuer) if issuer != provider.issuer => Err(OidcError::Invalid(
                "another provider sent this browser back",
            )),
            _ => {
                let pending = &sign_in.pending;
                providers
                    .sign_in
                    .finish(provider, pending, code, now_ms)
                    .await
            }
        };
        proved.map_err(|error| {
            if matches!(error, OidcError::Invalid(_)) {
                wrong_codes.wrong(&peer, self.clock.now_ms());
            }
            refused(provider, error)
        })
    }

    /// Begins a session of the person whom a provider vouches for.
    ///
    /// # Errors
    /// 403 for somebody whom nobody knows here or has invited, and for operators.
    pub async fn sign_in_as(
        &self,
        intent: Intent,
        identity: &Identity,
    ) -> Result<SignedSession, Problem> {
        let mut change = self.change().await?;
        let linked = UserRow::identity(&mut change, &identity.issuer, &identity.subject).await;
        let (email, is_linked) = match linked.map_err(unavailable)? {
            Some(email) => (Some(email), true),
            // Whose address it was when they first came is whose it stays.
            None => {
                let said = identity.email.as_deref();
                (said.and_then(|said| check_email("", said).ok()), false)
            }
        };
        let Some(email) = email else {
            return Err(forbidden("the provider says no e-mail address of yours"));
        };
        let admitted = admit(&mut change, identity, &email, is_linked).await;
        if let Err(problem) = admitted {
            drop(change);
            if problem.code == Code::Forbidden {
                // Not the user: who wanted to be.
                let actor = format!("external:{}#{}", identity.issuer, identity.subject);
                self.note_denied_everywhere(&Intent { actor, ..intent }, &email);
            }
            return Err(problem);
        }
        let intent = Intent {
            actor: email.clone(),
            ..intent
        };
        self.begin_session_in(change, &intent, &email).await
    }

    fn provider(&self, name: &str) -> Result<(&Providers, &Provider), Problem> {
        let providers = self.providers.as_ref();
        let found = providers.and_then(|providers| Some((providers, providers.get(name)?)));
        found.ok_or_else(|| super::not_found("identity provider"))
    }
}

/// Makes the identity that of the user with this address, who comes into being if they are invited.
///
/// # Errors
/// 403 if they may not sign in this way.
async fn admit(
    change: &mut Change,
    identity: &Identity,
    email: &str,
    is_linked: bool,
) -> Result<(), Problem> {
    let at_ms = change.at_ms();
    if !is_linked && !identity.email_verified {
        return Err(forbidden(
            "the provider does not vouch for the e-mail address",
        ));
    }
    match UserRow::get(change, email).await.map_err(unavailable)? {
        // Whoever runs a provider would run the cluster.
        Some(user) if user.operator == 1 => {
            return Err(forbidden("operators of the service sign in by password"));
        }
        Some(mut user) if user.verified_at.is_none() => {
            // Whoever chose the password had an invitation, which is no proof of the address.
            user.password_hash = String::new();
            user.verified_at = Some(at_ms);
            user.update(change).await.map_err(unavailable)?;
            end_all_in(change, email, None).await?;
        }
        Some(_) => {}
        None => {
            let invited = InvitationRow::is_open_for(change, email, at_ms).await;
            if !invited.map_err(unavailable)? {
                return Err(forbidden("nobody has invited this address"));
            }
            let user = UserRow {
                email: email.to_owned(),
                password_hash: String::new(),
                operator: 0,
                verified_at: Some(at_ms),
                created_at: at_ms,
            };
            user.insert(change).await.map_err(unavailable)?;
        }
    }
    if !is_linked {
        let Identity {
            issuer, subject, ..
        } = identity;
        let linked = UserRow::link_identity(change, issuer, subject, email, at_ms).await;
        linked.map_err(unavailable)?;
    }
    Ok(())
}

fn refused(provider: &Provider, error: OidcError) -> Problem {
    match error {
        OidcError::Invalid(why) => Problem::new(Code::Unauthenticated, why),
        OidcError::Unavailable(why) => {
            tracing::warn!(
                provider = provider.name,
                why,
                "nobody can sign in through a provider"
            );
            Problem::new(
                Code::Unavailable,
                "the identity provider cannot be used now",
            )
        }
    }
}

/// Whether a browser that is sent there stays on this service. What browsers take for a host, or
/// drop, is not let in anywhere.
fn stays_here(path: &str) -> bool {
    path.len() <= OIDC_REDIRECT_BYTES_MAX
        && path.starts_with('/')
        && !path.contains("//")
        && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_service_are_gone_to() {
        let longest = format!("/{}", "a".repeat(OIDC_REDIRECT_BYTES_MAX - 1));
        for good in ["/", "/console", "/console/a?b=c%2F%2Fd#e", &longest] {
            assert!(stays_here(good), "{good}");
        }
        let too_long = format!("{longest}a");
        for bad in [
            "",
            "console",
            "//evil.example",
            "/.//evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "https://evil.example",
            "/\t/evil.example",
            "/a b",
            "/a\r\nSet-Cookie: b",
            "/\u{7f}",
            "/\u{e9}",
            "javascript:alert(1)",
            &too_long,
        ] {
            assert!(!stays_here(bad), "{bad:?}");
        }
    }
}
