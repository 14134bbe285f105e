//! `Idempotency-Key`: the answer itself is kept, and given again. Of tokens, accounts, subscriptions, holds and erasures nothing
//! else is known, since a token's text is shown once and written nowhere. Changes of incidents are also known by their keys in
//! the store; what they changed is said here.
//!
//! Kept in memory, for an hour, by the process that gave the answer: long enough for an answer that was lost on its way.

use super::Shared;
use super::body::idempotency;
use super::error::{Answer, Problem};
use super::incidents::tag;
use crate::store::Store;
use crate::time::Timestamp;
use crate::workflow::{Caller, Trouble};
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

const KEPT_FOR: TimeDelta = TimeDelta::hours(1);
/// Answers kept at most, and bytes of all of them; of more the oldest are forgotten.
const MOST: usize = 2000;
const MOST_BYTES: usize = 32 << 20;

/// Who asked with which rights, and under which key.
type Name = (String, String);

/// Both memories: changes of incidents, which the store knows as well, push nothing out that is known here alone.
#[derive(Debug, Default)]
pub struct Memory {
    alone: Answers,
    of_incidents: Answers,
}

/// The answers by their names.
#[derive(Debug, Default)]
struct Answers(Mutex<BTreeMap<Name, Kept>>);

#[derive(Debug)]
struct Kept {
    request: [u8; 32],
    at: Timestamp,
    /// `None` while it is being worked on.
    said: Option<Said>,
}

/// An answer, as it is given again.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    body: Bytes,
    /// Of the incident after it was done.
    version: Option<u64>,
}

/// What was done, and how that is answered.
pub struct Done {
    status: StatusCode,
    said: Said,
}

impl Done {
    /// A change of an incident, which is at `version` after it.
    pub fn at(version: u64, status: StatusCode, body: &impl Serialize) -> Done {
        let body = Bytes::from(serde_json::to_vec(body).unwrap_or_default());
        Done { status, said: Said { body, version: Some(version) } }
    }
}

impl<T: Serialize> From<(StatusCode, T)> for Done {
    fn from((status, answer): (StatusCode, T)) -> Done {
        let body = Bytes::from(serde_json::to_vec(&answer).unwrap_or_default());
        Done { status, said: Said { body, version: None } }
    }
}

/// What is known of a request before it is worked on.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    No,
    UnderWay,
    Answered(Said),
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
        kept.retain(|_, one| now - one.at < KEPT_FOR || one.said.is_none());
        match kept.get(name) {
            Some(one) if one.request != request => return Known::Other,
            Some(Kept { said: Some(said), .. }) => return Known::Answered(said.clone()),
            Some(_) => return Known::UnderWay,
            None => {}
        }
        if kept.len() >= MOST {
            forget_oldest(&mut kept);
        }
        kept.insert(name.clone(), Kept { request, at: now, said: None });
        Known::No
    }

    /// Keeps an answer; what failed may be tried again under the same key.
    fn end(&self, name: &Name, said: Option<Said>) {
        let mut kept = self.kept();
        match (kept.get_mut(name), said) {
            (Some(one), Some(said)) => one.said = Some(said),
            _ => drop(kept.remove(name)),
        }
        let bytes = |kept: &BTreeMap<Name, Kept>| -> usize {
            kept.values().filter_map(|one| one.said.as_ref()).map(|said| said.body.len()).sum()
        };
        while bytes(&kept) > MOST_BYTES && kept.len() > 1 {
            forget_oldest(&mut kept);
        }
    }
}

/// What is being worked on goes last: its repeat would be done a second time.
fn forget_oldest(kept: &mut BTreeMap<Name, Kept>) {
    if let Some(oldest) = kept.iter().min_by_key(|(_, one)| (one.said.is_none(), one.at)).map(|(name, _)| name.clone())
    {
        kept.remove(&oldest);
    }
}

/// Forgets a request that ended without an answer, also by a panic.
struct Work<S> {
    web: Shared<S>,
    which: fn(&Memory) -> &Answers,
    name: Name,
    said: Option<Said>,
}

impl<S> Work<S> {
    fn done(&mut self, said: &Said) {
        self.said = Some(said.clone());
    }
}

impl<S> Drop for Work<S> {
    fn drop(&mut self) {
        (self.which)(&self.web.memory).end(&self.name, self.said.take());
    }
}

/// Does `act` once for each key of `who`, an [`asker`] or the text of a link: the same request again is answered 200 with the
/// first result. Without a key it is done each time. It is finished also when the client leaves: that is when the answer is
/// asked for again.
///
/// # Errors
/// 400 for a key that cannot be read, 409 while the first request is being worked on, 422 for a key of another request;
/// and what `act` answers.
pub async fn once<S, F, D>(
    web: &Shared<S>,
    who: &str,
    headers: &HeaderMap,
    request: (&Uri, &str),
    act: F,
) -> Answer<Response>
where
    S: Store,
    F: Future<Output = Answer<D>> + Send + 'static,
    D: Into<Done>,
{
    let (uri, text) = request;
    answered(web, |memory| &memory.alone, who, headers, (uri, text.as_bytes()), act).await
}

/// The same for a change of an incident. What is not remembered here any more is still done once: the store knows the key, and
/// `act` answers with the state as it is then.
///
/// # Errors
/// As [`once`].
pub async fn once_on_incident<S, F>(
    web: &Shared<S>,
    who: &str,
    headers: &HeaderMap,
    request: (&Uri, &[u8]),
    act: F,
) -> Answer<Response>
where
    S: Store,
    F: Future<Output = Answer<Done>> + Send + 'static,
{
    answered(web, |memory| &memory.of_incidents, who, headers, request, act).await
}

async fn answered<S, F, D>(
    web: &Shared<S>,
    which: fn(&Memory) -> &Answers,
    who: &str,
    headers: &HeaderMap,
    (uri, body): (&Uri, &[u8]),
    act: F,
) -> Answer<Response>
where
    S: Store,
    F: Future<Output = Answer<D>> + Send + 'static,
    D: Into<Done>,
{
    let Some(key) = idempotency(headers)? else {
        let Done { status, said } = act.await?.into();
        return Ok(response(status, said));
    };
    let name = (who.to_string(), key.to_string());
    let asked = uri.path_and_query().map_or("/", |asked| asked.as_str());
    let request = Sha256::new().chain_update(asked).chain_update("\n").chain_update(body).finalize().into();
    match which(&web.memory).begin(&name, request, web.now()) {
        Known::Answered(said) => return Ok(response(StatusCode::OK, said)),
        Known::Other => return Err(Trouble::KeyReused.into()),
        Known::UnderWay => {
            let why = "the first request with this `Idempotency-Key` is being worked on; repeat it in a moment";
            return Err(Trouble::NotNow(why.into()).into());
        }
        Known::No => {}
    }
    let mut work = Work { web: web.clone(), which, name, said: None };
    let task = tokio::spawn(async move {
        let Done { status, said } = act.await?.into();
        // a call takes the whole of it along, to be dropped with the task
        work.done(&said);
        Ok(response(status, said))
    });
    task.await.unwrap_or_else(|_| Err(Problem::internal()))
}

/// Who asked, with what they may: labels of tokens are not unique, rights change, and an answer is for who could get it.
pub fn asker(who: &Caller) -> String {
    format!("{}\n{}\n{}", who.name, who.role.as_str(), who.entities.join("\n"))
}

fn response(status: StatusCode, said: Said) -> Response {
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], said.body).into_response();
    if let Some(version) = said.version {
        tag(&mut response, version);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::Role;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(1_774_700_000 + second, 0).expect("in range")
    }

    fn said(body: &'static str) -> Said {
        Said { body: Bytes::from_static(body.as_bytes()), version: Some(2) }
    }

    fn name(key: &str) -> Name {
        ("token:a".into(), key.into())
    }

    #[test]
    fn a_request_is_answered_as_the_first_time() {
        let (answers, said) = (Answers::default(), said("{}"));
        assert_eq!(answers.begin(&name("k"), [1; 32], at(0)), Known::No);
        assert_eq!(answers.begin(&name("k"), [1; 32], at(1)), Known::UnderWay);
        answers.end(&name("k"), Some(said.clone()));
        assert_eq!(answers.begin(&name("k"), [1; 32], at(2)), Known::Answered(said));
        assert_eq!(answers.begin(&name("k"), [2; 32], at(2)), Known::Other);
        assert_eq!(answers.begin(&("token:b".into(), "k".into()), [2; 32], at(2)), Known::No);
        assert_eq!(answers.begin(&name("k"), [1; 32], at(3600)), Known::No);
    }

    #[test]
    fn an_answer_is_for_who_could_get_it() {
        let caller = |role, entities: &[&str]| Caller {
            name: "token:ci".into(),
            role,
            entities: entities.iter().map(|entity| entity.to_string()).collect(),
        };
        let who = [
            caller(Role::Responder, &["a"]),
            caller(Role::Responder, &["b"]),
            caller(Role::Admin, &["a"]),
            caller(Role::Responder, &[]),
        ];
        let names: std::collections::BTreeSet<String> = who.iter().map(asker).collect();
        assert_eq!(names.len(), who.len());
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
            answers.end(&name(&n.to_string()), Some(said("{}")));
        }
        assert_eq!(answers.kept().len(), MOST);
        // the newest of large ones stay
        let large = Said { body: Bytes::from(vec![b' '; MOST_BYTES / 4]), version: None };
        for n in 0..6 {
            assert_eq!(answers.begin(&name(&format!("large {n}")), [1; 32], at(1000 + n)), Known::No);
            answers.end(&name(&format!("large {n}")), Some(large.clone()));
        }
        let left: Vec<String> = answers.kept().keys().map(|(_, key)| key.clone()).collect();
        assert_eq!(left, ["large 2", "large 3", "large 4", "large 5"]);
    }
}
