//! `/sessions` and `/.well-known/jwks.json`

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    auth::{
        permissions::{CreateSession, EndSession, GetJwks, RefreshSession},
        signing,
    },
    gateway::{SignedSession, check_email},
    http::{
        body::json_body,
        call::{Anybody, May, unbroken},
        openapi::{ChangeProblems, LookProblems, PublicProblems},
        params::Params,
        router::App,
    },
    problem::{Code, Problem},
};

const COOKIE: &str = "headwater_refresh";
/// A cookie's value, in bytes: more is not one of ours.
const COOKIE_BYTES_MAX: usize = 256;

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.com", "password": "correct horse battery"}))]
pub struct SignIn {
    /// The address.
    email: String,
    /// The password.
    password: String,
}

/// A session that goes on. What comes after it is in the cookie `headwater_refresh`.
#[derive(Serialize, ToSchema)]
#[schema(as = Session, example = json!({
    "access_token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl", "token_type": "Bearer",
    "expires_in": 900
}))]
pub struct SessionInfo {
    /// For `Authorization: Bearer`: a JWT, signed by a key of `/.well-known/jwks.json`.
    access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// How long it is good, in seconds.
    #[schema(example = 900)]
    expires_in: u64,
}

/// Sign in with a password.
#[utoipa::path(
    post, path = "/sessions", operation_id = "createSession", tag = "sessions",
    request_body(content = SignIn, description = "Address and password"),
    responses((status = 200, description = "Signed in; the cookie carries the session on", body = SessionInfo), ChangeProblems),
    security(()),
)]
pub async fn create_session(
    State(app): State<App>,
    May { call, .. }: May<CreateSession, Anybody>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    Params::parse(request.uri(), &[])?;
    let secure = came_by_https(request.headers());
    let intent = call.asked.intent(String::new(), "createSession", false);
    let SignIn { email, password } = json_body(&app, request).await?;
    // What is no address is one that nobody has, and not worth keeping.
    let email = check_email("/email", &email).unwrap_or_default();
    let gateway = app.gateway.clone();
    let session = unbroken(async move { gateway.sign_in(intent, &email, password).await });
    Ok(signed_in(session.await?, secure))
}

/// Carry a session on. Each cookie works once: one that comes twice ends the session.
#[utoipa::path(
    post, path = "/sessions/refresh", operation_id = "refreshSession", tag = "sessions",
    params(("headwater_refresh" = String, Cookie, description = "The cookie of the session", example = "Zm9yZ2V0LW1lLW5vdA")),
    responses((status = 200, description = "Another token, and another cookie", body = SessionInfo), ChangeProblems),
    security(()),
)]
pub async fn refresh_session(
    State(app): State<App>,
    May { call, .. }: May<RefreshSession, Anybody>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    Params::parse(request.uri(), &[])?;
    let secure = came_by_https(request.headers());
    let token = refresh_token(request.headers()).ok_or_else(no_cookie)?;
    let intent = call.asked.intent(String::new(), "refreshSession", false);
    let gateway = app.gateway.clone();
    let session = unbroken(async move { gateway.refresh_session(intent, &token).await });
    Ok(signed_in(session.await?, secure))
}

/// Sign out: by the cookie, or by an access token of the session.
#[utoipa::path(
    delete, path = "/sessions/current", operation_id = "endSession", tag = "sessions",
    params(("headwater_refresh" = Option<String>, Cookie, description = "The cookie of the session")),
    responses((status = 204, description = "The session has ended"), LookProblems),
    security((), ("bearer" = [])),
)]
pub async fn end_session(
    State(app): State<App>,
    May { call, .. }: May<EndSession, Anybody>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    Params::parse(request.uri(), &[])?;
    let secure = came_by_https(request.headers());
    let gateway = app.gateway.clone();
    let peer = call.asked.peer;
    let by_cookie = match refresh_token(request.headers()) {
        Some(token) => {
            unbroken(async move { gateway.end_session_of_token(&token, peer).await }).await
        }
        None => Err(no_cookie()),
    };
    match by_cookie {
        Ok(()) => {}
        // Another session's cookie may have been left behind.
        Err(_) if request.headers().contains_key(header::AUTHORIZATION) => {
            let caller = call.asked.identify(&app, request.headers()).await?;
            let gateway = app.gateway.clone();
            unbroken(async move { gateway.end_session_of(&caller).await }).await?;
        }
        Err(problem) => return Err(problem),
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut response, "", 0, secure);
    Ok(response)
}

/// Public keys as a JWK set (RFC 7517, RFC 8037).
#[derive(ToSchema)]
#[schema(example = json!({
    "keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
    "kid": "5f2b8c9d0e1f2a3b", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]
}))]
#[expect(dead_code, reason = "it is described here and written elsewhere")]
pub struct JwkSet {
    /// One a gateway, and those whose tokens are still about.
    keys: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// The public keys that access tokens are signed with.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", operation_id = "getJwks", tag = "sessions",
    responses((status = 200, description = "Good for a minute", body = JwkSet), PublicProblems),
    security(()),
)]
pub async fn get_jwks(State(app): State<App>, _: May<GetJwks, Anybody>) -> Response {
    let now_ms = app.gateway.clock.now_ms();
    let mut keys = app.gateway.catalog.signing_keys();
    keys.retain(|key| key.expires_at_ms > now_ms);
    let mut response = Json(signing::jwks(&keys)).into_response();
    let fresh = HeaderValue::from_static("public, max-age=60");
    response.headers_mut().insert(header::CACHE_CONTROL, fresh);
    response
}

pub(super) fn signed_in(session: SignedSession, secure: bool) -> Response {
    let info = SessionInfo {
        access_token: session.access_token,
        token_type: "Bearer",
        expires_in: session.expires_in.as_secs(),
    };
    let mut response = Json(info).into_response();
    let life_s = session.refresh.life.as_secs();
    set_cookie(&mut response, &session.refresh.token, life_s, secure);
    response
}

pub(super) fn set_cookie(response: &mut Response, token: &str, life_s: u64, secure: bool) {
    let secure = if secure { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE}={token}; Max-Age={life_s}; Path=/v1/sessions; HttpOnly; SameSite=Strict{secure}"
    );
    let headers = response.headers_mut();
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        headers.append(header::SET_COOKIE, cookie);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

fn refresh_token(headers: &HeaderMap) -> Option<String> {
    cookie(headers, COOKIE, COOKIE_BYTES_MAX).map(str::to_owned)
}

/// A cookie's value, if it is neither empty nor longer than ours are.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str, bytes_max: usize) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let pairs = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'));
    let mut values = pairs.filter_map(|pair| {
        let (found, value) = pair.trim().split_once('=')?;
        (found == name).then_some(value)
    });
    values.find(|value| (1..=bytes_max).contains(&value.len()))
}

fn no_cookie() -> Problem {
    Problem::new(
        Code::Unauthenticated,
        "send the cookie headwater_refresh, or sign in",
    )
}

/// Whether the client spoke TLS, to a proxy in front of the service.
pub(super) fn came_by_https(headers: &HeaderMap) -> bool {
    headers
        .get("x-forwarded-proto")
        .is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}
