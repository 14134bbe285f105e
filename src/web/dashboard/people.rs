//! `/people`: who is reminded and on duty; and for administrators, who may come in.

use super::typed::Unshown;
use super::words::When;
use super::{Extract, Frame, Typed, entities, error_page, frame, reader_zone, see_other, show as render, unsent};
use crate::escalation::Rota;
use crate::store::Store;
use crate::time::Timestamp;
use crate::web::Shared;
use crate::web::auth::Visitor;
use crate::web::body::Id;
use crate::web::error::{Answer, Problem};
use crate::web::sent::Sent;
use crate::workflow::{AccountChange, AccountView, Caller, NewAccount, Right, Role};
use askama::Template;
use axum::response::Response;
use chrono::Duration;

/// Hand-overs that are shown, and how far ahead they are looked for.
const NEXT: usize = 2;
const AHEAD_HOURS: i64 = 24 * 21;

const POINTERS: [(&str, &str); 5] =
    [("/login", "login"), ("/name", "name"), ("/role", "role"), ("/person", "person"), ("/entities", "entity")];

/// The same, where an account is changed: its fields stand beside the account.
const CHANGED: [(&str, &str); 2] = [("/role", "change-role"), ("/entities", "change-entity")];
/// The names of the forms; of a change the login follows.
const INVITE: &str = "invite";
const CHANGE: &str = "change:";

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
    typed: Typed,
}

pub async fn show<S: Store>(Extract(web): Extract<Shared<S>>, Visitor(caller): Visitor) -> Response {
    let page = page(&web, &caller, None, Typed::default()).await;
    page.unwrap_or_else(|unshown| error_page(&unshown.problem, web.now()))
}

/// `made` is an invitation to show.
async fn page<S: Store>(
    web: &Shared<S>,
    caller: &Caller,
    made: Option<(AccountView, String)>,
    typed: Typed,
) -> Result<Response, Unshown> {
    let (now, zone) = (web.now(), reader_zone(web));
    let admin = caller.role.may(Right::Administer);
    let accounts = match admin {
        true => web.house.accounts(caller).await,
        false => Ok(Vec::new()),
    };
    let accounts = match accounts {
        Ok(accounts) => accounts,
        Err(trouble) => return Err(Unshown { problem: trouble.into(), typed }),
    };
    let changed = typed.form().strip_prefix(CHANGE);
    let is_there = match changed {
        Some(login) => accounts.iter().any(|account| account.login == login),
        None => admin || typed.form().is_empty(),
    };
    if !is_there {
        return Err(Unshown { problem: super::typed::not_here(caller), typed });
    }
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
    let (invited, invitation) = made.map(|(account, address)| (account.name, address)).unwrap_or_default();
    Ok(render(&PeoplePage {
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
        typed,
    }))
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

pub async fn create<S: Store>(Extract(web): Extract<Shared<S>>, sent: Sent) -> Response {
    let result = async {
        let fields = sent.whole()?;
        let word = |name| fields.get(name).unwrap_or_default().to_string();
        let new = NewAccount {
            login: word("login"),
            name: word("name"),
            role: word("role"),
            person: fields.get("person").map(str::to_string),
            entities: fields.all("entity").map(str::to_string).collect(),
        };
        Answer::Ok(web.house.create_account(&sent.caller, new, web.now()).await?)
    };
    match result.await {
        Ok(made) => invited(&web, &sent.caller, made).await,
        Err(problem) => refused(&web, INVITE, &POINTERS, &problem, sent).await,
    }
}

pub async fn change<S: Store>(Extract(web): Extract<Shared<S>>, Id(login): Id, sent: Sent) -> Response {
    let result = async {
        let fields = sent.whole()?;
        let change = match fields.get("act") {
            Some("disable") => AccountChange { disabled: Some(true), ..AccountChange::default() },
            Some("enable") => AccountChange { disabled: Some(false), ..AccountChange::default() },
            _ => AccountChange {
                role: fields.get("role").map(str::to_string),
                entities: fields.get("scoped").map(|_| fields.all("entity").map(str::to_string).collect()),
                ..AccountChange::default()
            },
        };
        Answer::Ok(web.house.change_account(&sent.caller, &login, change, web.now()).await?)
    };
    match result.await {
        Ok(_) => see_other("/people"),
        Err(problem) => refused(&web, &format!("{CHANGE}{login}"), &CHANGED, &problem, sent).await,
    }
}

/// The page with what was typed, and why it was refused.
async fn refused<S: Store>(
    web: &Shared<S>,
    form: &str,
    fields: &[(&str, &'static str)],
    problem: &Problem,
    sent: Sent,
) -> Response {
    let typed = Typed::refused(form, sent.fields, problem, fields);
    let mut response = with(web, &sent.caller, typed, (problem, &sent.action)).await;
    *response.status_mut() = problem.status();
    response
}

/// Filled again after a login: the invitation, or the change of an account.
pub async fn again<S: Store>(web: &Shared<S>, changed: Option<&str>, sent: Sent) -> Response {
    let form = changed.map_or_else(|| INVITE.to_string(), |login| format!("{CHANGE}{login}"));
    let problem = super::typed::not_here(&sent.caller);
    with(web, &sent.caller, Typed::again(&form, sent.fields, &sent.caller), (&problem, &sent.action)).await
}

async fn with<S: Store>(
    web: &Shared<S>,
    caller: &Caller,
    typed: Typed,
    (problem, action): (&Problem, &str),
) -> Response {
    match page(web, caller, None, typed).await {
        Ok(response) => response,
        Err(unshown) => unsent(web, problem, action, unshown.typed.fields()),
    }
}

async fn invited<S: Store>(web: &Shared<S>, caller: &Caller, made: (AccountView, String)) -> Response {
    let page = page(web, caller, Some(made), Typed::default()).await;
    page.unwrap_or_else(|unshown| error_page(&unshown.problem, web.now()))
}

pub async fn invite<S: Store>(Extract(web): Extract<Shared<S>>, Id(login): Id, sent: Sent) -> Response {
    match web.house.invite(&sent.caller, &login, web.now()).await {
        Ok(made) => invited(&web, &sent.caller, made).await,
        Err(trouble) => error_page(&trouble.into(), web.now()),
    }
}

/// Who has a rota now, by name.
pub fn on_duty(directory: &crate::escalation::Directory, rota: &Rota, now: Timestamp) -> String {
    let name = |id: &str| directory.people.iter().find(|p| p.id == id).map_or(id.to_string(), |p| p.name.clone());
    rota.on_duty(now).map_or("nobody at present".to_string(), |id| format!("{} at present", name(id)))
}
