//! One guarded HTTP request: what webhooks and channels share.
//!
//! The guard: every address a name resolves to is checked and pinned ([`ssrf`]), an address in the URL is checked too,
//! redirects are not followed, proxies are not asked, answers are read up to a cap, and each attempt has its time limits.
//! reqwest is named here and nowhere else among the notifiers.

mod ssrf;

pub use reqwest::{Method, StatusCode, Url};
pub use ssrf::{AddressFault, check_address};

use super::words::one_line;
use crate::escalation::Outcome;
use crate::time::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect;
use ssrf::{GuardedResolver, HostFault};
use std::path::PathBuf;
use std::time::Duration;

/// More of an answer than this is not read.
const ANSWER_BYTES: usize = 8 * 1024;

/// Whom a client may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Loopback and private addresses, and plain http, only when true.
    pub allow_private: bool,
    /// Plain http also to public addresses: for answers that are signed themselves.
    pub allow_plain: bool,
    /// When not empty: these hosts and no others, `hooks.example.org` or `*.example.org`.
    pub allow_hosts: Vec<String>,
    /// Certificates trusted besides the system's, PEM.
    pub ca_file: Option<PathBuf>,
}

/// Time limits of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To connect, TLS included.
    pub connect: Duration,
    /// For the whole attempt.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { connect: Duration::from_secs(10), total: Duration::from_secs(20) }
    }
}

/// What is sent. The method is POST unless it says otherwise.
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Option<String>,
}

impl Request {
    /// A POST of JSON.
    pub fn json(url: Url, body: &serde_json::Value) -> Request {
        Request { method: Method::POST, url, headers: Vec::new(), body: Some(body.to_string()) }
            .with("content-type", "application/json")
    }

    /// Adds a header; one that cannot be sent (line breaks, control characters) is an error of whoever checks settings.
    pub fn with(mut self, name: &str, value: &str) -> Request {
        if let Ok((name, value)) = header(name, value) {
            self.headers.push((name, value));
        }
        self
    }
}

/// A header as it can be sent.
pub fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is not a header's name"))?;
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| format!("the value of `{name}` has characters no header can carry"))?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    /// `Retry-After`, counted from the attempt.
    pub after_seconds: Option<u32>,
    /// The beginning of the body, up to the cap.
    pub text: String,
}

/// A setting that cannot work: its name, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub key: String,
    pub problem: String,
}

impl Fault {
    pub fn new(key: &str, problem: impl Into<String>) -> Fault {
        Fault { key: key.to_string(), problem: problem.into() }
    }
}

/// A client behind the guard.
pub struct Client {
    /// Who it speaks for, in errors: ``webhook `soc` ``.
    who: String,
    client: reqwest::Client,
}

impl Client {
    /// Reads the `ca_file`; connects to nobody.
    pub fn new(who: String, reach: &Reach, limits: Limits) -> Result<Client, Fault> {
        // the TLS library wants one provider per process; a second call answers that there is one already
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = reqwest::Client::builder()
            .user_agent(concat!("breachclock/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(GuardedResolver::system(reach.allow_private, &reach.allow_hosts))
            .connect_timeout(limits.connect)
            .timeout(limits.total);
        if let Some(file) = &reach.ca_file {
            let unreadable = |why: String| Fault::new("ca_file", format!("`{}` {why}", file.display()));
            let pem = std::fs::read(file).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
            let roots =
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| unreadable("is not a PEM file".into()))?;
            client = client.tls_certs_merge(roots);
        }
        let client =
            client.build().map_err(|error| Fault::new("url", format!("TLS cannot be set up: {}", chain(&error))))?;
        Ok(Client { who, client })
    }

    /// A GET, answered by a kind and bytes of at most `longest`.
    ///
    /// # Errors
    /// As [`Client::exchange`].
    pub async fn fetch(&self, url: Url, longest: usize) -> Result<(StatusCode, String, Vec<u8>), String> {
        self.answered(self.client.get(url).header("accept", "application/json"), longest).await
    }

    /// A POST of bytes, answered by a kind (`Content-Type`, empty without one) and bytes of at most `longest`.
    ///
    /// # Errors
    /// That no answer came, or a longer one, in words without the path of the URL.
    pub async fn exchange(
        &self,
        url: Url,
        headers: &[(&str, &str)],
        body: Vec<u8>,
        longest: usize,
    ) -> Result<(StatusCode, String, Vec<u8>), String> {
        let mut builder = self.client.post(url).body(body);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        self.answered(builder, longest).await
    }

    async fn answered(
        &self,
        builder: reqwest::RequestBuilder,
        longest: usize,
    ) -> Result<(StatusCode, String, Vec<u8>), String> {
        let mut response = builder.send().await.map_err(|error| match guard_fault(&error) {
            Some(fault) => format!("{} was not called: {fault}", self.who),
            None => format!("{}: {}", self.who, chain(&error)),
        })?;
        let status = response.status();
        let kind =
            response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_string();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| format!("{}: {}", self.who, chain(&error)))? {
            if bytes.len() + chunk.len() > longest {
                return Err(format!("{} answers with more than {longest} bytes", self.who));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((status, kind, bytes))
    }

    /// One attempt. The error is what becomes of it when no answer came.
    pub async fn send(&self, request: Request, now: Timestamp) -> Result<Answer, Outcome> {
        let mut builder = self.client.request(request.method, request.url);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        match builder.send().await {
            Ok(response) => Ok(read(response, now).await),
            Err(error) => Err(match guard_fault(&error) {
                Some(fault) => Outcome::Refused { error: format!("{} was not called: {fault}", self.who) },
                None => Outcome::Retry { error: format!("{}: {}", self.who, chain(&error)), after_seconds: None },
            }),
        }
    }
}

async fn read(mut response: reqwest::Response, now: Timestamp) -> Answer {
    let status = response.status();
    let after_seconds = response.headers().get(RETRY_AFTER).and_then(|v| retry_after(v.to_str().ok()?, now));
    // read a little, so that the connection can be used again; what is longer is cut off with its connection
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        text.extend_from_slice(&chunk);
        if text.len() > ANSWER_BYTES {
            text.truncate(ANSWER_BYTES);
            break;
        }
    }
    Answer { status, after_seconds, text: String::from_utf8_lossy(&text).into_owned() }
}

/// Https, or http where private receivers are allowed; an address in the URL is checked here because no resolver sees it.
/// `shown` stands for the URL in errors: the path may be a secret.
pub fn check_url(text: &str, shown: &str, reach: &Reach) -> Result<Url, Fault> {
    let fault = |problem: String| Fault::new("url", problem);
    let url = Url::parse(text).map_err(|error| fault(format!("`{shown}` is not a URL: {error}")))?;
    match url.scheme() {
        "https" => {}
        "http" if reach.allow_private || reach.allow_plain => {}
        "http" => {
            return Err(fault(format!(
                "`{shown}` is not encrypted; use https, or `allow_private = true` for a receiver inside"
            )));
        }
        other => return Err(fault(format!("`{other}` is not a webhook scheme; use https"))),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fault("holds a user name or password; leave them out, nothing is sent with them".to_string()));
    }
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    for allowed in &reach.allow_hosts {
        if allowed.is_empty() || allowed.contains(['/', ':', ' ']) {
            let form = "write host names alone, `hooks.example.org` or `*.example.org`";
            return Err(Fault::new("allow_hosts", format!("`{allowed}` is not a host name; {form}")));
        }
    }
    HostFault::check(host, &reach.allow_hosts).map_err(|error| fault(error.to_string()))?;
    match host.parse() {
        Ok(address) if !reach.allow_private => check_address(address).map_err(|error| fault(error.to_string()))?,
        _ => {}
    }
    Ok(url)
}

/// `Retry-After` in seconds from `now`: a number or an HTTP date.
fn retry_after(text: &str, now: Timestamp) -> Option<u32> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let until = chrono::DateTime::parse_from_rfc2822(text).ok()?;
        u32::try_from((until.to_utc() - now).num_seconds().max(0)).ok()
    })
}

/// The guard's verdict, wherever in the chain of causes it is.
fn guard_fault(error: &reqwest::Error) -> Option<String> {
    causes(error).find_map(|cause| {
        let address = cause.downcast_ref::<AddressFault>().map(ToString::to_string);
        address.or_else(|| cause.downcast_ref::<HostFault>().map(ToString::to_string))
    })
}

/// An error with its causes, on one line, without the URL: a path may be a secret of the receiver.
fn chain(error: &reqwest::Error) -> String {
    let kind = match error {
        error if error.is_timeout() => "no answer in time",
        error if error.is_connect() => "cannot connect",
        _ => "the request failed",
    };
    let deepest = causes(error).last().map(|cause| format!(": {cause}")).unwrap_or_default();
    one_line(&format!("{kind}{deepest}"), 300)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source())
}

#[cfg(test)]
mod tests {
    use super::ssrf::Lookup;
    use super::*;
    use std::net::IpAddr;
    use std::sync::Arc;

    #[test]
    fn retry_after_in_both_forms() {
        let now = "2026-03-28T00:55:00Z".parse().expect("RFC 3339");
        let cases = [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sat, 28 Mar 2026 01:00:00 GMT", Some(300)),
            ("soon", None),
            ("-5", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(retry_after(text, now), wanted, "{text}");
        }
        assert_eq!(retry_after("Fri, 27 Mar 2026 01:00:00 GMT", now), Some(0), "in the past: at once");
    }

    #[test]
    fn hosts_on_the_list_and_no_others() {
        let list = ["hooks.example.org".to_string(), "*.example.com".to_string()];
        for (host, allowed) in [
            ("hooks.example.org", true),
            ("HOOKS.example.org.", true),
            ("eu.example.com", true),
            ("a.b.example.com", true),
            ("example.com", false),
            ("evil-example.com", false),
            ("hooks.example.org.evil.net", false),
            ("192.0.2.1", false),
        ] {
            assert_eq!(HostFault::check(host, &list).is_ok(), allowed, "{host}");
        }
        assert!(HostFault::check("anything.example", &[]).is_ok(), "no list, no limit");
    }

    /// One private address among public ones is enough; the guard sees every look-up, so a name cannot change its mind.
    #[tokio::test]
    async fn every_resolved_address_is_checked() {
        use reqwest::dns::Resolve;
        let answers: [(&[&str], bool); 4] = [
            (&["1.1.1.1"], true),
            (&["1.1.1.1", "10.0.0.1"], false),
            (&["::ffff:127.0.0.1"], false),
            (&["2606:4700::1111"], true),
        ];
        for (addresses, allowed) in answers {
            let list: Vec<IpAddr> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
            let known = list.clone();
            let lookup: Lookup = Arc::new(move |_| {
                let list = list.clone();
                Box::pin(async move { Ok(list) })
            });
            let resolver = GuardedResolver::with_lookup(lookup, false);
            let resolved = resolver.resolve("hooks.example.org".parse().expect("a name")).await;
            match resolved {
                Ok(found) => {
                    assert!(allowed, "{addresses:?}");
                    assert_eq!(found.map(|address| address.ip()).collect::<Vec<_>>(), known);
                }
                Err(_) => assert!(!allowed, "{addresses:?}"),
            }
        }
    }
}
