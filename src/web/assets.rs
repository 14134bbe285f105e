//! Style sheet, script and icon, built into the binary. Their address carries their hash, so they never go stale.

use super::query::Params;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    tag: String,
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        ("style.css", "text/css; charset=utf-8", include_bytes!("assets/style.css").as_slice()),
        ("app.js", "text/javascript; charset=utf-8", include_bytes!("assets/app.js").as_slice()),
        ("icon.svg", "image/svg+xml", include_bytes!("assets/icon.svg").as_slice()),
    ]
    .map(|(name, kind, bytes)| Asset { name, kind, bytes, tag: tag(bytes) })
});

/// The first 8 bytes of the hash: enough to tell versions apart.
fn tag(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|b| format!("{b:02x}")).collect()
}

/// `/assets/style.css?v=…`; an unknown name answers the bare address.
pub fn address(name: &str) -> String {
    match ASSETS.iter().find(|a| a.name == name) {
        Some(asset) => format!("/assets/{name}?v={}", asset.tag),
        None => format!("/assets/{name}"),
    }
}

pub async fn serve(Path(name): Path<String>, headers: HeaderMap, uri: Uri) -> Response {
    let Some(asset) = ASSETS.iter().find(|a| a.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let tag = format!("\"{}\"", asset.tag);
    // only an address that names this very content may be kept for ever
    let exact = Params::of(&uri).is_ok_and(|p| p.get("v") == Some(asset.tag.as_str()));
    let keep = if exact { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|v| v.as_bytes() == tag.as_bytes());
    let mut response = match known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, asset.kind)], asset.bytes).into_response(),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    if let Ok(value) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}
