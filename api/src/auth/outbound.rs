//! The only HTTP client for addresses that somebody else configures: it goes where it may, no
//! further, and reads no more than it must.

use std::{
    error::Error,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use futures_util::TryStreamExt;
use reqwest::{
    Certificate, Client, ClientBuilder, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use serde::de::DeserializeOwned;

/// A URL, in bytes.
pub const URL_BYTES_MAX: usize = 2 << 10;
/// An answer, in bytes; the rest is not read.
pub const ANSWER_BYTES_MAX: usize = 256 << 10;
/// How long a request may take, from the name's resolution to the answer's last byte.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a client may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// https to globally routable addresses: for what tenants configure.
    Public,
    /// https also to private addresses, http to loopback: for what the operator configures.
    Private,
    /// Anywhere, http too: for development alone.
    Insecure,
}

fn is_localhost(domain: &str) -> bool {
    domain == "localhost" || domain.ends_with(".localhost")
}

impl Reach {
    /// Checks a URL when it is configured; it is checked again, with its addresses, when it is used.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn check_url(self, text: &str) -> Result<Url, String> {
        if text.len() > URL_BYTES_MAX {
            return Err(format!("a URL has {URL_BYTES_MAX} bytes at most"));
        }
        let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
        let host = url.host().ok_or("a URL with a host is needed")?;
        let literal = match host {
            url::Host::Domain(_) => None,
            url::Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
            url::Host::Ipv6(ip) => Some(IpAddr::V6(ip)),
        };
        let loopback = literal.is_some_and(|ip| ip.to_canonical().is_loopback())
            || url.domain().is_some_and(is_localhost);
        match url.scheme() {
            "https" => {}
            "http" if self == Self::Insecure || (self == Self::Private && loopback) => {}
            _ => return Err("the URL must start with https://".to_owned()),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL here has no user name or password".to_owned());
        }
        if url.fragment().is_some() {
            return Err("a URL here has no fragment".to_owned());
        }
        match literal {
            Some(ip) if !self.allows(ip) => Err(refused(ip)),
            // RFC 6761: these names never leave the machine.
            None if self == Self::Public && url.domain().is_some_and(is_localhost) => {
                Err("the URL must not be of this machine".to_owned())
            }
            _ => Ok(url),
        }
    }

    /// Whether a connection to `ip` may be opened.
    pub fn allows(self, ip: IpAddr) -> bool {
        match self {
            Self::Public => is_global(ip),
            Self::Private => is_global(ip) || is_private(ip),
            Self::Insecure => true,
        }
    }
}

fn refused(ip: IpAddr) -> String {
    format!("{ip} is not an address that this service may connect to")
}

/// Why there is no answer. Never holds anything of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutboundError {
    /// The URL is against the rules; nothing was sent.
    Refused(String),
    /// No whole answer: resolution, an address out of reach, connection, TLS or time.
    Failed(String),
    /// The answer has another status than 200.
    Status(u16),
    /// The answer is larger than [`ANSWER_BYTES_MAX`].
    TooLarge,
    /// The answer is not the JSON that was expected.
    NotJson,
}

impl fmt::Display for OutboundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) | Self::Failed(why) => f.write_str(why),
            Self::Status(status) => write!(f, "it answered with status {status}"),
            Self::TooLarge => write!(f, "its answer has more than {ANSWER_BYTES_MAX} bytes"),
            Self::NotJson => f.write_str("its answer is not the JSON that was expected"),
        }
    }
}

impl Error for OutboundError {}

impl From<reqwest::Error> for OutboundError {
    /// Keeps the root cause; the layers above say less, and the URL may hold what logs must not.
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Failed("it did not answer in time".to_owned());
        }
        let error = error.without_url();
        let mut cause: &dyn Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Self::Failed(cause.to_string())
    }
}

/// A client with a [`Reach`]. Clones share it.
#[derive(Debug, Clone)]
pub struct Outbound {
    client: Client,
    reach: Reach,
}

impl Outbound {
    /// Reads the roots of trust; call it once.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(reach: Reach) -> reqwest::Result<Self> {
        let client = tls_client(|builder| {
            builder
                .redirect(Policy::none())
                .no_proxy()
                .referer(false)
                // Requests to one host are minutes apart.
                .pool_max_idle_per_host(0)
                .connect_timeout(REQUEST_TIMEOUT)
                .timeout(REQUEST_TIMEOUT)
                .user_agent(concat!("headwater/", env!("CARGO_PKG_VERSION")))
                .dns_resolver(Resolver(reach))
        })?;
        Ok(Self { client, reach })
    }

    /// Where it may go.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Sends a request and reads the whole answer, of whatever status; redirects are answers.
    ///
    /// # Errors
    /// [`OutboundError::Refused`], [`OutboundError::Failed`] or [`OutboundError::TooLarge`].
    pub async fn send(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, OutboundError> {
        let request = reqwest::Request::try_from(request)?;
        // What is checked is what is sent: a literal address never meets the resolver.
        self.reach
            .check_url(request.url().as_str())
            .map_err(OutboundError::Refused)?;
        let answer = self.client.execute(request).await?;
        let announced = answer.content_length().unwrap_or(0);
        if announced > ANSWER_BYTES_MAX as u64 {
            return Err(OutboundError::TooLarge);
        }
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = Vec::new();
        let mut chunks = answer.bytes_stream();
        while let Some(chunk) = chunks.try_next().await? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(OutboundError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = http::Response::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }

    /// Gets a JSON document, with `bearer` as the credential if there is one.
    ///
    /// # Errors
    /// As [`send`](Self::send); any status but 200; something else than a `T`.
    pub async fn get_json<T: DeserializeOwned>(
        &self,
        url: &str,
        bearer: Option<&str>,
    ) -> Result<T, OutboundError> {
        let url = self.reach.check_url(url).map_err(OutboundError::Refused)?;
        let mut request =
            http::Request::get(url.as_str()).header(http::header::ACCEPT, "application/json");
        if let Some(bearer) = bearer {
            request = request.header(http::header::AUTHORIZATION, format!("Bearer {bearer}"));
        }
        let request = request
            .body(Vec::new())
            .map_err(|error| OutboundError::Refused(error.to_string()))?;
        let answer = self.send(request).await?;
        if answer.status() != http::StatusCode::OK {
            return Err(OutboundError::Status(answer.status().as_u16()));
        }
        serde_json::from_slice(answer.body()).map_err(|_| OutboundError::NotJson)
    }
}

/// A client that trusts whom the system trusts, and Mozilla's roots where the system names nobody,
/// as in an image without certificates.
///
/// # Errors
/// As [`ClientBuilder::build`].
pub fn tls_client(configure: impl Fn(ClientBuilder) -> ClientBuilder) -> reqwest::Result<Client> {
    configure(Client::builder()).build().or_else(|error| {
        tracing::warn!(%error, "no certificates of the system: Mozilla's are used");
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .map(|root| Certificate::from_der(root))
            .collect::<reqwest::Result<Vec<_>>>()?;
        configure(Client::builder()).tls_certs_only(roots).build()
    })
}

/// The same, of somebody who also trusts the authorities of a file.
///
/// # Errors
/// One line that says what is wrong.
pub fn tls_client_with(
    ca_file: Option<&Path>,
    configure: impl Fn(ClientBuilder) -> ClientBuilder,
) -> Result<Client, String> {
    let more = match ca_file {
        None => Vec::new(),
        Some(path) => {
            let told = |why: &dyn fmt::Display| format!("{}: {why}", path.display());
            let pem = std::fs::read(path).map_err(|error| told(&error))?;
            let found = Certificate::from_pem_bundle(&pem).map_err(|error| told(&error))?;
            if found.is_empty() {
                return Err(told(&"no certificate is in it"));
            }
            found
        }
    };
    tls_client(|builder| configure(builder).tls_certs_merge(more.clone())).map_err(|error| {
        let mut cause: &dyn Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        cause.to_string()
    })
}

/// Resolves as the system does and leaves out what is out of reach. The connection is opened to the
/// very addresses that were checked, so a name that changes between two look-ups gains nothing.
pub(super) struct Resolver(pub(super) Reach);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (good, bad): (Vec<SocketAddr>, Vec<SocketAddr>) =
                found.partition(|address| reach.allows(address.ip()));
            match (good.is_empty(), bad.first()) {
                (true, Some(address)) => Err(refused(address.ip()).into()),
                _ => Ok(Box::new(good.into_iter()) as Addrs),
            }
        })
    }
}

fn is_global(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_global_v4(ip),
        IpAddr::V6(ip) => is_global_v6(ip),
    }
}

/// By the IANA registry of special-purpose addresses, and without the metadata service that one
/// cloud keeps at an address of its public range.
fn is_global_v4(ip: Ipv4Addr) -> bool {
    let special = match ip.octets() {
        [0 | 10 | 127, ..] => true,
        [100, b, ..] => b & 0xc0 == 64,
        [168, 63, 129, 16] => true,
        [169, 254, ..] => true,
        [172, b, ..] => b & 0xf0 == 16,
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [192, 168, ..] => true,
        [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        [first, ..] => first >= 224,
    };
    !special
}

/// Only what is handed out as global unicast; addresses that carry an IPv4 address are as good as
/// that one.
fn is_global_v6(ip: Ipv6Addr) -> bool {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_global_v4(Ipv4Addr::new(a, b, c, d))
    };
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low), // NAT64
        [0x2002, high, low, ..] => v4(high, low),               // 6to4
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false, // Teredo and others
        [0x3fff, second, ..] if second < 0x1000 => false,       // documentation
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Addresses inside an organization or this machine. Link-local ones are not among them: that is
/// where clouds hand out credentials.
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || ip.is_loopback() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    }
}
