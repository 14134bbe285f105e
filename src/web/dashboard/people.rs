//! `/people`: who is reminded and on duty; and for administrators, who may come in.

use super::words::When;
use super::{
    Extract, FormFault, Frame, entities, error_page, form_faults, frame, reader_zone, see_other, show as render,
};
use crate::escalation::Rota;
use crate::store::Store;
use crate::time::Timestamp;
use crate::web::Shared;
use crate::web::auth::Visitor;
use crate::web::body::Id;
use crate::web::error::Problem;
use crate::web::multipart::Fields;
use crate::workflow::{AccountChange, AccountView, Caller, NewAccount, Right, Role};
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::Duration;

/// Hand-overs that are shown, and how far ahead they are looked for.
const NEXT: usize = 2;
const AHEAD_HOURS: i64 = 24 * 21;

const POINTERS: [(&str, &str); 5] =
    [("/login", "login"), ("/name", "name"), ("/role", "role"), ("/person", "person"), ("/entities", "entity")];

/// Who is on duty, and who comes then.
struct Duty {
    id: String,
    /// Empty: a gap.
    now: String,
    next: Vec<(When, String)>,
}

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage {
    frame: Frame,
    admin: bool,
    accounts: Vec<AccountView>,
    /// Name, id, roles, ways.
    people: Vec<(String, String, String, String)>,
    persons: Vec<(String, String)>,
    rotas: Vec<Duty>,
    roles: Vec<&'static str>,
    entities: Vec<(String, String)>,
    invitation: String,
    invited: String,
    kept: NewAccount,
    /// Whether the form is shown without being asked for.
    open: bool,
    faults: Vec<FormFault>,
}

pub async fn show<S: Store>(Extract(web): Extract<Shared<S>>, Visitor(caller): Visitor) -> Response {
    page(&web, &caller, None, None).await
}

/// `made` is an invitation to show, `refused` what was typed and why it was refused.
async fn page<S: Store>(
    web: &Shared<S>,
    caller: &Caller,
    made: Option<(AccountView, String)>,
    refused: Option<(NewAccount, Vec<FormFault>)>,
) -> Response {
    let (now, zone) = (web.now(), reader_zone(web));
    let admin = caller.role.may(Right::Administer);
    let accounts = match admin {
        true => web.house.accounts(caller).await,
        false => Ok(Vec::new()),
    };
    let accounts = match accounts {
        Ok(accounts) => accounts,
        Err(trouble) => return error_page(&trouble.into(), now),
    };
    let directory = &web.house.settings.directory;
    let name = |id: &str| directory.people.iter().find(|p| p.id == id).map_or(id.to_string(), |p| p.name.clone());
    let people = directory.people.iter().map(|p| {
        let ways = if p.channels.is_empty() { "email".to_string() } else { p.channels.join(", ") };
        (p.name.clone(), p.id.clone(), p.roles.join(", "), ways)
    });
    let rotas = directory.rotas.iter().map(|rota| Duty {
        id: rota.id.clone(),
        now: rota.on_duty(now).map(name).unwrap_or_default(),
        next: changes(rota, now)
            .into_iter()
            .map(|(at, who)| (When::at(at, zone), who.map_or("nobody".into(), |who| name(&who))))
            .collect(),
    });
    let (kept, faults) = refused.unwrap_or_default();
    let (status, open) =
        if faults.is_empty() { (StatusCode::OK, false) } else { (StatusCode::UNPROCESSABLE_ENTITY, true) };
    let (invited, invitation) = made.map(|(account, address)| (account.name, address)).unwrap_or_default();
    let mut response = render(&PeoplePage {
        frame: frame(web, caller, "people").await,
        admin,
        accounts,
        people: people.collect(),
        persons: directory.people.iter().map(|p| (p.id.clone(), p.name.clone())).collect(),
        rotas: rotas.collect(),
        roles: Role::ALL.map(Role::as_str).to_vec(),
        entities: entities(web, caller),
        invitation,
        invited,
        kept,
        open,
        faults,
    });
    *response.status_mut() = status;
    response
}

/// The next instants at which somebody else is on duty, to the hour.
fn changes(rota: &Rota, now: Timestamp) -> Vec<(Timestamp, Option<String>)> {
    let mut found = Vec::new();
    let mut before = rota.on_duty(now).map(str::to_string);
    let start = Timestamp::from_timestamp(now.timestamp().div_euclid(900) * 900, 0).unwrap_or(now);
    for quarter in 1..=AHEAD_HOURS * 4 {
        let at = start + Duration::minutes(15 * quarter);
        let who = rota.on_duty(at).map(str::to_string);
        if who != before {
            found.push((at, who.clone()));
            before = who;
        }
        if found.len() == NEXT {
            break;
        }
    }
    found
}

pub async fn create<S: Store>(
    Extract(web): Extract<Shared<S>>,
    Visitor(caller): Visitor,
    fields: Result<Fields, Problem>,
) -> Response {
    let fields = match fields {
        Ok(fields) => fields,
        Err(problem) => return error_page(&problem, web.now()),
    };
    let word = |name| fields.get(name).unwrap_or_default().to_string();
    let new = NewAccount {
        login: word("login"),
        name: word("name"),
        role: word("role"),
        person: fields.get("person").map(str::to_string),
        entities: fields.all("entity").map(str::to_string).collect(),
    };
    match web.house.create_account(&caller, new.clone(), web.now()).await {
        Ok(made) => page(&web, &caller, Some(made), None).await,
        Err(trouble) => {
            let problem: Problem = trouble.into();
            match problem.errors.is_empty() {
                true => error_page(&problem, web.now()),
                false => page(&web, &caller, None, Some((new, form_faults(&problem, &POINTERS)))).await,
            }
        }
    }
}

pub async fn change<S: Store>(
    Extract(web): Extract<Shared<S>>,
    Visitor(caller): Visitor,
    Id(login): Id,
    fields: Result<Fields, Problem>,
) -> Response {
    let fields = match fields {
        Ok(fields) => fields,
        Err(problem) => return error_page(&problem, web.now()),
    };
    let change = match fields.get("act") {
        Some("disable") => AccountChange { disabled: Some(true), ..AccountChange::default() },
        Some("enable") => AccountChange { disabled: Some(false), ..AccountChange::default() },
        _ => AccountChange {
            role: fields.get("role").map(str::to_string),
            entities: fields.get("scoped").map(|_| fields.all("entity").map(str::to_string).collect()),
            ..AccountChange::default()
        },
    };
    match web.house.change_account(&caller, &login, change, web.now()).await {
        Ok(_) => see_other("/people"),
        Err(trouble) => error_page(&trouble.into(), web.now()),
    }
}

pub async fn invite<S: Store>(Extract(web): Extract<Shared<S>>, Visitor(caller): Visitor, Id(login): Id) -> Response {
    match web.house.invite(&caller, &login, web.now()).await {
        Ok(made) => page(&web, &caller, Some(made), None).await,
        Err(trouble) => error_page(&trouble.into(), web.now()),
    }
}

/// Who has a rota now, by name.
pub fn on_duty(directory: &crate::escalation::Directory, rota: &Rota, now: Timestamp) -> String {
    let name = |id: &str| directory.people.iter().find(|p| p.id == id).map_or(id.to_string(), |p| p.name.clone());
    rota.on_duty(now).map_or("nobody at present".to_string(), |id| format!("{} at present", name(id)))
}
