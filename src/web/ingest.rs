//! `/api/v1/ingest/{format}`: other tools' webhooks. A token of ours, or the sender's own signature or secret.

use super::Shared;
use super::answers::Items;
use super::auth::credential;
use super::body::{Raw, idempotency};
use super::error::{Answer, Problem};
use super::query::Params;
use crate::ingest::tools::Tool;
use crate::store::Store;
use crate::workflow::ingest::Outcome;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;

/// 201 when an incident was opened, 200 when not: something was added, known, or left with the reason.
pub async fn take<S: Store>(
    State(web): State<Shared<S>>,
    Path(format): Path<String>,
    params: Params,
    headers: HeaderMap,
    Raw(bytes): Raw,
) -> Answer<Response> {
    let Some(tool) = Tool::parse(&format) else {
        let known: Vec<String> = Tool::ALL.iter().map(|tool| format!("`{}`", tool.as_str())).collect();
        return Err(Problem::not_found(format!("there is no format `{format}`; there are {}", known.join(", "))));
    };
    params.only(&["source"])?;
    let now = web.now();
    let caller = match credential(&headers) {
        Some(token) => web.house.authenticate(token, now).await?,
        None => None,
    };
    let proofs = proofs(&headers);
    let sender = web.house.sender(tool, params.get("source"), caller, (&proofs, &bytes), now)?;
    let (source, caller) = sender.ok_or_else(|| {
        let how =
            "send `Authorization: Bearer <token>`, or what an [[ingest]] of the configuration agrees with this sender";
        Problem::unauthorized(format!("this sender has not proven who it is; {how}"))
    })?;
    let items = web.house.ingest(&source, &caller, &bytes, idempotency(&headers)?, now).await?;
    let opened = items.iter().any(|item| item.outcome == Outcome::Opened);
    let status = if opened { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(Items { items })).into_response())
}

/// The headers as text; several of one name joined by commas, as HTTP allows. One that is no text proves nothing.
fn proofs(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let Ok(value) = value.to_str() else { continue };
        let joined = found.entry(name.as_str().to_string()).or_default();
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(value);
    }
    found
}
