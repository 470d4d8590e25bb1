//! The web console: files of `web/`, built before this program was and held in it.

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use super::{ops, router::App};
use crate::problem::{Code, Problem};

/// Paths below `web/dist/site` with what is there, ordered by path.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/console.rs"));

/// The addresses of the console's pages. All of them get one document, which shows the page itself;
/// every other path is a file or nothing.
const PAGES: [&str; 7] = [
    "/",
    "/sign-in",
    "/join",
    "/cluster",
    "/profile",
    "/p/{*page}",
    "/o/{*page}",
];

const DOCUMENT: &str = "index.html";

/// The console's scripts are files of this service. Its components place themselves by style
/// attributes and rules that they write, so styles may be inline.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'unsafe-inline'; font-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Names of files below `assets/` hold a hash of what is in them.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The console's routes.
pub fn routes() -> Router<App> {
    let mut routes = Router::new()
        .route("/assets/{*file}", get(file))
        .route("/theme.js", get(file))
        .route("/favicon.svg", get(file));
    for page in PAGES {
        routes = routes.route(page, get(document));
    }
    routes
}

async fn document(headers: HeaderMap) -> Response {
    serve(DOCUMENT, &headers).unwrap_or_else(|| without_console().into_response())
}

async fn file(uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    serve(uri.path().trim_start_matches('/'), &headers)
        .ok_or_else(|| Problem::new(Code::NotFound, "the console has no such file"))
}

fn serve(path: &str, headers: &HeaderMap) -> Option<Response> {
    let plain = content(path)?;
    let packed = [("br", "br"), ("gz", "gzip")]
        .into_iter()
        .filter(|(_, encoding)| takes(headers, encoding))
        .find_map(|(suffix, encoding)| Some((content(&format!("{path}.{suffix}"))?, encoding)));
    let mut response = packed.map_or(plain, |(bytes, _)| bytes).into_response();
    let said = [
        (header::CONTENT_TYPE, content_type(path)),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (header::VARY, "accept-encoding"),
        (
            header::CACHE_CONTROL,
            if path.starts_with("assets/") {
                FOR_EVER
            } else {
                "no-cache"
            },
        ),
    ];
    let encoding = packed.map(|(_, encoding)| (header::CONTENT_ENCODING, encoding));
    for (name, value) in said.into_iter().chain(encoding) {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    Some(response)
}

fn content(path: &str) -> Option<&'static [u8]> {
    let at = FILES
        .binary_search_by(|(known, _)| (*known).cmp(path))
        .ok()?;
    Some(FILES[at].1)
}

/// Whether the client takes an encoding: a weight of zero says that it does not.
fn takes(headers: &HeaderMap, encoding: &str) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| {
            let (name, weight) = one.split_once(';').unwrap_or((one, ""));
            let zero = weight
                .trim()
                .strip_prefix("q=")
                .is_some_and(|q| q.parse() == Ok(0.0));
            name.trim().eq_ignore_ascii_case(encoding) && !zero
        })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// What stands in the console's place where it was not built.
fn without_console() -> impl IntoResponse {
    ops::page(
        "Headwater",
        "<h1>Headwater</h1><p>The service runs, without its web console: that was not built before this program was. \
         To have it, install Node 20.19 or newer and run <code>make run</code> again, or \
         <code>make console</code> and then build.</p>\
         <p><a href=\"/docs\">API reference</a>, \
         <a href=\"/openapi/streaming.json\">OpenAPI document</a>, \
         <a href=\"/errors\">error codes</a>, <a href=\"/readyz\">readiness</a>, \
         <a href=\"/metrics\">metrics</a>.</p>",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(accept: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accept))])
    }

    #[test]
    fn an_encoding_is_used_only_if_the_client_takes_it() {
        for (accept, taken) in [
            ("gzip, br", true),
            ("gzip, BR;q=0.5", true),
            ("gzip", false),
            ("br;q=0, gzip", false),
            ("brotli", false),
        ] {
            assert_eq!(takes(&asking(accept), "br"), taken, "{accept}");
        }
        assert!(!takes(&HeaderMap::new(), "br"));
    }

    #[test]
    fn files_are_found_by_their_path_alone() {
        assert!(FILES.is_sorted_by_key(|(path, _)| path));
        for (path, bytes) in FILES {
            assert_eq!(content(path), Some(*bytes), "{path}");
        }
        for nothing in ["", "assets", "assets/../index.html", "v1"] {
            assert_eq!(content(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn what_has_a_hash_in_its_name_is_kept_and_the_document_is_not() {
        let Some(document) = serve(DOCUMENT, &asking("br")) else {
            assert!(FILES.is_empty(), "a built console has a document");
            return;
        };
        assert_eq!(document.headers()[header::CACHE_CONTROL], "no-cache");
        assert_eq!(document.headers()[header::CONTENT_ENCODING], "br");
        let hashed = FILES
            .iter()
            .find(|(path, _)| path.ends_with(".js") && path.starts_with("assets/"));
        let (script, _) = hashed.expect("a built console has scripts");
        let script = serve(script, &HeaderMap::new()).expect("it is there");
        assert_eq!(script.headers()[header::CACHE_CONTROL], FOR_EVER);
        assert!(!script.headers().contains_key(header::CONTENT_ENCODING));
    }
}
