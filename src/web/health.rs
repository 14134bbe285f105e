//! Is it alive, is it ready, what are its numbers; and `/api/v1/status` for people.

use super::Shared;
use super::answers::Readiness;
use super::auth::Api;
use super::error::{Answer, Problem};
use crate::store::Store;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Answers as long as the process serves requests at all.
pub async fn live() -> &'static str {
    "alive\n"
}

/// 200 when store, scheduler and outbox are well, else 503 with the faults.
pub async fn ready<S: Store>(State(web): State<Shared<S>>) -> Response {
    let status = web.house.status(web.now()).await;
    let code = if status.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Readiness { ready: status.ready, faults: status.faults, warnings: status.warnings })).into_response()
}

/// Numbers of the machine for everybody; with a token or a session also those of the obligations it may see.
pub async fn metrics<S: Store>(
    State(web): State<Shared<S>>,
    headers: HeaderMap,
    login: Result<Api, Problem>,
) -> Answer<Response> {
    let now = web.now();
    let mut text = web.house.metrics(now).await;
    match login {
        Ok(Api(caller)) => text.push_str(&web.house.obligation_metrics(&caller, now).await?),
        // a token that is wrong is told so: counts that are missing would look like none
        Err(problem) if headers.contains_key(header::AUTHORIZATION) => return Err(problem),
        Err(_) => {}
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

pub async fn status<S: Store>(State(web): State<Shared<S>>, Api(_): Api) -> Answer<Response> {
    Ok(Json(web.house.status(web.now()).await).into_response())
}
