//! Files of an incident: handed in, listed, read.

use super::Shared;
use super::auth::{Api, FromHere};
use super::body::{Id, Raw, idempotency, if_match};
use super::error::{Answer, Problem};
use super::evidence::file_name;
use super::query::{Params, listed, page};
use super::repeat::{Done, asker, once_on_incident};
use crate::evidence::sha256;
use crate::store::Store;
use crate::workflow::{Attach, AttachmentKind, Terms};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

/// Bytes a file may have. It lies in memory while it is sealed.
pub(super) const MAX_FILE: usize = 32 << 20;
const KNOWN: [&str; 7] = ["name", "kind", "obligation", "by", "at", "how", "tool"];

/// The body is the file; the address says what it is: `?name=&kind=&obligation=&by=&at=&how=&tool=`.
pub async fn attach<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    (headers, uri): (HeaderMap, Uri),
    params: Params,
    request: Request,
) -> Answer<Response> {
    let mut ask = described(&params)?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    ask.media_type = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let Raw(bytes) = Raw::within(request, MAX_FILE.max(web.options.max_body), web.options.patience).await?;
    // its hash stands for the file in what is remembered, so that it lies in memory once
    let file = sha256(&bytes);
    ask.bytes = bytes.into();
    let (version, key) = (if_match(&headers)?, idempotency(&headers)?.map(str::to_string));
    let (house, now, by) = (web.house.clone(), web.now(), caller.clone());
    once_on_incident(&web, &asker(&caller), &headers, (&uri, &file), async move {
        let attached = house.attach(&by, &id, ask, Terms { version, key: key.as_deref() }, now).await?;
        let status = if attached.evidence.is_some() { StatusCode::CREATED } else { StatusCode::OK };
        Ok(Done::at(attached.version, status, &attached))
    })
    .await
}

pub async fn list<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    uri: Uri,
    params: Params,
) -> Answer<Response> {
    let items = web.house.attachments(&caller, &id).await?;
    Ok(page(listed(items, &params, |file| file.entry)?, &uri, &params))
}

/// The bytes, as a download and never as a page: somebody else's file is not run in our name.
pub async fn read<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    _: FromHere,
    Path((id, entry)): Path<(String, String)>,
) -> Answer<Response> {
    let number = entry.parse().map_err(|_| Problem::not_found(format!("there is no attachment `{entry}`")))?;
    let (name, bytes) = web.house.attachment(&caller, &id, number, web.now()).await?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(named) = HeaderValue::from_str(&format!("attachment; filename=\"{}\"", file_name(&name))) {
        headers.insert(header::CONTENT_DISPOSITION, named);
    }
    Ok((headers, bytes).into_response())
}

fn described(params: &Params) -> Answer<Attach> {
    params.only(&KNOWN)?;
    let text = |name: &str| params.get(name).map(str::to_string);
    let word = params.get("kind").unwrap_or(AttachmentKind::Evidence.as_str());
    let kind = AttachmentKind::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or_else(|| {
        let known: Vec<&str> = AttachmentKind::ALL.iter().map(|kind| kind.as_str()).collect();
        Problem::bad_request(format!("`kind` is `{word}`; it may be {}", known.join(", ")))
    })?;
    // a plus sign in an address means a blank unless it is encoded
    let at = text("at").map(|at| crate::ingest::instant(&at.replace(' ', "+"), None)).transpose();
    let at = at.map_err(|error| Problem::bad_request(format!("`at`: {error}")))?;
    Ok(Attach {
        bytes: Vec::new(),
        name: text("name"),
        kind,
        media_type: None,
        obligation: text("obligation"),
        by: text("by"),
        at,
        how: text("how"),
        tool: text("tool"),
    })
}
