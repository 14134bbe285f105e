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
use std::fmt;
use std::str::FromStr;

const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 500;
/// Items on a page of a list that is read whole: of most such lists everything.
const WHOLE: u64 = 1000;
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

    /// Items a page may have.
    fn limit(&self, usual: u64, most: u64) -> Answer<u64> {
        let limit = self.whole("limit")?.unwrap_or(usual);
        if limit == 0 || limit > most {
            return Err(Problem::bad_request(format!("`limit` is `{limit}`; it may be 1 to {most}")));
        }
        Ok(limit)
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
        let limit = self.limit(DEFAULT_LIMIT, MAX_LIMIT)?;
        let (jurisdiction, entity, after) = (text("jurisdiction"), text("entity"), text("after"));
        Ok(Filter { standing, jurisdiction, entity, overdue, due_before, after, limit: limit as u32 })
    }
}

/// The part of a list that comes behind `after`, `limit` items of it, and the place to go on behind. `place` says where an item
/// stands: it ascends over the list and stays what it is, so that nothing added in between is lost or comes twice.
///
/// # Errors
/// 400 for another parameter, a limit that is none, and a place that no page named.
pub fn cut<T, K: Ord + FromStr>(
    items: Vec<T>,
    params: &Params,
    mut place: impl FnMut(&T) -> K,
) -> Answer<(Vec<T>, Option<K>)> {
    params.only(&["after", "limit"])?;
    let limit = params.limit(WHOLE, WHOLE)?;
    let unknown = |text: &str| Problem::bad_request(format!("`after` is `{text}`; give `next` of the page before"));
    let after = params.get("after").map(|text| text.parse::<K>().map_err(|_| unknown(text))).transpose()?;
    let (mut taken, mut last) = (Vec::new(), None);
    for item in items {
        let at = place(&item);
        if after.as_ref().is_some_and(|after| at <= *after) {
            continue;
        }
        if taken.len() as u64 == limit {
            return Ok((taken, last));
        }
        last = Some(at);
        taken.push(item);
    }
    Ok((taken, None))
}

/// [`cut`], as it is answered.
///
/// # Errors
/// As there.
pub fn listed<T, K: Ord + FromStr + fmt::Display>(
    items: Vec<T>,
    params: &Params,
    place: impl FnMut(&T) -> K,
) -> Answer<Page<T>> {
    let (items, next) = cut(items, params, place)?;
    Ok(Page { items, next: next.map(|next| next.to_string()) })
}

/// Where something stands that an entry tells: the number of the entry, and how many come before it in that entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InEntry(u64, u64);

impl fmt::Display for InEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for InEntry {
    type Err = ();

    fn from_str(text: &str) -> Result<InEntry, ()> {
        let (entry, before) = text.split_once('.').ok_or(())?;
        let number = |text: &str| text.parse().map_err(|_| ());
        Ok(InEntry(number(entry)?, number(before)?))
    }
}

/// Gives what entries tell its places, one after the other; `entry` says of which it is. Entries never change.
pub fn in_entries<T>(entry: impl Fn(&T) -> u64) -> impl FnMut(&T) -> InEntry {
    let mut next = InEntry(0, 0);
    move |item| {
        let number = entry(item);
        let place = if next.0 == number { next } else { InEntry(number, 0) };
        next = InEntry(number, place.1 + 1);
        place
    }
}

/// A page of a list with the address of the next one in `Link`.
pub fn page<T: Serialize>(page: Page<T>, uri: &Uri, params: &Params) -> Response {
    linked(&page, page.next.as_deref(), uri, params)
}

/// [`page`], for an answer that has other members besides.
pub fn linked(body: &impl Serialize, next: Option<&str>, uri: &Uri, params: &Params) -> Response {
    let link = next.map(|next| {
        let mut pairs: Vec<String> = params
            .0
            .iter()
            .filter(|(name, _)| name != "after")
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        pairs.push(format!("after={}", encode(next)));
        format!("<{}?{}>; rel=\"next\"", uri.path(), pairs.join("&"))
    });
    let mut response = axum::Json(body).into_response();
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

    /// Reads `list` in pages of `limit`; `meanwhile` does something to it after each.
    fn in_pages(
        mut list: Vec<(u64, u8)>,
        limit: usize,
        mut meanwhile: impl FnMut(&mut Vec<(u64, u8)>),
    ) -> Vec<(u64, u8)> {
        let (mut found, mut query) = (Vec::new(), format!("limit={limit}"));
        loop {
            let page = listed(list.clone(), &params(&query), in_entries(|(n, _)| *n)).expect("a page");
            assert!(page.items.len() <= limit);
            found.extend(page.items);
            match page.next {
                Some(next) => query = format!("limit={limit}&after={next}"),
                None => return found,
            }
            meanwhile(&mut list);
        }
    }

    #[test]
    fn pages_hold_everything_once_whatever_is_added_in_between() {
        // several of one entry, and places that do not sort as texts do
        let list = vec![(1, 0), (1, 1), (2, 0), (9, 0), (10, 0), (10, 1), (10, 2), (100, 0)];
        for limit in 1..=list.len() + 1 {
            assert_eq!(in_pages(list.clone(), limit, |_| ()), list, "{limit}");
            let mut added = 0;
            let grown = in_pages(list.clone(), limit, |list| {
                added += u64::from(added < 3);
                list.truncate(8);
                list.extend((0..added).map(|n| (200 + n, 0)));
            });
            assert!(grown.starts_with(&list), "{limit}: {grown:?}");
            assert!(grown.windows(2).all(|two| two[0] < two[1]), "{limit}: {grown:?}");
        }
        for bad in ["after=1", "after=x.1", "after=1.2.3", "limit=0", "limit=1001", "standing=running"] {
            let problem = listed(list.clone(), &params(bad), in_entries(|(n, _)| *n)).expect_err(bad);
            assert!(problem.status == 400 && problem.detail.contains('`'), "{bad}: {}", problem.detail);
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
