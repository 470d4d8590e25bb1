//! Signing in through OpenID Connect providers that the operator configured: the authorization code
//! flow with PKCE, as a confidential or a public client.

mod provider;
mod providers;

use std::fmt;

use futures_util::FutureExt;
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, ExtraTokenFields,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    StandardRevocableToken, StandardTokenResponse, TokenResponse, TokenUrl,
    basic::{
        BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
        BasicTokenType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::{
    jwks::{Discovery, Jwks},
    outbound::OutboundError,
    secrets::random_secret,
    signing::TokenError,
};

pub use provider::{Provider, read_providers};
pub use providers::Providers;

/// An authorization code, in bytes.
const CODE_BYTES_MAX: usize = 4 << 10;
/// A subject, in bytes, as OpenID Connect bounds it.
const SUBJECT_BYTES_MAX: usize = 255;
/// An e-mail address or a name that a provider says, in bytes; what is longer is left out.
const TEXT_BYTES_MAX: usize = 320;

/// A sign-in on its way. The caller keeps it in a signed cookie of the browser that began it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pending {
    /// What the provider sends back with the code.
    pub state: String,
    nonce: String,
    verifier: String,
    /// The provider's name.
    pub provider: String,
    redirect_uri: String,
}

impl Pending {
    /// Whether the callback is of this sign-in, in constant time. Call it before
    /// [`SignIn::finish`].
    pub fn state_matches(&self, state: &str) -> bool {
        same(&self.state, state)
    }
}

/// A sign-in that has begun.
pub struct Started {
    /// Where the browser goes.
    pub authorize_url: String,
    /// What [`SignIn::finish`] needs.
    pub pending: Pending,
}

/// Who signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The provider's issuer; with the subject it is the identity.
    pub issuer: String,
    /// Never given to somebody else by the issuer.
    pub subject: String,
    /// As the provider says it. Proves nothing unless [`email_verified`](Self::email_verified).
    pub email: Option<String>,
    /// Whether the provider says that the address is the subject's.
    pub email_verified: bool,
    /// What people call them.
    pub name: Option<String>,
}

/// Why nobody signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OidcError {
    /// The code or what came for it proves nothing: begin again.
    Invalid(&'static str),
    /// The provider does not answer as it should, or does not take this client: for the log.
    Unavailable(String),
}

impl fmt::Display for OidcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => f.write_str(why),
            Self::Unavailable(why) => write!(f, "the provider cannot be used: {why}"),
        }
    }
}

impl std::error::Error for OidcError {}

impl From<TokenError> for OidcError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Invalid(why) => Self::Invalid(why),
            TokenError::IssuerUnavailable(why) => Self::Unavailable(why),
        }
    }
}

/// What the token endpoint sends beside OAuth's own fields.
#[derive(Serialize, Deserialize)]
struct IdToken {
    id_token: Option<String>,
}

impl fmt::Debug for IdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl ExtraTokenFields for IdToken {}

type Tokens = StandardTokenResponse<IdToken, BasicTokenType>;
type Client = oauth2::Client<
    BasicErrorResponse,
    Tokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

/// Signs in through providers. Clones share what is cached of them.
#[derive(Clone)]
pub struct SignIn {
    jwks: Jwks,
}

impl SignIn {
    /// Discovery documents and keys come through `jwks`, and everything else through its client.
    pub fn new(jwks: Jwks) -> Self {
        Self { jwks }
    }

    /// Begins a sign-in that comes back to `redirect_uri`, which the provider must know exactly.
    ///
    /// # Errors
    /// [`OidcError::Unavailable`].
    pub async fn start(
        &self,
        provider: &Provider,
        redirect_uri: &str,
        now_ms: i64,
    ) -> Result<Started, OidcError> {
        let discovery = self.jwks.discovery(&provider.issuer, now_ms).await?;
        let authorize = self.endpoint(&discovery.authorization_endpoint, "authorization")?;
        let pending = Pending {
            state: random_text(),
            nonce: random_text(),
            verifier: random_text(),
            provider: provider.name.clone(),
            redirect_uri: redirect_uri.to_owned(),
        };
        let verifier = PkceCodeVerifier::new(pending.verifier.clone());
        let scopes = provider.scopes.split_ascii_whitespace();
        let (authorize_url, _) = Client::new(ClientId::new(provider.client_id.clone()))
            .set_auth_uri(AuthUrl::new(authorize).map_err(misconfigured)?)
            .set_redirect_uri(RedirectUrl::new(redirect_uri.to_owned()).map_err(misconfigured)?)
            .authorize_url(|| CsrfToken::new(pending.state.clone()))
            .add_scopes(scopes.map(|scope| Scope::new(scope.to_owned())))
            .add_extra_param("nonce", pending.nonce.as_str())
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .url();
        Ok(Started {
            authorize_url: authorize_url.into(),
            pending,
        })
    }

    /// Ends a sign-in with the code of the callback, whose state the caller has compared.
    ///
    /// # Errors
    /// [`OidcError`].
    pub async fn finish(
        &self,
        provider: &Provider,
        pending: &Pending,
        code: &str,
        now_ms: i64,
    ) -> Result<Identity, OidcError> {
        if pending.provider != provider.name {
            return Err(OidcError::Invalid("the sign-in is of another provider"));
        }
        let discovery = self.jwks.discovery(&provider.issuer, now_ms).await?;
        let tokens = self.exchange(provider, pending, code, &discovery).await?;
        let id_token = tokens
            .extra_fields()
            .id_token
            .as_deref()
            .ok_or(OidcError::Invalid("the provider sent no id token"))?;
        let audience = std::slice::from_ref(&provider.client_id);
        let token = self
            .jwks
            .verify(id_token, &provider.issuer, audience, now_ms)
            .await?;
        // It becomes a key of the database, which takes neither everything nor every length.
        if token.subject.len() > SUBJECT_BYTES_MAX || token.subject.contains(char::is_control) {
            return Err(OidcError::Invalid("the id token's subject is none"));
        }
        let nonce = text(&token.claims, "nonce").unwrap_or_default();
        if !same(nonce, &pending.nonce) {
            return Err(OidcError::Invalid("the id token is of another sign-in"));
        }
        let several = matches!(token.claims.get("aud"), Some(Value::Array(all)) if all.len() > 1);
        match token.claims.get("azp") {
            None if !several => {}
            Some(Value::String(party)) if *party == provider.client_id => {}
            _ => return Err(OidcError::Invalid("the id token is for another client")),
        }
        if !token.claims.contains_key("iat") {
            return Err(OidcError::Invalid("a claim of the id token is missing"));
        }
        let mut said = token.claims;
        if let (None, Some(_)) = (text(&said, "email"), &discovery.userinfo_endpoint) {
            let url = self.endpoint(&discovery.userinfo_endpoint, "userinfo")?;
            let bearer = tokens.access_token().secret();
            let outbound = self.jwks.outbound();
            let more: Map<String, Value> = outbound
                .get_json(&url, Some(bearer))
                .await
                .map_err(|error| OidcError::Unavailable(format!("userinfo: {error}")))?;
            // The answer is not signed: without this check an access token of somebody else would do.
            if text(&more, "sub") != Some(&token.subject) {
                return Err(OidcError::Invalid("userinfo is about somebody else"));
            }
            for name in ["email", "email_verified"] {
                // Both of one source: a flag here says nothing about an address from there.
                said.remove(name);
                said.extend(more.get(name).map(|value| (name.to_owned(), value.clone())));
            }
            if let (None, Some(name)) = (said.get("name"), more.get("name")) {
                said.insert("name".to_owned(), name.clone());
            }
        }
        let short = |name| {
            let found = text(&said, name).map(str::trim);
            found
                .filter(|text| (1..=TEXT_BYTES_MAX).contains(&text.len()))
                .filter(|text| !text.contains(char::is_control))
                .map(str::to_owned)
        };
        let email = short("email");
        // Some providers send the flag as text.
        let flag = said.get("email_verified");
        let verified = flag.is_some_and(|flag| *flag == true || *flag == "true");
        Ok(Identity {
            issuer: token.issuer,
            subject: token.subject,
            email_verified: verified && email.is_some(),
            email,
            name: short("name"),
        })
    }

    async fn exchange(
        &self,
        provider: &Provider,
        pending: &Pending,
        code: &str,
        discovery: &Discovery,
    ) -> Result<Tokens, OidcError> {
        if code.is_empty() || code.len() > CODE_BYTES_MAX {
            return Err(OidcError::Invalid("the code is empty or too long"));
        }
        let endpoint = self.endpoint(&discovery.token_endpoint, "token")?;
        let redirect = RedirectUrl::new(pending.redirect_uri.clone()).map_err(misconfigured)?;
        let mut client = Client::new(ClientId::new(provider.client_id.clone()))
            .set_token_uri(TokenUrl::new(endpoint).map_err(misconfigured)?)
            .set_redirect_uri(redirect);
        if let Some(secret) = &provider.client_secret {
            let methods = discovery.token_endpoint_auth_methods_supported.as_deref();
            let offers = |method| methods.is_some_and(|all| all.iter().any(|m| m == method));
            let auth = if methods.is_none() || offers("client_secret_basic") {
                AuthType::BasicAuth
            } else if offers("client_secret_post") {
                AuthType::RequestBody
            } else {
                return Err(OidcError::Unavailable(
                    "it takes no client with a secret".to_owned(),
                ));
            };
            client = client
                .set_auth_type(auth)
                .set_client_secret(ClientSecret::new(secret.0.clone()));
        }
        // Owned and boxed: the compiler does not see otherwise that it may change threads.
        let outbound = self.jwks.outbound().clone();
        let send = move |request| {
            let outbound = outbound.clone();
            async move { outbound.send(request).await }
        };
        let exchange = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier.clone()))
            .request_async(&send)
            .boxed();
        exchange.await.map_err(refusal)
    }

    /// An endpoint of a discovery document, which may be anything until it is checked.
    fn endpoint(&self, url: &Option<String>, what: &str) -> Result<String, OidcError> {
        let url = url.as_deref().unwrap_or_default();
        match self.jwks.outbound().reach().check_url(url) {
            Ok(_) => Ok(url.to_owned()),
            Err(why) => Err(OidcError::Unavailable(format!("{what} endpoint: {why}"))),
        }
    }
}

fn refusal(error: RequestTokenError<OutboundError, BasicErrorResponse>) -> OidcError {
    use oauth2::basic::BasicErrorResponseType::{InvalidClient, InvalidGrant, UnauthorizedClient};
    OidcError::Unavailable(match error {
        RequestTokenError::ServerResponse(answer) => match answer.error() {
            InvalidGrant => return OidcError::Invalid("the provider does not accept the code"),
            InvalidClient | UnauthorizedClient => "it does not accept the client".to_owned(),
            _ => "it refuses to exchange the code".to_owned(),
        },
        RequestTokenError::Request(error) => format!("token endpoint: {error}"),
        // Their texts hold parts of the answer.
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            "token endpoint: its answer is not what OAuth 2.0 says".to_owned()
        }
    })
}

fn misconfigured(error: impl fmt::Display) -> OidcError {
    OidcError::Unavailable(error.to_string())
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// 256 random bits as 43 characters that are good in URLs and as a PKCE verifier.
fn random_text() -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(random_secret())
}
