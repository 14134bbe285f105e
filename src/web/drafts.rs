//! `/api/v1/obligations/{id}/draft`: the notice as far as it is known, as data, text or a Word document. Nothing is sent.

use super::Shared;
use super::auth::Api;
use super::body::Id;
use super::error::{Answer, Problem};
use super::evidence::file_name;
use super::query::Params;
use crate::draft;
use crate::store::Store;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

const FORMATS: [&str; 3] = ["json", "text", "docx"];
const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

/// `?format=json|text|docx&form=ID`
pub async fn draft<S: Store>(
    State(web): State<Shared<S>>,
    Api(caller): Api,
    Id(id): Id,
    params: Params,
) -> Answer<Response> {
    params.only(&["format", "form"])?;
    let format = params.get("format").unwrap_or("json");
    if !FORMATS.contains(&format) {
        return Err(Problem::bad_request(format!("`format` is `{format}`; it may be {}", FORMATS.join(", "))));
    }
    let drafted = web.house.draft_notice(&caller, &id, params.get("form"), web.now()).await?;
    let (bytes, kind, ending) = match format {
        "text" => (draft::text(&drafted.blocks).into_bytes(), "text/plain; charset=utf-8", "txt"),
        "docx" => (draft::docx(&drafted.blocks, &drafted.notice.form.language), DOCX, "docx"),
        _ => return Ok(Json(drafted).into_response()),
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let name = file_name(&format!("draft-{}-{id}.{ending}", drafted.notice.form.id));
    if let Ok(named) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, named);
    }
    Ok((headers, bytes).into_response())
}
