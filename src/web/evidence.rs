//! Evidence of one incident, bundles for export, and the transparency of the whole log.

use super::Shared;
use super::answers::Entries;
use super::auth::{Api, FromHere};
use super::body::{Id, Members, Text, idempotency};
use super::error::{Answer, Problem};
use super::query::{Params, cut};
use crate::store::Store;
use crate::workflow::export::ExportRequest;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// Entries one answer holds at most.
const MAX_ENTRIES: u64 = 1000;
const PROFILES: [&str; 3] = ["authority", "client", "internal"];

/// Entries of one incident after the entry `after`, a thousand at most unless `limit` says fewer; `next` is where to go on.
pub async fn entries<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    params: Params,
) -> Answer<Response> {
    let entries = web.house.evidence_entries(&caller, &id).await?;
    let (items, next) = cut(entries, &params, |entry: &Value| entry["idx"].as_u64().unwrap_or_default())?;
    Ok(Json(Entries { items, next }).into_response())
}

/// The export as a ZIP: `?profile=authority|client|internal&withhold=KIND&language=en|de|fr&zone=NAME`.
pub async fn bundle<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    _: FromHere,
    params: Params,
) -> Answer<Response> {
    params.only(&["profile", "withhold", "language", "zone"])?;
    let wanted = ExportRequest {
        profile: profile(params.get("profile"))?.to_string(),
        withhold: params.all("withhold").map(str::to_string).collect(),
        language: params.get("language").unwrap_or("en").to_string(),
        zone: params.get("zone").map(str::to_string),
    };
    let (name, bytes) = web.house.bundle(&caller, &id, &wanted, web.now()).await?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    let named = format!("attachment; filename=\"{}\"", file_name(&name));
    if let Ok(value) = HeaderValue::from_str(&named) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok((headers, bytes).into_response())
}

/// What an export would disclose and withhold: `{ "profile": …, "withhold": […] }` or `?profile=&withhold=`.
pub async fn preview<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    params: Params,
    headers: HeaderMap,
    Text(text): Text,
) -> Answer<Response> {
    // nothing is recorded, so repeating is harmless; a bad key is still the sender's mistake
    idempotency(&headers)?;
    params.only(&["profile", "withhold"])?;
    let mut members = Members::read(&text, &["profile", "withhold"])?;
    let (asked, mut withhold) = (members.text("profile"), members.words("withhold"));
    members.finish()?;
    withhold.extend(params.all("withhold").map(str::to_string));
    let profile = profile(asked.as_deref().or(params.get("profile")))?;
    Ok(Json(web.house.bundle_preview(&caller, &id, profile, &withhold, web.now()).await?).into_response())
}

/// The signed note, as text. Open to everybody: it names a size and a hash, and witnesses have no account.
pub async fn checkpoint<S: Store>(State(web): State<Shared<S>>) -> Answer<Response> {
    let note = web.house.checkpoint(web.now()).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], note).into_response())
}

/// Entries `from` (inclusive) to `to` (exclusive), a thousand at most; `next` is where to go on.
pub async fn log_entries<S: Store>(State(web): State<Shared<S>>, Api(caller): Api, params: Params) -> Answer<Response> {
    params.only(&["from", "to"])?;
    let from = params.whole("from")?.unwrap_or(0);
    let most = from.saturating_add(MAX_ENTRIES);
    let wanted = params.whole("to")?;
    if let Some(to) = wanted.filter(|to| *to < from) {
        return Err(Problem::bad_request(format!("`to` is `{to}`, before `from` (`{from}`)")));
    }
    let to = wanted.unwrap_or(most).min(most);
    let items = web.house.log_entries(&caller, from, to).await?;
    // a full answer may not be the end
    let next = (items.len() as u64 == MAX_ENTRIES && wanted.is_none_or(|w| w > to)).then_some(to);
    Ok(Json(Entries { items, next }).into_response())
}

/// Inclusion of entry `index`, or consistency since the tree of size `from`; in the tree of `size`, else the newest.
pub async fn log_proof<S: Store>(State(web): State<Shared<S>>, Api(caller): Api, params: Params) -> Answer<Response> {
    params.only(&["index", "from", "size"])?;
    let (index, from, size) = (params.whole("index")?, params.whole("from")?, params.whole("size")?);
    if index.is_some() == from.is_some() {
        return Err(Problem::bad_request("give `index` for an inclusion proof, or `from` for a consistency proof"));
    }
    Ok(Json(web.house.log_proof(&caller, index, from, size).await?).into_response())
}

fn profile(asked: Option<&str>) -> Answer<&str> {
    match asked {
        None => Ok(PROFILES[0]),
        Some(word) if PROFILES.contains(&word) => Ok(word),
        Some(word) => Err(Problem::bad_request(format!("`profile` is `{word}`; it may be {}", PROFILES.join(", ")))),
    }
}

/// A name that no shell, file system or header takes for something else.
pub fn file_name(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' };
    name.chars().map(safe).collect::<String>().trim_start_matches(['.', '-']).to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn file_names_are_plain() {
        assert_eq!(super::file_name("evidence-inc-01.zip"), "evidence-inc-01.zip");
        assert_eq!(super::file_name("../a\"b\r\nc.zip"), "a-b--c.zip");
    }
}
