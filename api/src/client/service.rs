//! One project of a running service, as the client verbs see it.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response};

use super::failure::{Failure, Problem};
use super::progress::Progress;
use super::retry::Attempts;
use crate::auth::outbound::tls_client_with;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than the long polls of this client.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(40);

/// Where the service is and who asks.
#[derive(Debug, Clone, clap::Args)]
pub struct ServiceArgs {
    /// The project's base URL, as http://127.0.0.1:8080/v1/projects/demo
    #[arg(long, env = "HEADWATER_URL", hide_env_values = true, global = true)]
    pub url: Option<String>,
    /// An API key
    #[arg(long, env = "HEADWATER_KEY", hide_env_values = true, global = true)]
    pub key: Option<String>,
    /// Certificates of authorities, as PEM, that are trusted beside the system's
    #[arg(long, value_name = "PATH", env = "HEADWATER_CA_FILE", global = true)]
    pub ca_file: Option<PathBuf>,
}

impl ServiceArgs {
    /// The base URL without a slash at its end.
    pub fn base_url(&self) -> Result<&str, Failure> {
        match self
            .url
            .as_deref()
            .map(|url| url.trim().trim_end_matches('/'))
        {
            Some(url) if is_http(url) => Ok(url),
            Some(url) if !url.is_empty() => Err(Failure::Usage(format!(
                "`{url}` is not a URL that starts with http:// or https://"
            ))),
            _ => Err(Failure::Usage(
                "no URL: pass --url or set HEADWATER_URL to the project's base URL\n  (a server \
                 started by `headwater dev` writes base_url and api_key to credentials.json in \
                 its data directory)"
                    .to_owned(),
            )),
        }
    }
}

fn is_http(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or(url.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}

/// A client of one project.
#[derive(Debug, Clone)]
pub struct Service {
    http: Client,
    base: String,
    authorization: Option<HeaderValue>,
}

impl Service {
    /// Prepares the client; nothing is sent yet.
    pub fn new(args: &ServiceArgs) -> Result<Service, Failure> {
        let base = args.base_url()?.to_owned();
        let authorization = match args
            .key
            .as_deref()
            .map(str::trim)
            .filter(|key| !key.is_empty())
        {
            Some(key) => {
                let mut value = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| {
                    Failure::Usage("the API key has characters that no key has".to_owned())
                })?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        let http = tls_client_with(args.ca_file.as_deref(), |builder| {
            builder
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_nodelay(true)
                .user_agent(concat!("headwater/", env!("CARGO_PKG_VERSION")))
        })
        .map_err(Failure::Local)?;
        Ok(Service {
            http,
            base,
            authorization,
        })
    }

    /// A request to `path`, which starts with a slash and is below the base URL.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        }
    }

    /// Sends once and reads the whole answer.
    pub async fn exchange(&self, request: RequestBuilder) -> Result<(u16, Bytes), Failure> {
        let answer = self.open(request.timeout(REQUEST_TIMEOUT)).await?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(unreachable)?;
        Ok((status, body))
    }

    /// Sends once and leaves the body of a success to be read as it comes.
    pub async fn open(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let retry_after = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|v| v.to_str().ok());
        let retry_after = retry_after.map(str::to_owned);
        let body = answer.bytes().await.unwrap_or_default();
        let problem = Problem::from_answer(status.as_u16(), retry_after.as_deref(), &body);
        Err(Failure::Refused(Box::new(problem)))
    }

    /// Sends until an answer comes that is final, for at most `limit` after the first failure.
    /// Only for requests that may be repeated.
    pub async fn exchange_retrying(
        &self,
        limit: Duration,
        progress: &Progress,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<(u16, Bytes), Failure> {
        let mut attempts = Attempts::new(limit);
        loop {
            match self.exchange(request()).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => attempts.again(failure, progress).await?,
            }
        }
    }
}

/// A transport error; those that no repetition can mend are told apart.
pub fn unreachable(error: reqwest::Error) -> Failure {
    if error.is_builder() {
        return Failure::Usage(chain(&error));
    }
    let place = match error.url() {
        Some(url) => match (url.host_str(), url.port_or_known_default()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            _ => url.to_string(),
        },
        None => "the service".to_owned(),
    };
    let what = if error.is_connect() {
        "cannot connect to"
    } else {
        "lost the connection to"
    };
    let what = if error.is_timeout() {
        "no answer in time from"
    } else {
        what
    };
    // The outer messages only say that a request failed.
    let mut cause: &dyn Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Failure::Unreachable(format!("{what} {place}: {cause}"))
}

/// The messages of an error and of all its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Makes `text` safe as a part of a query.
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_has_no_slash_at_its_end() {
        let args = |url: &str| ServiceArgs {
            url: Some(url.to_owned()),
            key: None,
            ca_file: None,
        };
        for scheme in ["http", "https"] {
            let args = args(&format!("{scheme}://h:1/v1/projects/p/"));
            let expected = format!("{scheme}://h:1/v1/projects/p");
            assert_eq!(args.base_url().unwrap(), expected);
            Service::new(&args).unwrap();
        }
        for bad in ["", "localhost:8080", "ftp://h", "https://", "http:///v1"] {
            assert!(args(bad).base_url().is_err(), "{bad}");
        }
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(
            percent_encode("a+b/c=&2026-01-01T00:00Z"),
            "a%2Bb%2Fc%3D%262026-01-01T00%3A00Z"
        );
    }
}
