//! `Idempotency-Key` where no incident changes: tokens, accounts, subscriptions, holds, erasures. Incidents keep their keys
//! in the store; here the answer itself is kept, since a token's text is shown once and written nowhere.
//!
//! Kept in memory, for an hour, by the process that gave the answer: long enough for an answer that was lost on its way.

use super::Shared;
use super::body::idempotency;
use super::error::{Answer, Problem};
use crate::store::Store;
use crate::time::Timestamp;
use crate::workflow::Trouble;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

const KEPT_FOR: TimeDelta = TimeDelta::hours(1);
/// Answers kept at most; of more the oldest are forgotten.
const MOST: usize = 2000;

/// Who asked, and under which key.
type Name = (String, String);

/// The answers by their names.
#[derive(Debug, Default)]
pub struct Answers(Mutex<BTreeMap<Name, Kept>>);

#[derive(Debug)]
struct Kept {
    request: [u8; 32],
    at: Timestamp,
    /// `None` while it is being worked on.
    body: Option<Bytes>,
}

/// What is known of a request before it is worked on.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    No,
    UnderWay,
    Answered(Bytes),
    /// The key stands for another request.
    Other,
}

impl Answers {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<Name, Kept>> {
        // every change is one insertion or removal
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks a request up, and notes that it is being worked on when it is new.
    fn begin(&self, name: &Name, request: [u8; 32], now: Timestamp) -> Known {
        let mut kept = self.kept();
        kept.retain(|_, one| now - one.at < KEPT_FOR || one.body.is_none());
        match kept.get(name) {
            Some(one) if one.request != request => return Known::Other,
            Some(Kept { body: Some(body), .. }) => return Known::Answered(body.clone()),
            Some(_) => return Known::UnderWay,
            None => {}
        }
        if kept.len() >= MOST
            && let Some(oldest) = kept.iter().min_by_key(|(_, one)| one.at).map(|(name, _)| name.clone())
        {
            kept.remove(&oldest);
        }
        kept.insert(name.clone(), Kept { request, at: now, body: None });
        Known::No
    }

    /// Keeps an answer; what failed may be tried again under the same key.
    fn end(&self, name: &Name, body: Option<Bytes>) {
        let mut kept = self.kept();
        match (kept.get_mut(name), body) {
            (Some(one), Some(body)) => one.body = Some(body),
            _ => drop(kept.remove(name)),
        }
    }
}

/// Forgets a request that ended without an answer, also by a panic.
struct Work<S> {
    web: Shared<S>,
    name: Name,
    body: Option<Bytes>,
}

impl<S> Work<S> {
    fn done(&mut self, body: Bytes) -> Bytes {
        self.body = Some(body.clone());
        body
    }
}

impl<S> Drop for Work<S> {
    fn drop(&mut self) {
        self.web.answers.end(&self.name, self.body.take());
    }
}

/// Does `act` once for each key of `who`: the same request again is answered 200 with the first result. Without a key it is done
/// each time. It is finished also when the client leaves: that is when the answer is asked for again.
///
/// # Errors
/// 400 for a key that cannot be read, 409 while the first request is being worked on, 422 for a key of another request;
/// and what `act` answers.
pub async fn once<S, T, F>(
    web: &Shared<S>,
    who: &str,
    headers: &HeaderMap,
    (uri, text): (&Uri, &str),
    act: F,
) -> Answer<Response>
where
    S: Store,
    T: Serialize + Send + 'static,
    F: Future<Output = Answer<(StatusCode, T)>> + Send + 'static,
{
    let Some(key) = idempotency(headers)? else {
        let (status, answer) = act.await?;
        return Ok(json(status, written(&answer)?));
    };
    let name = (who.to_string(), key.to_string());
    let request = Sha256::new().chain_update(uri.path()).chain_update("\n").chain_update(text).finalize().into();
    match web.answers.begin(&name, request, web.now()) {
        Known::Answered(body) => return Ok(json(StatusCode::OK, body)),
        Known::Other => return Err(Trouble::KeyReused.into()),
        Known::UnderWay => {
            let why = "the first request with this `Idempotency-Key` is being worked on; repeat it in a moment";
            return Err(Trouble::NotNow(why.into()).into());
        }
        Known::No => {}
    }
    let mut work = Work { web: web.clone(), name, body: None };
    let task = tokio::spawn(async move {
        let (status, answer) = act.await?;
        Ok(json(status, work.done(written(&answer)?)))
    });
    task.await.unwrap_or_else(|_| Err(Problem::internal()))
}

fn written(answer: &impl Serialize) -> Answer<Bytes> {
    serde_json::to_vec(answer).map(Bytes::from).map_err(|_| Problem::internal())
}

fn json(status: StatusCode, body: Bytes) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(1_774_700_000 + second, 0).expect("in range")
    }

    fn name(key: &str) -> Name {
        ("token:a".into(), key.into())
    }

    #[test]
    fn a_request_is_answered_as_the_first_time() {
        let (answers, body) = (Answers::default(), Bytes::from_static(b"{}"));
        assert_eq!(answers.begin(&name("k"), [1; 32], at(0)), Known::No);
        assert_eq!(answers.begin(&name("k"), [1; 32], at(1)), Known::UnderWay);
        answers.end(&name("k"), Some(body.clone()));
        assert_eq!(answers.begin(&name("k"), [1; 32], at(2)), Known::Answered(body));
        assert_eq!(answers.begin(&name("k"), [2; 32], at(2)), Known::Other);
        assert_eq!(answers.begin(&("token:b".into(), "k".into()), [2; 32], at(2)), Known::No);
        assert_eq!(answers.begin(&name("k"), [1; 32], at(3600)), Known::No);
    }

    #[test]
    fn what_failed_is_tried_again() {
        let answers = Answers::default();
        assert_eq!(answers.begin(&name("k"), [1; 32], at(0)), Known::No);
        answers.end(&name("k"), None);
        assert_eq!(answers.begin(&name("k"), [2; 32], at(1)), Known::No);
    }

    #[test]
    fn no_more_is_kept_than_fits() {
        let answers = Answers::default();
        for n in 0..MOST + 10 {
            assert_eq!(answers.begin(&name(&n.to_string()), [1; 32], at(n as i64 / 10)), Known::No);
            answers.end(&name(&n.to_string()), Some(Bytes::new()));
        }
        assert_eq!(answers.kept().len(), MOST);
    }
}
