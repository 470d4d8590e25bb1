//! `/sessions/oidc`: signing in through identity providers.

use std::borrow::Cow;

use axum::{
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Request, StatusCode, Uri, header};

use super::sessions::{self, SessionInfo, came_by_https, cookie, signed_in};
use crate::{
    auth::permissions::{FinishOidc, StartOidc},
    http::{
        call::{Anybody, May, unbroken},
        openapi::LookProblems,
        params::Params,
        router::App,
    },
    limits::OIDC_LIFE,
    problem::{Code, Problem},
};

/// Holds the sign-in while the browser is at the provider.
const COOKIE: &str = "headwater_oidc";
/// A cookie's value, in bytes: more is not one of ours.
const COOKIE_BYTES_MAX: usize = 4 << 10;

/// What a provider may say went wrong (RFC 6749, section 4.1.2.1, and OpenID Connect Core, section
/// 3.1.2.6). Other words are not repeated to anybody.
const ERRORS: [&str; 16] = [
    "access_denied",
    "account_selection_required",
    "consent_required",
    "interaction_required",
    "invalid_request",
    "invalid_request_object",
    "invalid_request_uri",
    "invalid_scope",
    "login_required",
    "registration_not_supported",
    "request_not_supported",
    "request_uri_not_supported",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_response_type",
];

/// Sign in through an identity provider: a browser is sent there.
///
/// The cookie `headwater_oidc` binds the sign-in to the browser for ten minutes; one that begins
/// another replaces it.
#[utoipa::path(
    get, path = "/sessions/oidc/{issuer}/start", operation_id = "startOidc", tag = "sessions",
    params(
        ("issuer" = String, Path, description = "The provider's name, as the operator configured it", example = "corp"),
        ("redirect" = Option<String>, Query, description = "A path of this service to end at, instead of an answer in JSON", example = "/console"),
    ),
    responses((status = 302, description = "To the provider", headers(("Location" = String, description = "Where the person signs in"))), LookProblems),
    security(()),
)]
pub async fn start_oidc(
    State(app): State<App>,
    _: May<StartOidc, Anybody>,
    issuer: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let params = Params::parse(request.uri(), &["redirect"])?;
    let redirect = params.text("redirect");
    let begun = app.gateway.start_oidc(&name(issuer), redirect).await?;
    let mut response = sent_to(StatusCode::FOUND, &begun.authorize_url)?;
    let secure = came_by_https(request.headers());
    set_cookie(&mut response, &begun.token, OIDC_LIFE.as_secs(), secure);
    Ok(response)
}

/// Come back from an identity provider, and be signed in.
///
/// Answers as `POST /sessions`; if the sign-in began with `redirect`, with the cookie of the session
/// and a redirection there.
#[utoipa::path(
    get, path = "/sessions/oidc/{issuer}/callback", operation_id = "finishOidc", tag = "sessions",
    params(
        ("issuer" = String, Path, description = "The provider's name", example = "corp"),
        ("state" = String, Query, description = "As it was sent to the provider", example = "c3RhdGU"),
        ("code" = Option<String>, Query, description = "What the provider says who it is for"),
        ("error" = Option<String>, Query, description = "Why there is no code"),
        ("iss" = Option<String>, Query, description = "The provider's issuer"),
        ("headwater_oidc" = String, Cookie, description = "The cookie of the sign-in", example = "c2lnbi1pbg"),
    ),
    responses(
        (status = 200, description = "Signed in; the cookie carries the session on", body = SessionInfo),
        (status = 303, description = "Signed in, by the cookie alone", headers(("Location" = String, description = "The path that the sign-in began with"))),
        LookProblems,
    ),
    security(()),
)]
pub async fn finish_oidc(
    State(app): State<App>,
    May { call, .. }: May<FinishOidc, Anybody>,
    issuer: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let said = Said::read(request.uri())?;
    let token = cookie(request.headers(), COOKIE, COOKIE_BYTES_MAX);
    let gateway = app.gateway.clone();
    let sign_in = gateway.resume_oidc(&name(issuer), token, &said.state)?;
    let secure = came_by_https(request.headers());
    let peer = call.asked.peer;
    let session = async {
        let code = said.code?;
        let asked = gateway.ask_provider(peer, &sign_in, &code, said.issuer.as_deref());
        let identity = asked.await?;
        let intent = call.asked.intent(String::new(), "finishOidc", false);
        unbroken(async move { gateway.sign_in_as(intent, &identity).await }).await
    };
    let mut response = match session.await {
        Err(problem) => problem.into_response(),
        Ok(session) => match &sign_in.redirect {
            None => signed_in(session, secure),
            Some(path) => {
                let mut response = sent_to(StatusCode::SEE_OTHER, path)?;
                let life_s = session.refresh.life.as_secs();
                sessions::set_cookie(&mut response, &session.refresh.token, life_s, secure);
                response
            }
        },
    };
    // Whatever came of it, it is over.
    set_cookie(&mut response, "", 0, secure);
    Ok(response)
}

/// What a provider says by the browser that it sends back.
struct Said {
    state: String,
    code: Result<String, Problem>,
    issuer: Option<String>,
}

impl Said {
    /// Providers add parameters of their own, which mean nothing here.
    fn read(uri: &Uri) -> Result<Self, Problem> {
        let mut texts: [(&str, Option<Cow<'_, str>>); 4] =
            ["state", "code", "error", "iss"].map(|name| (name, None));
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            let place = texts.iter_mut().find(|(known, _)| *known == name);
            if let Some((known, place)) = place
                && place.replace(value).is_some()
            {
                return Err(Problem::invalid(
                    *known,
                    "duplicate_parameter",
                    "give it once",
                ));
            }
        }
        let [state, code, error, issuer] = texts.map(|(_, text)| text.map(Cow::into_owned));
        let missing = |name: &str| {
            Problem::invalid(
                name,
                "required",
                "the provider sends it back with the browser",
            )
        };
        let code = match (error, code) {
            (Some(error), _) => Err(refusal(&error)),
            (None, Some(code)) => Ok(code),
            (None, None) => return Err(missing("code")),
        };
        Ok(Self {
            state: state.ok_or_else(|| missing("state"))?,
            code,
            issuer,
        })
    }
}

fn refusal(error: &str) -> Problem {
    let detail = match ERRORS.contains(&error) {
        true => format!("the identity provider refused the sign-in: {error}"),
        false => "the identity provider refused the sign-in".to_owned(),
    };
    Problem::new(Code::Unauthenticated, detail)
}

/// The name in the path; what is no text is the name of no provider.
fn name(path: Result<Path<String>, PathRejection>) -> String {
    path.map_or_else(|_| String::new(), |Path(name)| name)
}

fn sent_to(status: StatusCode, place: &str) -> Result<Response, Problem> {
    let place = HeaderValue::from_str(place)
        .map_err(|error| Problem::internal("a redirection cannot be written", error))?;
    let mut response = (status, [(header::LOCATION, place)]).into_response();
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    Ok(response)
}

/// `SameSite=Lax`: the browser must bring it when the provider sends it back.
fn set_cookie(response: &mut Response, token: &str, life_s: u64, secure: bool) {
    let secure = if secure { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE}={token}; Max-Age={life_s}; Path=/v1/sessions/oidc; HttpOnly; SameSite=Lax{secure}"
    );
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Said, Problem> {
        Said::read(&format!("/callback?{query}").parse().unwrap())
    }

    #[test]
    fn what_a_provider_says_is_read_and_not_repeated() {
        let said =
            read("state=s%20&code=c&iss=https%3A%2F%2Fid&session_state=x&hd=y&hd=z").unwrap();
        assert_eq!(
            (said.state.as_str(), said.code.unwrap().as_str()),
            ("s ", "c")
        );
        assert_eq!(said.issuer.as_deref(), Some("https://id"));

        let said = read("state=s&code=c&error=access_denied&error_description=secret").unwrap();
        let problem = said.code.unwrap_err();
        assert_eq!(problem.code, Code::Unauthenticated);
        assert!(problem.detail.ends_with(": access_denied"), "{problem}");
        let problem = read("state=s&error=%3Cscript%3E")
            .unwrap()
            .code
            .unwrap_err();
        assert!(!problem.detail.contains("script"), "{problem}");

        for bad in [
            "",
            "code=c",
            "state=s",
            "error=x",
            "state=s&state=s&code=c",
            "state=s&code=c&code=d",
        ] {
            assert_eq!(read(bad).err().unwrap().code, Code::InvalidRequest, "{bad}");
        }
    }
}
