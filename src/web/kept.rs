//! Answers to reading, good for a second: while nothing was recorded since, many who look at the same thing cost little
//! more than one. What somebody has just changed is never hidden: the log has grown by it.

use super::Shared;
use crate::store::Store;
use crate::time::Timestamp;
use crate::workflow::Caller;
use axum::body::{Bytes, to_bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// So old may an answer be; and so old while somebody makes the next one.
const GOOD: TimeDelta = TimeDelta::seconds(1);
const USABLE: TimeDelta = TimeDelta::seconds(3);
/// Answers kept, and bytes of each.
const MOST: usize = 200;
const LARGEST: usize = 256 << 10;

/// What an answer depends on besides the time.
type State = (u64, [u8; 32]);

/// The answers, by who asks and for what.
#[derive(Debug, Default)]
pub struct Kept(Mutex<BTreeMap<String, Arc<Place>>>);

#[derive(Debug, Default)]
struct Place {
    last: Mutex<Option<Last>>,
    /// Of whoever makes the next one.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Last {
    state: State,
    at: Timestamp,
    kind: HeaderValue,
    tag: Option<HeaderValue>,
    body: Bytes,
}

impl Place {
    fn last(&self, state: State, now: Timestamp, within: TimeDelta) -> Option<Response> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let age = now - last.at;
        let good = last.state == state && age >= TimeDelta::zero() && age < within;
        good.then(|| {
            let mut response = ([(header::CONTENT_TYPE, last.kind)], last.body).into_response();
            last.tag.map(|tag| response.headers_mut().insert(header::ETAG, tag));
            response
        })
    }
}

impl Kept {
    fn place(&self, name: String, now: Timestamp) -> Arc<Place> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= MOST && !places.contains_key(&name) {
            let fresh = |place: &Arc<Place>| {
                let last = place.last.lock().unwrap_or_else(PoisonError::into_inner);
                last.as_ref().is_none_or(|last| now - last.at < USABLE)
            };
            places.retain(|_, place| fresh(place));
        }
        if places.len() >= MOST {
            // as many as that ask for different things: each is answered by itself
            return Arc::default();
        }
        places.entry(name).or_default().clone()
    }
}

fn says_what_is_kept(headers: &HeaderMap) -> bool {
    let known = [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::ETAG];
    headers.keys().all(|name| known.contains(name))
}

/// The kept answer to `what` for this caller, or the one that `make` makes.
pub async fn kept<S, F>(web: &Shared<S>, caller: &Caller, what: &str, make: F) -> Response
where
    S: Store,
    F: Future<Output = Response>,
{
    let Ok(state) = web.house.state().await else { return make.await };
    let name = format!("{}\n{}\n{}\n{what}", caller.name, caller.role.as_str(), caller.entities.join(","));
    let place = web.kept.place(name, web.now());
    if let Some(last) = place.last(state, web.now(), GOOD) {
        return last;
    }
    let _turn = match place.turn.try_lock() {
        Ok(turn) => turn,
        Err(_) => {
            if let Some(last) = place.last(state, web.now(), USABLE) {
                return last;
            }
            let turn = place.turn.lock().await;
            if let Some(last) = place.last(state, web.now(), GOOD) {
                return last;
            }
            turn
        }
    };
    let (at, response) = (web.now(), make.await);
    let kind = response.headers().get(header::CONTENT_TYPE).cloned();
    let tag = response.headers().get(header::ETAG).cloned();
    // an answer that says more, or has no end, is not for keeping
    let (StatusCode::OK, Some(kind), true) = (response.status(), kind, says_what_is_kept(response.headers())) else {
        return response;
    };
    let (parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else { return super::error::Problem::internal().into_response() };
    if body.len() <= LARGEST {
        let last = Last { state, at, kind, tag, body: body.clone() };
        *place.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }
    Response::from_parts(parts, body.into())
}
