//! Parameters of an address, and percent-encoding of the addresses we write.

use super::Shared;
use super::error::{Answer, Problem};
use crate::law::{Standing, nearest_of};
use crate::store::Store;
use crate::workflow::{Filter, Page};
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 500;
const FILTERS: [&str; 7] = ["standing", "jurisdiction", "entity", "overdue", "due_before", "after", "limit"];

/// The parameters as sent, in order.
#[derive(Debug, Default)]
pub struct Params(pub Vec<(String, String)>);

impl<S: Store> FromRequestParts<Shared<S>> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared<S>) -> Result<Params, Problem> {
        Params::of(&parts.uri)
    }
}

impl Params {
    pub fn of(uri: &Uri) -> Answer<Params> {
        let unreadable = |_| Problem::bad_request("the parameters after `?` cannot be read");
        Query::<Vec<(String, String)>>::try_from_uri(uri).map(|Query(pairs)| Params(pairs)).map_err(unreadable)
    }

    /// The last value given; `None` also for an empty one, as forms send what was left blank.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.trim()).filter(|v| !v.is_empty())
    }

    pub fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        self.0
            .iter()
            .filter(move |(n, _)| n == name)
            .flat_map(|(_, v)| v.split(','))
            .map(str::trim)
            .filter(|v| !v.is_empty())
    }

    /// # Errors
    /// 400 naming the first parameter that is not in `known`.
    pub fn only(&self, known: &[&str]) -> Answer<()> {
        let Some((name, _)) = self.0.iter().find(|(n, _)| !known.contains(&n.as_str())) else { return Ok(()) };
        let hint = match nearest_of(name, known.iter().copied()).first() {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "there are none here".to_string(),
            None => format!("there are {}", known.join(", ")),
        };
        Err(Problem::bad_request(format!("`{name}` is not a parameter; {hint}")))
    }

    /// # Errors
    /// 400 when the value is no whole number of zero or more.
    pub fn whole(&self, name: &str) -> Answer<Option<u64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let fault = |_| Problem::bad_request(format!("`{name}` is `{value}`; give a whole number"));
        value.parse().map(Some).map_err(fault)
    }

    /// The filters of the two lists.
    ///
    /// # Errors
    /// 400 naming the parameter that is wrong.
    pub fn filter(&self) -> Answer<Filter> {
        self.only(&FILTERS)?;
        let text = |name: &str| self.get(name).map(str::to_string);
        let standing = text("standing");
        if let Some(word) = standing.as_deref().filter(|s| !Standing::WORDS.contains(s)) {
            return Err(Problem::bad_request(format!(
                "`standing` is `{word}`; it may be {}",
                Standing::WORDS.join(", ")
            )));
        }
        let overdue = match self.get("overdue") {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => {
                return Err(Problem::bad_request(format!("`overdue` is `{other}`; it may be true or false")));
            }
        };
        let due_before = match self.get("due_before") {
            None => None,
            Some(value) => {
                // a plus sign in an address means a blank unless it is encoded
                let value = value.replace(' ', "+");
                Some(
                    crate::ingest::instant(&value, None)
                        .map_err(|e| Problem::bad_request(format!("`due_before`: {e}")))?,
                )
            }
        };
        let limit = self.whole("limit")?.unwrap_or(u64::from(DEFAULT_LIMIT));
        if limit == 0 || limit > u64::from(MAX_LIMIT) {
            return Err(Problem::bad_request(format!("`limit` is `{limit}`; it may be 1 to {MAX_LIMIT}")));
        }
        let (jurisdiction, entity, after) = (text("jurisdiction"), text("entity"), text("after"));
        Ok(Filter { standing, jurisdiction, entity, overdue, due_before, after, limit: limit as u32 })
    }
}

/// A page of a list with the address of the next one in `Link`.
pub fn page<T: Serialize>(page: Page<T>, uri: &Uri, params: &Params) -> Response {
    let link = page.next.as_ref().map(|next| {
        let mut pairs: Vec<String> = params
            .0
            .iter()
            .filter(|(name, _)| name != "after")
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        pairs.push(format!("after={}", encode(next)));
        format!("<{}?{}>; rel=\"next\"", uri.path(), pairs.join("&"))
    });
    let mut response = axum::Json(page).into_response();
    if let Some(value) = link.and_then(|l| HeaderValue::from_str(&l).ok()) {
        response.headers_mut().insert(header::LINK, value);
    }
    response
}

/// Percent-encodes everything but unreserved characters.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte as char),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// A part of a path as it was before it was encoded.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let code = text.get(at + 1..at + 3).and_then(|code| u8::from_str_radix(code, 16).ok());
        let (byte, step) = if *byte == b'%' { code.map_or((*byte, 1), |code| (code, 3)) } else { (*byte, 1) };
        decoded.push(byte);
        at += step;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::of(&format!("/x?{query}").parse().expect("uri")).expect("readable")
    }

    #[test]
    fn filters_are_read_or_named() {
        let filter = params("standing=running&overdue=true&due_before=2026-03-30T16:00:00%2B02:00&limit=7&after=x")
            .filter()
            .expect("good");
        assert_eq!((filter.standing.as_deref(), filter.overdue, filter.limit), (Some("running"), true, 7));
        assert_eq!(filter.due_before.map(|t| t.to_rfc3339()), Some("2026-03-30T14:00:00+00:00".to_string()));
        assert!(params("due_before=2026-03-30T16:00:00+02:00").filter().expect("a bare plus").due_before.is_some());
        for bad in ["standing=late", "overdue=1", "due_before=monday", "limit=0", "limit=x", "limit=501", "entitty=a"] {
            let problem = params(bad).filter().expect_err(bad);
            assert_eq!(problem.status, 400, "{bad}");
            assert!(problem.detail.contains('`'), "{}", problem.detail);
        }
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        for text in ["inc-1~x@FR", "a/b?c%", "ü %41"] {
            assert_eq!(decode(&encode(text)), text);
        }
        assert_eq!(decode("%4"), "%4");
    }

    #[test]
    fn the_next_page_keeps_the_filters() {
        let uri: Uri = "/api/v1/incidents?overdue=true&after=a".parse().expect("uri");
        let response =
            page(Page::<u8> { items: vec![1], next: Some("in c".into()) }, &uri, &Params::of(&uri).expect("params"));
        assert_eq!(response.headers()[header::LINK], "</api/v1/incidents?overdue=true&after=in%20c>; rel=\"next\"");
    }
}
