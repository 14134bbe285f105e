//! The own account, invitations, the first administrator, codes: whatever makes a session, besides `/login`.

use super::login::with_session;
use super::{Extract, FormFault, Frame, error_page, form_faults, frame, open_frame, see_other, show as render};
use crate::store::Store;
use crate::web::Shared;
use crate::web::auth::{Visitor, came_from_elsewhere, session_cookie};
use crate::web::body::Id;
use crate::web::client::Client;
use crate::web::error::Problem;
use crate::web::multipart::Fields;
use crate::web::sent::Carried;
use crate::workflow::{AccountView, LoggedIn, Pending, Trouble};
use askama::Template;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use qrcode::QrCode;
use qrcode::render::svg;

const POINTERS: [(&str, &str); 6] = [
    ("/login", "login"),
    ("/password", "password"),
    ("/old", "old"),
    ("/code", "code"),
    // the first that fits counts
    ("/present-code", "present-code"),
    ("/present", "present"),
];

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    account: Option<AccountView>,
    signed: String,
    role: &'static str,
    faults: Vec<FormFault>,
}

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage {
    frame: Frame,
    title: String,
    lede: String,
    action: String,
    button: &'static str,
    ask_login: bool,
    login: String,
    name: String,
    faults: Vec<FormFault>,
}

#[derive(Template)]
#[template(path = "enrol.html")]
struct EnrolPage {
    frame: Frame,
    required: bool,
    picture: String,
    address: String,
    spelled: String,
    ticket: String,
    next: String,
    faults: Vec<FormFault>,
    /// A form that waits for the login.
    carried: Carried,
}

#[derive(Template)]
#[template(path = "recovery.html")]
struct RecoveryPage {
    frame: Frame,
    codes: Vec<String>,
    next: String,
    carried: Carried,
}

// ---------------------------------------------------------------- the own account

pub async fn show<S: Store>(Extract(web): Extract<Shared<S>>, visitor: Visitor, headers: HeaderMap) -> Response {
    account_page(&web, visitor, &headers, Vec::new()).await
}

async fn account_page<S: Store>(
    web: &Shared<S>,
    Visitor(caller): Visitor,
    headers: &HeaderMap,
    faults: Vec<FormFault>,
) -> Response {
    let token = session_cookie(headers, web.options.secure_cookies).unwrap_or_default();
    let account = web.house.account_of(token, web.now()).await.ok();
    let page = AccountPage {
        frame: frame(web, &caller, "account").await,
        account: account.as_ref().map(AccountView::of),
        signed: super::words::person(&caller.name).to_string(),
        role: caller.role.as_str(),
        faults,
    };
    let refused = !page.faults.is_empty();
    let mut response = render(&page);
    if refused {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    response
}

pub async fn password<S: Store>(
    Extract(web): Extract<Shared<S>>,
    visitor: Visitor,
    Client(client): Client,
    headers: HeaderMap,
    fields: Result<Fields, Problem>,
) -> Response {
    let fields = match fields {
        Ok(fields) => fields,
        Err(problem) => return error_page(&problem, web.now()),
    };
    if let Some(fault) = differs(&fields) {
        return account_page(&web, visitor, &headers, vec![fault]).await;
    }
    let token = session_cookie(&headers, web.options.secure_cookies).unwrap_or_default();
    let (old, new) = (fields.exact("old"), fields.exact("password"));
    match web.house.change_password(token, old, new, &client, web.now()).await {
        Ok(logged_in) => entered(&web, logged_in, "/account", true, &Carried::default()).await,
        Err(trouble) => account_page(&web, visitor, &headers, form_faults(&trouble.into(), &POINTERS)).await,
    }
}

pub async fn factor<S: Store>(
    Extract(web): Extract<Shared<S>>,
    visitor: Visitor,
    Client(client): Client,
    headers: HeaderMap,
    fields: Result<Fields, Problem>,
) -> Response {
    let fields = match fields {
        Ok(fields) => fields,
        Err(problem) => return error_page(&problem, web.now()),
    };
    let token = session_cookie(&headers, web.options.secure_cookies).unwrap_or_default();
    match web.house.begin_factor(token, fields.exact("present"), fields.get("present-code"), &client, web.now()).await {
        Ok(pending) => enrol_page(&web, &pending, "/account", false, Vec::new(), Carried::default()),
        Err(trouble @ Trouble::Rejected(_)) => {
            account_page(&web, visitor, &headers, form_faults(&trouble.into(), &POINTERS)).await
        }
        Err(trouble) => error_page(&trouble.into(), web.now()),
    }
}

fn enrol_page<S: Store>(
    web: &Shared<S>,
    pending: &Pending,
    next: &str,
    required: bool,
    faults: Vec<FormFault>,
    carried: Carried,
) -> Response {
    let drawn = QrCode::new(pending.address.as_bytes()).map(|code| {
        let text = code.render::<svg::Color<'_>>().min_dimensions(200, 200).quiet_zone(true).build();
        // a prologue has no place inside a page
        text.split_once("?>").map_or(text.clone(), |(_, drawing)| drawing.to_string())
    });
    render(&EnrolPage {
        frame: open_frame(web, web.now()),
        required,
        picture: drawn.unwrap_or_default(),
        address: pending.address.clone(),
        spelled: pending.spelled.clone(),
        ticket: pending.ticket.clone(),
        next: next.to_string(),
        faults,
        carried,
    })
}

/// The first code: whoever holds the ticket gave the password before.
pub async fn enrol<S: Store>(
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
        return error_page(&Problem::forbidden("this form was sent from another site; open it here"), now);
    }
    let next = super::login::local(fields.get("next")).to_string();
    let carried = Carried::from(&fields, &headers);
    let (ticket, code) = (fields.get("ticket").unwrap_or_default(), fields.get("code").unwrap_or_default());
    match web.house.confirm_factor(ticket, code, now).await {
        Ok((LoggedIn::Open(token), codes)) => {
            let page = render(&RecoveryPage { frame: open_frame(&web, now), codes, next, carried });
            with_session(page, &token, web.options.secure_cookies)
        }
        Ok(_) => super::login::ended(&web, carried).await,
        Err(trouble @ Trouble::Rejected(_)) => {
            let word = |name| fields.get(name).unwrap_or_default().to_string();
            let pending = Pending { ticket: ticket.into(), address: word("address"), spelled: word("spelled") };
            let mut page = enrol_page(&web, &pending, &next, false, form_faults(&trouble.into(), &POINTERS), carried);
            *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            page
        }
        // the ticket has ended: the login begins anew, and what it is for stays
        Err(_) if !carried.is_none() => super::login::ended(&web, carried).await,
        Err(trouble) => error_page(&trouble.into(), now),
    }
}

// ---------------------------------------------------------------- coming in for the first time

pub async fn setup_form<S: Store>(Extract(web): Extract<Shared<S>>, Id(token): Id) -> Response {
    match web.house.check_setup(&token) {
        Ok(()) => render(&setup_page(&web, &token, &Fields::default(), Vec::new())),
        Err(trouble) => error_page(&trouble.into(), web.now()),
    }
}

fn setup_page<S: Store>(web: &Shared<S>, token: &str, fields: &Fields, faults: Vec<FormFault>) -> PasswordPage {
    PasswordPage {
        frame: open_frame(web, web.now()),
        title: "The first administrator".into(),
        lede: "This address works once. Whoever uses it may do everything here.".into(),
        action: format!("/setup/{token}"),
        button: "Make the account",
        ask_login: true,
        login: fields.get("login").unwrap_or_default().to_string(),
        name: fields.get("name").unwrap_or_default().to_string(),
        faults,
    }
}

pub async fn set_up<S: Store>(
    Extract(web): Extract<Shared<S>>,
    Id(token): Id,
    headers: HeaderMap,
    fields: Result<Fields, Problem>,
) -> Response {
    let now = web.now();
    let fields = match checked(&headers, fields) {
        Ok(fields) => fields,
        Err(problem) => return error_page(&problem, now),
    };
    if let Some(fault) = differs(&fields) {
        return refused(setup_page(&web, &token, &fields, vec![fault]));
    }
    let (login, name) = (fields.get("login").unwrap_or_default(), fields.get("name").unwrap_or_default());
    match web.house.set_up(&token, login, name, fields.exact("password"), now).await {
        Ok(logged_in) => entered(&web, logged_in, "/account", true, &Carried::default()).await,
        Err(trouble @ Trouble::Rejected(_)) => {
            refused(setup_page(&web, &token, &fields, form_faults(&trouble.into(), &POINTERS)))
        }
        Err(trouble) => error_page(&trouble.into(), now),
    }
}

pub async fn invitation_form<S: Store>(Extract(web): Extract<Shared<S>>, Id(token): Id) -> Response {
    match web.house.invited(&token, web.now()).await {
        Ok(account) => render(&invitation_page(&web, &token, &account.login, &account.name, Vec::new())),
        Err(trouble) => error_page(&trouble.into(), web.now()),
    }
}

fn invitation_page<S: Store>(
    web: &Shared<S>,
    token: &str,
    login: &str,
    name: &str,
    faults: Vec<FormFault>,
) -> PasswordPage {
    PasswordPage {
        frame: open_frame(web, web.now()),
        title: format!("Welcome, {name}"),
        lede: format!("You log in as {login}. Choose a password; nobody else knows it."),
        action: format!("/invitation/{token}"),
        button: "Set the password and log in",
        ask_login: false,
        login: login.to_string(),
        name: String::new(),
        faults,
    }
}

pub async fn take_invitation<S: Store>(
    Extract(web): Extract<Shared<S>>,
    Id(token): Id,
    headers: HeaderMap,
    fields: Result<Fields, Problem>,
) -> Response {
    let now = web.now();
    let fields = match checked(&headers, fields) {
        Ok(fields) => fields,
        Err(problem) => return error_page(&problem, now),
    };
    let account = match web.house.invited(&token, now).await {
        Ok(account) => account,
        Err(trouble) => return error_page(&trouble.into(), now),
    };
    let page = |faults| invitation_page(&web, &token, &account.login, &account.name, faults);
    if let Some(fault) = differs(&fields) {
        return refused(page(vec![fault]));
    }
    match web.house.take_invitation(&token, fields.exact("password"), now).await {
        Ok(logged_in) => entered(&web, logged_in, "/", true, &Carried::default()).await,
        Err(trouble @ Trouble::Rejected(_)) => refused(page(form_faults(&trouble.into(), &POINTERS))),
        Err(trouble) => error_page(&trouble.into(), now),
    }
}

fn checked(headers: &HeaderMap, fields: Result<Fields, Problem>) -> Result<Fields, Problem> {
    match came_from_elsewhere(headers) {
        true => Err(Problem::forbidden("this form was sent from another site; open it here")),
        false => fields,
    }
}

fn differs(fields: &Fields) -> Option<FormFault> {
    let same = fields.exact("password") == fields.exact("again");
    (!same).then(|| FormFault { field: "again", text: "the two passwords differ; type both again".into() })
}

fn refused(page: PasswordPage) -> Response {
    let mut response = render(&page);
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    response
}

/// On with the session, to what waits for it; or first to what is missing.
pub(super) async fn entered<S: Store>(
    web: &Shared<S>,
    logged_in: LoggedIn,
    next: &str,
    required: bool,
    carried: &Carried,
) -> Response {
    let token = match logged_in {
        LoggedIn::Open(token) => token,
        LoggedIn::MustEnrol(pending) => return enrol_page(web, &pending, next, required, Vec::new(), carried.clone()),
        LoggedIn::NeedsCode => return see_other("/login"),
    };
    let response = match carried.is_none() {
        true => see_other(next),
        false => match web.house.authenticate(&token, web.now()).await {
            Ok(Some(caller)) => super::typed::again(web, &caller, carried).await,
            // the session is there, and what it is for is carried until the store answers
            _ => super::login::ended(web, carried.clone()).await,
        },
    };
    with_session(response, &token, web.options.secure_cookies)
}
