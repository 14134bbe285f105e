//! `/login`: a token becomes a session cookie. There are no passwords.

use super::{Frame, error_page, open_frame, see_other, show};
use crate::store::Store;
use crate::web::Shared;
use crate::web::auth::{came_from_elsewhere, cookie};
use crate::web::error::Problem;
use crate::web::multipart::Fields;
use crate::web::query::Params;
use askama::Template;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    next: String,
    fault: &'static str,
}

pub async fn form<S: Store>(Extract(web): Extract<Shared<S>>, params: Params) -> Response {
    let frame = open_frame(&web, web.now());
    show(&LoginPage { frame, next: local(params.get("next")).to_string(), fault: "" })
}

pub async fn open<S: Store>(
    Extract(web): Extract<Shared<S>>,
    headers: HeaderMap,
    fields: Result<Fields, Problem>,
) -> Response {
    let now = web.now();
    let fields = match fields {
        Ok(fields) => fields,
        Err(problem) => return error_page(&problem, now),
    };
    if came_from_elsewhere(&headers) {
        return error_page(&Problem::forbidden("this form was sent from another site; open the login here"), now);
    }
    let next = local(fields.get("next"));
    // a token is printable ASCII without blanks; anything else cannot be one, nor a cookie
    let token = fields
        .get("token")
        .filter(|t| t.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b';' | b',' | b'"' | b'\\')));
    let caller = match token {
        None => None,
        Some(token) => match web.house.authenticate(token, now).await {
            Ok(caller) => caller,
            Err(trouble) => return error_page(&trouble.into(), now),
        },
    };
    let (Some(token), Some(_)) = (token, caller) else {
        let fault = "This token is unknown, expired or revoked.";
        let mut response = show(&LoginPage { frame: open_frame(&web, now), next: next.to_string(), fault });
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        return response;
    };
    with_cookie(see_other(next), token, web.options.secure_cookies)
}

pub async fn close<S: Store>(Extract(web): Extract<Shared<S>>, headers: HeaderMap) -> Response {
    if came_from_elsewhere(&headers) {
        return error_page(&Problem::forbidden("this form was sent from another site"), web.now());
    }
    with_cookie(see_other("/login"), "", web.options.secure_cookies)
}

fn with_cookie(mut response: Response, token: &str, secure: bool) -> Response {
    if let Ok(value) = HeaderValue::from_str(&cookie(token, secure)) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

/// Where to go on: a path here, never an address elsewhere.
fn local(next: Option<&str>) -> &str {
    let is_local = |path: &str| {
        path.starts_with('/') && !path.starts_with("//") && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
    };
    next.filter(|path| is_local(path)).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn a_login_never_leads_elsewhere() {
        let cases = [
            ("/incidents/x?skip=a", "/incidents/x?skip=a"),
            ("//evil.example", "/"),
            ("https://evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/a\r\nSet-Cookie: x", "/"),
            ("", "/"),
        ];
        for (next, went) in cases {
            assert_eq!(local(Some(next)), went, "{next}");
        }
    }
}
