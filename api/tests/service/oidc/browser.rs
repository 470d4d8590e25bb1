//! A person's browser: it keeps cookies, goes where it is sent, and fills in the provider's forms.

use reqwest::{Client, RequestBuilder, Url, redirect::Policy};

use crate::client::{Reply, reply};

/// A browser of its own.
#[derive(Clone)]
pub struct Browser {
    http: Client,
    cookies: Vec<Cookie>,
}

#[derive(Clone)]
struct Cookie {
    /// Browsers share cookies among the ports of a host; here the port tells two services apart.
    origin: String,
    path: String,
    name: String,
    value: String,
}

impl Browser {
    pub fn new() -> Self {
        let http = Client::builder().redirect(Policy::none()).build();
        Self {
            http: http.expect("a client"),
            cookies: Vec::new(),
        }
    }

    /// Opens a page, and stays there even if it sends the browser on.
    pub async fn open(&mut self, url: &str) -> Reply {
        self.send(self.http.get(url), url).await
    }

    /// The same with a header, as a proxy adds it.
    pub async fn open_with(&mut self, url: &str, name: &str, value: &str) -> Reply {
        self.send(self.http.get(url).header(name, value), url).await
    }

    /// Begins a sign-in at `start` and goes through the provider's pages as `login`: where the
    /// provider sends the browser back to.
    pub async fn go_through(&mut self, start: &str, login: &str) -> String {
        self.go(start, Some(login)).await
    }

    /// Begins a sign-in at `start` and cancels it at the provider.
    pub async fn cancel(&mut self, start: &str) -> String {
        self.go(start, None).await
    }

    async fn go(&mut self, start: &str, login: Option<&str>) -> String {
        let mut at = start.to_owned();
        let mut page = self.open(start).await.expect(302);
        for _ in 0..20 {
            let next = page.header("location").map(str::to_owned);
            if let Some(next) = next {
                at = Url::parse(&at).unwrap().join(&next).unwrap().into();
                if origin(&at) == origin(start) {
                    return at;
                }
                page = self.open(&at).await;
                continue;
            }
            let form = page.expect(200).text;
            let Some(login) = login else {
                page = self.open(&attribute(&form, "<a href=")).await;
                continue;
            };
            at = attribute(&form, "action=");
            let prompt = attribute(&form, "name=\"prompt\" value=");
            let filled = match prompt.as_str() {
                "login" => vec![("prompt", "login"), ("login", login), ("password", "any")],
                prompt => vec![("prompt", prompt)],
            };
            page = self.submit(&at, &filled).await;
        }
        panic!("the provider sends the browser around in circles");
    }

    /// The value of a cookie.
    pub fn cookie(&self, url: &str, name: &str) -> Option<String> {
        let of = |cookie: &&Cookie| cookie.origin == origin(url) && cookie.name == name;
        let found = self.cookies.iter().find(of);
        found.map(|cookie| cookie.value.clone())
    }

    /// Puts a value into the cookie of that name, which the browser may not have.
    pub fn set_cookie(&mut self, url: &str, name: &str, value: &str) {
        self.cookies.retain(|cookie| cookie.name != name);
        self.keep(url, &format!("{name}={value}; Path=/"));
    }

    async fn submit(&mut self, url: &str, form: &[(&str, &str)]) -> Reply {
        let body: String = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = self
            .http
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        self.send(request, url).await
    }

    async fn send(&mut self, mut request: RequestBuilder, url: &str) -> Reply {
        let path = Url::parse(url).expect("a URL").path().to_owned();
        let sent: Vec<_> = self
            .cookies
            .iter()
            .filter(|cookie| cookie.origin == origin(url) && path.starts_with(&cookie.path))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        if !sent.is_empty() {
            request = request.header("cookie", sent.join("; "));
        }
        let reply = reply(request).await;
        for value in reply.headers.get_all("set-cookie") {
            self.keep(url, value.to_str().expect("text"));
        }
        reply
    }

    fn keep(&mut self, url: &str, text: &str) {
        let mut parts = text.split(';').map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (name.trim(), value.trim())
        });
        let (name, value) = parts.next().expect("a cookie");
        let attributes: Vec<_> = parts.collect();
        let attribute = |wanted: &str| {
            let mut found = attributes.iter();
            found.find(|(name, _)| name.eq_ignore_ascii_case(wanted))
        };
        let cookie = Cookie {
            origin: origin(url),
            path: attribute("path").map_or("/", |(_, path)| path).to_owned(),
            name: name.to_owned(),
            value: value.to_owned(),
        };
        self.cookies.retain(|kept| !kept.is_replaced_by(&cookie));
        let over = attribute("max-age").is_some_and(|(_, age)| *age == "0")
            || attribute("expires").is_some_and(|(_, at)| at.contains("1970"));
        if !over {
            self.cookies.push(cookie);
        }
    }
}

impl Cookie {
    fn is_replaced_by(&self, other: &Self) -> bool {
        (&self.origin, &self.path, &self.name) == (&other.origin, &other.path, &other.name)
    }
}

fn origin(url: &str) -> String {
    let url = Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    url.origin().ascii_serialization()
}

/// The value of an HTML attribute, after `start`.
fn attribute(html: &str, start: &str) -> String {
    let (_, rest) = html.split_once(start).expect(start);
    rest.split('"').nth(1).expect("quotes").to_owned()
}
