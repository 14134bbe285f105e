//! Is it alive, is it ready, what are its numbers; and `/api/v1/status` for people.

use super::Shared;
use super::auth::Api;
use super::error::Answer;
use crate::store::Store;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Answers as long as the process serves requests at all.
pub async fn live() -> &'static str {
    "alive\n"
}

/// 200 when store, scheduler and outbox are well, else 503 with the faults.
pub async fn ready<S: Store>(State(web): State<Shared<S>>) -> Response {
    let status = web.house.status(web.now()).await;
    let code = if status.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(serde_json::json!({ "ready": status.ready, "faults": status.faults }))).into_response()
}

pub async fn metrics<S: Store>(State(web): State<Shared<S>>) -> Response {
    let text = web.house.metrics(web.now()).await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

pub async fn status<S: Store>(State(web): State<Shared<S>>, Api(_): Api) -> Answer<Response> {
    Ok(Json(web.house.status(web.now()).await).into_response())
}
