//! `/api/v1/obligations`: the board, one with its derivation, and what people do about it; `/a/{token}` for programs.

use super::Shared;
use super::auth::Api;
use super::body::{Id, Members, Text, idempotency, if_match, terms};
use super::error::{Answer, Problem};
use super::incidents::tag;
use super::kept::kept;
use super::query::{Params, listed, page};
use super::repeat::{Done, asker, once_on_incident};
use crate::store::Store;
use crate::workflow::{AckRequest, DecisionView, FilingRequest, Score, Terms, WaiverRequest};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

pub async fn list<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    uri: Uri,
    params: Params,
) -> Answer<Response> {
    let obligations = web.house.obligations(&caller, params.filter()?, web.now()).await?;
    Ok(page(obligations, &uri, &params))
}

pub async fn show<S: Store>(State(web): State<Shared<S>>, Api(caller): Api, Id(id): Id) -> Answer<Response> {
    let read = async {
        match web.house.obligation(&caller, &id, web.now()).await {
            Ok(view) => {
                let version = view.version;
                let mut response = Json(view).into_response();
                tag(&mut response, version);
                response
            }
            Err(trouble) => Problem::from(trouble).into_response(),
        }
    };
    Ok(kept(&web, &caller, &format!("obligation {id}"), read).await)
}

pub async fn acknowledge<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    headers: HeaderMap,
    Text(text): Text,
) -> Answer<Response> {
    let ask = ack(&text)?;
    let view = web.house.acknowledge(&caller, &id, ask, terms(&headers)?, web.now()).await?;
    Ok(Json(view).into_response())
}

pub async fn file<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    (headers, uri): (HeaderMap, Uri),
    Text(text): Text,
) -> Answer<Response> {
    let ask = filing(&text)?;
    let (version, key) = (if_match(&headers)?, idempotency(&headers)?.map(str::to_string));
    let (house, now, by) = (web.house.clone(), web.now(), caller.clone());
    once_on_incident(&web, &asker(&caller), &headers, (&uri, text.as_bytes()), async move {
        let changed = house.file(&by, &id, ask, Terms { version, key: key.as_deref() }, now).await?;
        Ok(Done::at(changed.version, StatusCode::OK, &changed))
    })
    .await
}

pub async fn waive<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    headers: HeaderMap,
    Text(text): Text,
) -> Answer<Response> {
    let ask = waiver(&text)?;
    let view = web.house.waive(&caller, &id, ask, terms(&headers)?, web.now()).await?;
    Ok(Json(view).into_response())
}

/// What waits for somebody who may decide.
pub async fn decisions<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    uri: Uri,
    params: Params,
) -> Answer<Response> {
    let items = web.house.decisions(&caller, web.now()).await?;
    Ok(page(listed(items, &params, DecisionView::place)?, &uri, &params))
}

/// A decision not to notify is withdrawn, refused, or taken back.
pub async fn withdraw<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    headers: HeaderMap,
    Text(text): Text,
) -> Answer<Response> {
    let mut members = Members::read(&text, &["reason"])?;
    let reason = required(&mut members, "reason", "why the decision is taken back; an authority may read it");
    members.finish()?;
    let view = web.house.withdraw_decision(&caller, &id, &reason, terms(&headers)?, web.now()).await?;
    Ok(Json(view).into_response())
}

pub async fn delay<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    headers: HeaderMap,
    Text(text): Text,
) -> Answer<Response> {
    let mut members = Members::read(&text, &["reason"])?;
    let reason = required(&mut members, "reason", "why the notice is late; the authority reads it");
    members.finish()?;
    let view = web.house.delay(&caller, &id, &reason, terms(&headers)?, web.now()).await?;
    Ok(Json(view).into_response())
}

/// `{ lease_seconds, by, role, decline }`, all optional.
pub fn ack(text: &str) -> Answer<AckRequest> {
    let mut members = Members::read(text, &["lease_seconds", "by", "role", "decline"])?;
    let lease_seconds = members.whole("lease_seconds");
    if let Some(seconds) = lease_seconds.filter(|s| *s <= 0) {
        members.fault("lease_seconds", format!("`lease_seconds` is `{seconds}`; a lease lasts at least one second"));
    }
    let (by, role) = (members.text("by"), members.text("role"));
    let decline = members.flag("decline").unwrap_or(false);
    members.finish()?;
    Ok(AckRequest { lease_seconds, by, role, decline })
}

/// `{ at, by, reference, proof_sha256 | proof, complete, note, documents }`, all optional. `proof` is base64, and becomes a file of
/// the incident; `documents` are entries that name files handed in before.
fn filing(text: &str) -> Answer<FilingRequest> {
    const KNOWN: [&str; 8] = ["at", "by", "reference", "proof_sha256", "proof", "complete", "note", "documents"];
    let mut members = Members::read(text, &KNOWN)?;
    let (at, by, reference) = (members.instant("at"), members.text("by"), members.text("reference"));
    let (complete, note) = (members.flag("complete"), members.text("note"));
    let (stated, bytes) = (members.text("proof_sha256"), members.text("proof"));
    let documents = members.wholes("documents");
    let (mut proof, mut proof_bytes) = (None, None);
    if let Some(hash) = &stated {
        proof = digest(hash);
        if proof.is_none() {
            members.fault("proof_sha256", format!("`proof_sha256` is `{hash}`; a SHA-256 has 64 hexadecimal digits"));
        }
    }
    if let Some(encoded) = bytes {
        match STANDARD.decode(encoded.split_ascii_whitespace().collect::<String>()) {
            Ok(bytes) => {
                let found: [u8; 32] = Sha256::digest(&bytes).into();
                if proof.is_some_and(|p| p != found) {
                    members.fault("proof_sha256", "`proof_sha256` is not the hash of `proof`".to_string());
                }
                proof = Some(found);
                proof_bytes = Some(bytes);
            }
            Err(_) => members.fault("proof", "`proof` is not base64; encode the bytes of the file".to_string()),
        }
    }
    members.finish()?;
    Ok(FilingRequest { at, by, reference, proof, complete, note, proof_bytes, documents })
}

/// `{ reason, by, second_approver, review_on, reopen_when, grounds, inputs, score_method, score, score_band }`; a second call by
/// another approver approves.
fn waiver(text: &str) -> Answer<WaiverRequest> {
    const KNOWN: [&str; 10] = [
        "reason",
        "by",
        "second_approver",
        "review_on",
        "reopen_when",
        "grounds",
        "inputs",
        "score_method",
        "score",
        "score_band",
    ];
    let mut members = Members::read(text, &KNOWN)?;
    let reason = required(&mut members, "reason", "why the duty does not arise; an authority may read it in two years");
    let (by, second_approver, review_on) =
        (members.text("by"), members.text("second_approver"), members.text("review_on"));
    if let Some(day) = review_on.as_ref().filter(|d| !is_date(d)) {
        members.fault("review_on", format!("`review_on` is `{day}`; give a day such as `2026-04-27`"));
    }
    let (reopen_when, grounds, inputs) =
        (members.words("reopen_when"), members.words("grounds"), members.words("inputs"));
    let (method, value, band) = (members.text("score_method"), members.text("score"), members.text("score_band"));
    let score = match (method, value) {
        (Some(method), Some(value)) => Some(Score { method, value, band }),
        (None, None) if band.is_none() => None,
        _ => {
            members.fault("score", "`score` and `score_method` belong together; give both".to_string());
            None
        }
    };
    members.finish()?;
    Ok(WaiverRequest { reason, by, second_approver, review_on, reopen_when, grounds, inputs, score })
}

pub fn required(members: &mut Members, name: &str, what: &str) -> String {
    let before = members.faults();
    let text = members.text(name);
    if text.is_none() && members.faults() == before {
        members.fault(name, format!("`{name}` is missing; say {what}"));
    }
    text.unwrap_or_default()
}

pub fn is_date(text: &str) -> bool {
    chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

/// 64 hexadecimal digits as bytes.
pub fn digest(hex: &str) -> Option<[u8; 32]> {
    let hex = hex.strip_prefix("sha256:").unwrap_or(hex).as_bytes();
    if hex.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, pair) in hex.chunks_exact(2).enumerate() {
        let nibble = |c: u8| (c as char).to_digit(16);
        bytes[at] = (nibble(pair[0])? * 16 + nibble(pair[1])?) as u8;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filings() {
        let read = filing(r#"{"proof":"aGVsbG8=","complete":false,"at":"2026-03-28T02:14:00+01:00"}"#).expect("good");
        let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!((read.proof, read.complete), (digest(hash), Some(false)));
        let both = format!(r#"{{"proof":"aGVsbG8=","proof_sha256":"{hash}"}}"#);
        assert!(filing(&both).is_ok());
        let cases = [
            (r#"{"proof":"%%"}"#, "/proof"),
            (r#"{"proof_sha256":"12"}"#, "/proof_sha256"),
            (
                r#"{"proof":"aGVsbG8h","proof_sha256":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}"#,
                "/proof_sha256",
            ),
            (r#"{"at":"2026-03-28T02:14:00"}"#, "/at"),
            (r#"{"file":"x"}"#, "/file"),
        ];
        for (text, pointer) in cases {
            let problem = filing(text).expect_err(text);
            assert_eq!((problem.status, problem.errors[0].pointer.as_str()), (422, pointer), "{text}");
        }
        assert!(filing("").is_ok(), "a filing needs no details");
    }

    #[test]
    fn waivers_need_a_reason() {
        for text in ["", "{}", r#"{"reason":" "}"#, r#"{"reason":5}"#, r#"{"reason":null}"#] {
            let problem = waiver(text).expect_err(text);
            assert_eq!((problem.errors.len(), problem.errors[0].pointer.as_str()), (1, "/reason"), "{text}");
        }
        let problem = waiver(r#"{"reason":"x","review_on":"soon","reopen_when":["a",1]}"#).expect_err("two faults");
        assert_eq!(problem.errors.len(), 2);
    }

    #[test]
    fn acknowledgements_in_json_or_toml() {
        assert_eq!(ack(r#"{"lease_seconds":60}"#).expect("json").lease_seconds, Some(60));
        assert!(ack("decline = true").expect("toml").decline);
        assert!(ack(r#"{"lease_seconds":0}"#).is_err());
    }
}
