//! `/login`: login and password, and a code where one was set up; or a token. Either becomes the cookie of a session.

use super::account::entered;
use super::{Frame, error_page, open_frame, see_other, show};
use crate::store::Store;
use crate::web::Shared;
use crate::web::auth::{came_from_elsewhere, cookie, errand, errand_cookie, session_cookie};
use crate::web::client::Client;
use crate::web::error::Problem;
use crate::web::multipart::Fields;
use crate::web::query::{Params, encode};
use crate::web::sent::Carried;
use crate::workflow::{LoggedIn, Trouble};
use askama::Template;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    next: String,
    login: String,
    fault: String,
    /// What the provider of identities is called; empty without one.
    provider: String,
    /// Id of the field the fault is about.
    field: &'static str,
    token_open: bool,
    /// A form that waits for the login.
    carried: Carried,
}

impl LoginPage {
    fn new<S: Store>(web: &Shared<S>, next: &str, carried: Carried) -> LoginPage {
        LoginPage {
            frame: open_frame(web, web.now()),
            next: next.to_string(),
            login: String::new(),
            fault: String::new(),
            provider: web.house.provider().unwrap_or_default().to_string(),
            field: "",
            token_open: false,
            carried,
        }
    }

    fn answer(&self, status: StatusCode) -> Response {
        let mut response = show(self);
        *response.status_mut() = status;
        response
    }
}

pub async fn form<S: Store>(Extract(web): Extract<Shared<S>>, params: Params) -> Response {
    let token_open = !web.house.has_accounts(web.now()).await;
    show(&LoginPage { token_open, ..LoginPage::new(&web, local(params.get("next")), Carried::default()) })
}

/// To the login, and from there to `next`.
pub fn first(next: &str) -> Response {
    see_other(&format!("/login?next={}", encode(next)))
}

/// The login, for a form that came on a session which had ended: it is carried along.
pub async fn ended<S: Store>(web: &Shared<S>, carried: Carried) -> Response {
    let token_open = !web.house.has_accounts(web.now()).await;
    LoginPage { token_open, ..LoginPage::new(web, "/", carried) }.answer(StatusCode::UNAUTHORIZED)
}

pub async fn open<S: Store>(
    Extract(web): Extract<Shared<S>>,
    Client(client): Client,
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
    let carried = Carried::from(&fields, &headers);
    let page = |login: &str, fault: &str, field: &'static str, status: StatusCode| {
        let page = LoginPage::new(&web, next, carried.clone());
        let (login, fault) = (login.to_string(), fault.to_string());
        LoginPage { login, fault, field, token_open: field == "token", ..page }.answer(status)
    };
    let failed = |login: &str, field: &'static str, trouble: Trouble| {
        let problem = Problem::from(trouble);
        page(login, &super::words::sentence(&problem.detail), field, problem.status())
    };
    let Some(login) = fields.get("login") else {
        // a token is printable ASCII without blanks; anything else cannot be one, nor a cookie
        let plain = |t: &&str| t.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b';' | b',' | b'"' | b'\\'));
        let token = fields.get("token").filter(plain).unwrap_or_default();
        return match web.house.authenticate(token, now).await {
            Ok(Some(_)) => entered(&web, LoggedIn::Open(token.to_string()), next, true, &carried).await,
            Ok(None) => page("", "This token is unknown, expired or revoked.", "token", StatusCode::UNAUTHORIZED),
            Err(trouble) => failed("", "token", trouble),
        };
    };
    match web.house.log_in(login, fields.exact("password"), fields.get("code"), &client, now).await {
        Ok(LoggedIn::NeedsCode) => page(
            login,
            "Type the password again, and the code from your authenticator.",
            "code",
            StatusCode::UNAUTHORIZED,
        ),
        Ok(logged_in) => entered(&web, logged_in, next, true, &carried).await,
        Err(trouble @ Trouble::NotPermitted(_)) => {
            page(login, &super::words::sentence(&trouble.to_string()), "password", StatusCode::UNAUTHORIZED)
        }
        Err(trouble @ Trouble::NotNow(_)) => {
            page(login, &super::words::sentence(&trouble.to_string()), "password", StatusCode::TOO_MANY_REQUESTS)
        }
        Err(trouble) => failed(login, "password", trouble),
    }
}

/// Sends somebody to the provider. Looking changes nothing: what is begun here is in the browser's cookie.
pub async fn provider<S: Store>(Extract(web): Extract<Shared<S>>, params: Params) -> Response {
    let next = local(params.get("next"));
    match web.house.begin_provider_login(next, web.now()).await {
        Ok((address, ticket)) => with_errand(see_other(&address), &ticket, web.options.secure_cookies),
        Err(trouble) => error_page(&trouble.into(), web.now()),
    }
}

/// Back from the provider. The ticket is used up, whatever came of it.
pub async fn callback<S: Store>(Extract(web): Extract<Shared<S>>, headers: HeaderMap, params: Params) -> Response {
    let (now, secure) = (web.now(), web.options.secure_cookies);
    let ticket = errand(&headers, secure).unwrap_or_default().to_string();
    let response = match (params.get("code"), params.get("error")) {
        (Some(code), None) => {
            let state = params.get("state").unwrap_or_default();
            match web.house.finish_provider_login(&ticket, state, code, now).await {
                Ok((logged_in, next)) => entered(&web, logged_in, local(Some(&next)), true, &Carried::default()).await,
                Err(trouble) => error_page(&trouble.into(), now),
            }
        }
        (_, Some("access_denied")) => see_other("/login"),
        _ => error_page(&Problem::bad_request("the provider sent no code; begin the login again"), now),
    };
    with_errand(response, "", secure)
}

fn with_errand(mut response: Response, ticket: &str, secure: bool) -> Response {
    if let Ok(value) = HeaderValue::from_str(&errand_cookie(ticket, secure)) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

pub async fn close<S: Store>(Extract(web): Extract<Shared<S>>, headers: HeaderMap) -> Response {
    if came_from_elsewhere(&headers) {
        return error_page(&Problem::forbidden("this form was sent from another site"), web.now());
    }
    // the session ends here, not only in this browser
    if let Some(token) = session_cookie(&headers, web.options.secure_cookies)
        && let Err(trouble) = web.house.log_out(token, web.now()).await
    {
        return error_page(&trouble.into(), web.now());
    }
    with_session(see_other("/login"), "", web.options.secure_cookies)
}

/// The answer with the cookie of a session; an empty token ends it.
pub(super) fn with_session(mut response: Response, token: &str, secure: bool) -> Response {
    if let Ok(value) = HeaderValue::from_str(&cookie(token, secure)) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// Where to go on: a path here, never an address elsewhere.
pub(super) fn local(next: Option<&str>) -> &str {
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
