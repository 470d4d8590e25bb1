//! A client as thin as curl: every test sees status, headers and text as they came.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Body, Certificate, Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::json;

/// The service as one credential sees it.
#[derive(Clone)]
pub struct Api {
    http: Client,
    /// Scheme, host and port.
    pub root: String,
    /// The project's base URL.
    pub base: String,
    /// The API key.
    pub key: String,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

/// One record of an answer, its value as the text it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub partition: u32,
    pub offset: u64,
    pub key: Option<String>,
    pub value: String,
}

impl Api {
    pub fn new(root: String, base: String, key: String) -> Self {
        let http = Client::builder()
            .timeout(Duration::from_secs(90))
            .build()
            .expect("a client");
        Self {
            http,
            root,
            base,
            key,
        }
    }

    /// The same caller, who trusts this authority too.
    pub fn trusting(self, authority: &str) -> Self {
        let authority = Certificate::from_pem(authority.as_bytes()).expect("a certificate");
        let http = Client::builder()
            .timeout(Duration::from_secs(90))
            .tls_certs_only([authority])
            .build()
            .expect("a client");
        Self { http, ..self }
    }

    /// A client without a credential, from an address of its own on the loopback net: what one
    /// does wrong is not held against another.
    pub fn stranger(root: String) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + n);
        let http = Client::builder()
            .timeout(Duration::from_secs(90))
            .local_address(IpAddr::V4(address))
            .build()
            .expect("a client");
        Self {
            http,
            base: root.clone(),
            root,
            key: String::new(),
        }
    }

    /// The same caller at another project.
    pub fn in_project(&self, project: &str) -> Self {
        Self {
            base: format!("{}/v1/projects/{project}", self.root),
            ..self.clone()
        }
    }

    /// A call of the management API, below `/v1`; null is no body.
    pub async fn manage(&self, method: &str, path: &str, body: Value) -> Reply {
        reply(self.managing(method, path, body)).await
    }

    /// The same before it is sent.
    pub fn managing(&self, method: &str, path: &str, body: Value) -> RequestBuilder {
        let mut request = self.anonymous(method, &format!("{}/v1{path}", self.root));
        if !self.key.is_empty() {
            request = request.bearer_auth(&self.key);
        }
        if !body.is_null() {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        request
    }

    /// Reads something of the management API that must be there.
    pub async fn see(&self, path: &str) -> Value {
        self.manage("GET", path, Value::Null)
            .await
            .expect(200)
            .json()
    }

    /// The same service with another key.
    pub fn with_key(&self, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            ..self.clone()
        }
    }

    /// A request below the project, with the credential.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.anonymous(method, &format!("{}{path}", self.base))
            .bearer_auth(&self.key)
    }

    /// A request to any URL, without a credential.
    pub fn anonymous(&self, method: &str, url: &str) -> RequestBuilder {
        self.http.request(
            Method::from_bytes(method.as_bytes()).expect("a method"),
            url,
        )
    }

    pub async fn get(&self, path: &str) -> Reply {
        reply(self.request("GET", path)).await
    }

    pub async fn send(&self, method: &str, path: &str, body: impl Into<Body>) -> Reply {
        reply(
            self.request(method, path)
                .header("content-type", "application/json")
                .body(body),
        )
        .await
    }

    /// Creates a topic and hands back its path.
    pub async fn topic(&self, name: &str, partitions: u32) -> String {
        let body = json!({ "partitions": partitions }).to_string();
        self.send("PUT", &format!("/topics/{name}"), body)
            .await
            .expect(201);
        format!("/topics/{name}")
    }

    /// Produces and returns the answer's JSON.
    pub async fn produce(&self, topic: &str, body: impl Into<Body>) -> Value {
        self.send("POST", &format!("{topic}/records"), body)
            .await
            .expect(200)
            .json()
    }

    /// Produces under an idempotency key.
    pub async fn produce_once(&self, topic: &str, key: &str, body: impl Into<Body>) -> Reply {
        reply(
            self.request("POST", &format!("{topic}/records"))
                .header("content-type", "application/json")
                .header("idempotency-key", key)
                .body(body),
        )
        .await
    }

    /// Everything in one partition, page by page.
    pub async fn read_partition(&self, topic: &str, partition: u32) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut offset = 0;
        loop {
            let page = self
                .get(&format!(
                    "{topic}/partitions/{partition}/records?offset={offset}&max_records=10000&max_bytes=16777216&on_out_of_range=earliest"
                ))
                .await
                .expect(200);
            rows.extend(page.rows());
            let next = page.number("next_offset");
            if next == offset {
                assert_eq!(
                    next,
                    page.number("high_watermark"),
                    "reading stops at the end"
                );
                return rows;
            }
            offset = next;
        }
    }

    /// Everything in a topic, by cursor: records of one partition come in order.
    pub async fn read_by_cursor(&self, topic: &str) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut position = "from=earliest".to_owned();
        loop {
            let page = self
                .get(&format!(
                    "{topic}/records?{position}&max_records=10000&max_bytes=16777216"
                ))
                .await
                .expect(200);
            let got = page.rows();
            let cursor = page.json_member("cursor");
            if got.is_empty() {
                return rows;
            }
            rows.extend(got);
            position = format!("cursor={cursor}");
        }
    }

    /// The end of each partition.
    pub async fn high_watermarks(&self, topic: &str) -> Vec<u64> {
        let answer = self
            .get(&format!("{topic}/partitions"))
            .await
            .expect(200)
            .json();
        let partitions = answer["partitions"].as_array().expect("partitions");
        partitions
            .iter()
            .map(|p| p["high_watermark"].as_u64().expect("high_watermark"))
            .collect()
    }
}

/// Sends a request and reads the whole answer.
pub async fn reply(request: RequestBuilder) -> Reply {
    try_reply(request)
        .await
        .unwrap_or_else(|error| panic!("no answer: {error:?}"))
}

/// The same where a broken connection is part of the test.
pub async fn try_reply(request: RequestBuilder) -> Result<Reply, reqwest::Error> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    Ok(Reply {
        status,
        headers,
        text: response.text().await?,
    })
}

impl Reply {
    /// Asserts the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status,
            status,
            "unexpected status: {}",
            shorten(&self.text)
        );
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", shorten(&self.text)))
    }

    /// The body without what differs between equal answers: the request's id.
    #[track_caller]
    pub fn timeless(&self) -> Value {
        let mut body = self.any_problem();
        body.as_object_mut()
            .expect("an object")
            .remove("request_id");
        body
    }

    /// Asserts a problem document of this status.
    #[track_caller]
    pub fn any_problem_of(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", shorten(&self.text));
        self.any_problem()
    }

    /// A problem's code; nothing for any other answer.
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.text).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("a readable header"))
    }

    /// What is set as the cookie of this name, with its attributes.
    pub fn set_cookie(&self, name: &str) -> Option<&str> {
        let values = self.headers.get_all("set-cookie").iter();
        let mut texts = values.map(|value| value.to_str().expect("text"));
        texts.find(|text| text.starts_with(&format!("{name}=")))
    }

    /// A string member at the top, found without parsing the values inside.
    #[track_caller]
    pub fn json_member(&self, name: &str) -> String {
        let raw = json::member(&self.text, name)
            .unwrap_or_else(|| panic!("no {name}: {}", shorten(&self.text)));
        serde_json::from_str(raw).unwrap_or_else(|_| panic!("{name} is no string: {raw}"))
    }

    /// A number at the top.
    #[track_caller]
    pub fn number(&self, name: &str) -> u64 {
        let raw = json::member(&self.text, name)
            .unwrap_or_else(|| panic!("no {name}: {}", shorten(&self.text)));
        raw.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {raw}"))
    }

    /// The `records` of a fetch.
    #[track_caller]
    pub fn rows(&self) -> Vec<Row> {
        json::elements(json::member(&self.text, "records").expect("records"))
            .into_iter()
            .map(Row::parse)
            .collect()
    }

    /// Asserts that this is a problem document, whole and of this status and code.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.any_problem();
        assert_eq!(
            (self.status, problem["code"].as_str().unwrap_or("")),
            (status, code),
            "{}",
            shorten(&self.text)
        );
        problem
    }

    /// Asserts that this is a problem document with everything that clients rely on.
    #[track_caller]
    pub fn any_problem(&self) -> Value {
        assert!(
            self.status >= 400,
            "a problem was expected, not {}: {}",
            self.status,
            shorten(&self.text)
        );
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{}",
            shorten(&self.text)
        );
        let problem = self.json();
        check_problem(&problem);
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"));
        problem
    }
}

/// Asserts the members that every problem has, wherever it stands.
#[track_caller]
pub fn check_problem(problem: &Value) {
    for name in ["type", "title", "code", "detail", "outcome", "request_id"] {
        assert!(
            problem[name].as_str().is_some_and(|text| !text.is_empty()),
            "no {name} in {problem}"
        );
    }
    assert_eq!(
        problem["type"],
        format!("/errors/{}", problem["code"].as_str().expect("code")),
        "{problem}"
    );
    assert!(
        problem["status"]
            .as_u64()
            .is_some_and(|status| (400..600).contains(&status)),
        "{problem}"
    );
    assert!(problem["retryable"].is_boolean(), "{problem}");
    let outcome = problem["outcome"].as_str().expect("outcome");
    assert!(
        ["not_applied", "applied", "unknown"].contains(&outcome),
        "{problem}"
    );
}

impl Row {
    /// Reads one record of an answer or of an NDJSON line.
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let mut row = Self {
            partition: u32::MAX,
            offset: u64::MAX,
            key: None,
            value: String::new(),
        };
        for (name, raw) in json::members(text) {
            match name {
                "partition" => row.partition = raw.parse().expect("a partition"),
                "offset" => row.offset = raw.parse().expect("an offset"),
                "key" if raw != "null" => row.key = Some(serde_json::from_str(raw).expect("a key")),
                "value" => row.value = raw.to_owned(),
                _ => {}
            }
        }
        assert!(
            row.offset != u64::MAX && row.partition != u32::MAX,
            "no position in {text}"
        );
        row
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(1_000).collect()
}
