//! How fast somebody unknown may ask: a bucket for each address. Reports of incidents are never refused, nor are probes of
//! liveness; who has a token or a session is not counted, unless it is a wrong one.

use super::Shared;
use super::auth::{credential, session_cookie};
use super::client::Client;
use super::error::Problem;
use crate::store::Store;
use crate::time::Timestamp;
use crate::workflow::Answered;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Requests at once, and how many come back each second.
const BURST: f64 = 120.0;
const PER_SECOND: f64 = 20.0;
/// A wrong token costs as much as so many requests.
const WRONG: f64 = 10.0;
/// Addresses remembered. When there are more, the fullest are forgotten: they lose nothing.
const MOST: usize = 20_000;

/// What each address has left.
#[derive(Debug, Default)]
pub struct Pace(Mutex<BTreeMap<String, (f64, Timestamp)>>);

impl Pace {
    /// Takes `cost`; `false` when nothing is left.
    fn take(&self, client: &str, cost: f64, now: Timestamp) -> bool {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST {
            buckets.retain(|_, (left, at)| filled(*left, *at, now) < BURST);
        }
        if buckets.len() >= MOST {
            // a flood from everywhere: let it be served rather than remembered
            return true;
        }
        let (left, at) = buckets.entry(client.to_string()).or_insert((BURST, now));
        *left = filled(*left, *at, now);
        *at = now;
        if *left < 1.0 {
            return false;
        }
        *left = (*left - cost).max(0.0);
        true
    }
}

fn filled(left: f64, at: Timestamp, now: Timestamp) -> f64 {
    // a clock that was set back gives nothing and takes nothing
    let seconds = (now - at).num_milliseconds().max(0) as f64 / 1000.0;
    (left + seconds * PER_SECOND).min(BURST)
}

/// Whether a request goes on whoever sends it.
fn is_always_heard(method: &Method, path: &str) -> bool {
    let report =
        matches!(path, "/report" | "/api/v1/incidents" | "/api/v1/inbound/mail") || path.starts_with("/api/v1/ingest/");
    (method == Method::POST && report)
        || matches!(path, "/healthz" | "/readyz" | "/metrics")
        || path.starts_with("/assets/")
}

/// Around every route: counts who is unknown, and records who was refused.
pub async fn watch<S: Store>(State(web): State<Shared<S>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let now = web.now();
    let client =
        Client::of(&parts, web.options.behind_proxy).filter(|_| !is_always_heard(&parts.method, parts.uri.path()));
    let (bearer, cookie) = (credential(&parts.headers), session_cookie(&parts.headers, web.options.secure_cookies));
    // a session that has ended is nobody's attempt
    let by_program = bearer.is_some();
    let token = bearer.or(cookie).map(str::to_string);
    let place = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_string());
    let method = parts.method.clone();
    if let Some(client) = &client
        && !web.pace.take(client, if token.is_some() { 0.0 } else { 1.0 }, now)
    {
        return too_many();
    }
    let response = next.run(Request::from_parts(parts, body)).await;
    match (response.status(), token) {
        (StatusCode::UNAUTHORIZED, Some(token)) => {
            if let Some(client) = &client {
                web.pace.take(client, WRONG, now);
            }
            if by_program {
                noted(record_void(&web, &token, now).await);
            }
        }
        // what belongs to another entity is not there
        (status @ (StatusCode::FORBIDDEN | StatusCode::NOT_FOUND), Some(token)) => {
            if let (Ok(Some(caller)), Some(place)) = (web.house.authenticate(&token, now).await, place)
                && (status == StatusCode::FORBIDDEN || method == Method::POST && !caller.entities.is_empty())
            {
                noted(web.house.record_refused(&caller, &format!("{method}:{place}"), now).await);
            }
        }
        _ => {}
    }
    response
}

async fn record_void<S: Store>(web: &Shared<S>, token: &str, now: Timestamp) -> Answered<()> {
    let void = web.house.why_void(token, now).await?;
    web.house.record_void(&void, now).await
}

/// What is refused was changed nowhere: a log that cannot take the entry changes nothing about the answer.
fn noted<E: std::fmt::Display>(recorded: Result<(), E>) {
    if let Err(error) = recorded {
        tracing::warn!(%error, "that a request was refused could not be recorded");
    }
}

fn too_many() -> Response {
    let detail = "too many requests from your address; wait a second and repeat, more slowly";
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many", "too many requests", detail);
    let mut response = problem.into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_timestamp_millis(1_774_700_000_000 + millis).expect("in range")
    }

    #[test]
    fn a_bucket_empties_and_fills() {
        let pace = Pace::default();
        let served = (0..200).filter(|_| pace.take("a", 1.0, at(0))).count();
        assert_eq!((served, pace.take("b", 1.0, at(0))), (120, true));
        assert!(!pace.take("a", 1.0, at(40)) && pace.take("a", 1.0, at(60)));
        assert!(!pace.take("a", 1.0, at(-5000)) && pace.take("a", 1.0, at(10_000)));
        let wrong = (0..200).filter(|_| pace.take("c", WRONG, at(0))).count();
        assert_eq!(wrong, 12);
    }

    #[test]
    fn reports_are_always_heard() {
        for (method, path, always) in [
            (Method::POST, "/api/v1/incidents", true),
            (Method::GET, "/api/v1/incidents", false),
            (Method::POST, "/report", true),
            (Method::POST, "/api/v1/ingest/ocsf", true),
            (Method::POST, "/login", false),
            (Method::GET, "/readyz", true),
        ] {
            assert_eq!(is_always_heard(&method, path), always, "{method} {path}");
        }
    }
}
