//! What was typed into a form: shown in it again when it was refused, or when it was sent on a session that had ended; and where
//! the form is not to be had any more, in full, to be copied.

use super::{Frame, error_page, form_faults, open_frame, show};
use crate::store::Store;
use crate::web::Shared;
use crate::web::auth::Visitor;
use crate::web::error::Problem;
use crate::web::multipart::Fields;
use crate::web::sent::{Carried, Sent};
use crate::workflow::{Caller, Trouble};
use askama::Template;
use axum::extract::State as Extract;
use axum::http::HeaderMap;
use axum::response::Response;

/// Fields that say which form it was, not what was typed.
const MACHINERY: [&str; 4] = ["page", "back", "scoped", "zone"];

/// One fault of a form, with the field it belongs to.
#[derive(Clone, Debug)]
pub struct FormFault {
    /// Id of the field; empty when it belongs to none.
    pub field: &'static str,
    pub text: String,
}

impl FormFault {
    /// What the page calls the field; empty for one it has no word for.
    pub fn label(&self) -> &'static str {
        match self.field {
            "t" => "What happened",
            "w" => "When",
            "e" => "Entity",
            "r" => "Ticket or alert number",
            "fa" => "Filed at",
            "fr" => "Reference",
            "fp" => "Proof",
            "fc" => "This was",
            "fnote" | "fn" => "Note",
            "wr" | "ww" => "Why",
            "w2" => "Second approver",
            "wd" => "Look again on",
            "wo" => "Open it again when",
            "wg" => "Grounds",
            "wi" => "Facts it rests on",
            "wsc" => "Severity score",
            "dl" => "Reasons for the delay",
            "by" => "Your name",
            "fk" => "Fact",
            "value" => "Value",
            "fsure" => "How sure",
            "ent" => "Which entity is this about",
            "sor" | "ws" => "Why the later limit is right",
            "exp" => "For whom",
            "exw" => "Withhold",
            "exl" => "Language of the report",
            "exz" => "Time zone of the reader",
            "login" => "Login",
            "name" => "Name",
            "role" | "change-role" => "Role",
            "person" => "Is the person",
            "entity" | "change-entity" => "Limited to",
            "old" | "present" => "Present password",
            "again" => "The same again",
            "code" => "Code",
            _ => "",
        }
    }
}

/// What was typed into one form of a page, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Typed {
    /// Which form it is; empty where nothing was typed.
    form: String,
    fields: Fields,
    pub faults: Vec<FormFault>,
    /// Nothing is wrong with it: it was sent on a session that had ended, and waits to be sent again.
    pub again: bool,
    /// Who logged in meanwhile; perhaps somebody else than whoever typed it.
    pub who: String,
    /// The sender's, where it is not sure whether the first sending was recorded.
    page: Option<String>,
}

/// A page that cannot be shown with the form on it, and what was typed into that.
pub struct Unshown {
    pub problem: Problem,
    pub typed: Typed,
}

impl Typed {
    /// What a form begins with, that nobody has sent.
    pub fn given(form: &str, pairs: &[(&str, &str)]) -> Typed {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.set(name, value);
        }
        Typed { form: form.to_string(), fields, ..Typed::default() }
    }

    /// A form that was sent, and refused. `fields` leads from pointers to ids; the first that fits counts.
    pub fn refused(form: &str, sent: Fields, problem: &Problem, fields: &[(&str, &'static str)]) -> Typed {
        let page = sent.get("page").filter(|_| problem.status >= 500).map(str::to_string);
        let faults = form_faults(problem, fields);
        Typed { form: form.to_string(), fields: sent, faults, page, ..Typed::default() }
    }

    /// A form that nobody has looked at yet.
    pub fn again(form: &str, sent: Fields, caller: &Caller) -> Typed {
        let who = super::words::person(&caller.name).to_string();
        Typed { form: form.to_string(), fields: sent, again: true, who, ..Typed::default() }
    }

    /// The name of the form; empty where nothing was typed.
    pub fn form(&self) -> &str {
        &self.form
    }

    pub fn faults(&self) -> &[FormFault] {
        &self.faults
    }

    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    pub fn is(&self, form: &str) -> bool {
        self.form == form
    }

    /// What was typed into a field of a form; empty when another form was sent.
    pub fn text(&self, form: &str, name: &str) -> &str {
        self.or(form, name, "")
    }

    /// What was typed; where the form was not sent, what it begins with.
    pub fn or<'t>(&'t self, form: &str, name: &str, otherwise: &'t str) -> &'t str {
        if self.is(form) { self.fields.get(name).unwrap_or_default() } else { otherwise }
    }

    /// Whether a choice was made; where the form was not sent, whether it is made from the beginning.
    pub fn picked(&self, form: &str, name: &str, value: &str, otherwise: bool) -> bool {
        match (self.is(form), value) {
            (false, _) => otherwise,
            (true, "") => self.fields.get(name).is_none(),
            (true, _) => self.fields.all(name).any(|picked| picked == value),
        }
    }

    /// Whether it is the change of an account.
    pub fn changes(&self, login: &str) -> bool {
        self.form.strip_prefix("change:") == Some(login)
    }

    /// As [`Typed::picked`], in the change of an account.
    pub fn change_picked(&self, login: &str, name: &str, value: &str, otherwise: bool) -> bool {
        if self.changes(login) { self.picked(&self.form, name, value, otherwise) } else { otherwise }
    }

    /// The key of the page: of one that may be recorded already the same, else a new one.
    pub fn page(&self, form: &str, key: &str, end: &str) -> String {
        self.page.clone().filter(|_| self.is(form)).unwrap_or_else(|| format!("{key}{end}"))
    }
}

#[derive(Template)]
#[template(path = "unsent.html")]
struct UnsentPage<'a> {
    frame: Frame,
    title: &'a str,
    status: u16,
    detail: &'a str,
    /// Name and text.
    typed: Vec<(String, &'a str)>,
    /// Where it can be sent again as it is; empty where that would be of no use.
    action: &'a str,
    pairs: Vec<(&'a str, &'a str)>,
    file: bool,
    /// The page on which the form was; empty where that is not known.
    page: String,
}

/// A problem as a page, with what was typed: a form that cannot be shown loses nothing either.
pub fn unsent<S: Store>(web: &Shared<S>, problem: &Problem, action: &str, fields: &Fields) -> Response {
    let now = web.now();
    let typed = fields.texts().filter(|(name, _)| !MACHINERY.contains(name));
    let typed: Vec<_> = typed.map(|(name, value)| (label(name), value)).collect();
    if typed.is_empty() {
        return error_page(problem, now);
    }
    let is_worth_it = problem.status >= 500 && !fields.has_file() && fields.over().is_none();
    let mut response = show(&UnsentPage {
        frame: open_frame(web, now),
        title: problem.title,
        status: problem.status,
        detail: &problem.detail,
        typed,
        action: if is_worth_it { action } else { "" },
        pairs: if is_worth_it { fields.texts().collect() } else { Vec::new() },
        file: fields.has_file(),
        page: page_of(action),
    });
    *response.status_mut() = problem.status();
    response
}

/// The page from which a form is sent to this address.
fn page_of(action: &str) -> String {
    let mut parts = action.trim_matches('/').split('/');
    match (parts.next(), parts.next()) {
        (Some(page @ ("incidents" | "obligations")), Some(id)) => format!("/{page}/{id}"),
        (Some(page @ ("people" | "report")), _) => format!("/{page}"),
        _ => String::new(),
    }
}

/// The name of a field as people read it.
fn label(name: &str) -> String {
    let words = match name {
        "title" => "What happened",
        "noticed" => "When it was noticed",
        "at" => "When",
        "personal" => "Personal data",
        "down" => "A service is down",
        "part" => "This was",
        "why" | "reason" => "Why",
        "delay" => "Reasons for the delay",
        "second" => "Second approver",
        "review" => "Look again on",
        "reopen" => "Open it again when",
        "key" => "Fact",
        "by" => "Name",
        other => other,
    };
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The form again, filled with what was typed, for whoever has logged in by now: nothing is recorded.
pub async fn again<S: Store>(web: &Shared<S>, caller: &Caller, carried: &Carried) -> Response {
    let fields = match Fields::decoded(&carried.text).await {
        Ok(fields) => fields,
        Err(problem) => return error_page(&problem, web.now()),
    };
    let decoded = |part: &str| crate::web::query::decode(part);
    let path: Vec<String> = carried.action.trim_matches('/').split('/').map(decoded).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let sent = Sent { caller: caller.clone(), action: carried.action.clone(), fields };
    match path.as_slice() {
        ["report"] => super::report::again(web, sent).await,
        ["incidents", id, form @ ("facts" | "entity" | "sign-off")] => {
            super::incident::again(web, id, form, sent).await
        }
        ["incidents", id, "export"] => super::evidence::again(web, id, sent).await,
        ["obligations", id, form @ ("filing" | "waiver" | "delay" | "ack")] => {
            super::obligation::again(web, id, form, sent).await
        }
        ["obligations", id, "waiver", "withdrawal"] => super::obligation::again(web, id, "withdrawal", sent).await,
        ["people"] => super::people::again(web, None, sent).await,
        ["people", login] => super::people::again(web, Some(login), sent).await,
        ["incidents", id, _] => super::see_other(&format!("/incidents/{}", crate::web::query::encode(id))),
        ["people", ..] => super::see_other("/people"),
        _ => super::see_other("/"),
    }
}

/// The form is not on the page for this reader, or not any more.
pub fn not_here(caller: &Caller) -> Problem {
    let who = super::words::person(&caller.name);
    let detail = format!(
        "the page has no such form for `{who}`, or not any more; nothing was recorded. Look at the page as it is now"
    );
    Trouble::NotNow(detail).into()
}

/// Somebody logged in elsewhere, as in another window, and comes back to what they typed.
pub async fn come_back<S: Store>(
    Extract(web): Extract<Shared<S>>,
    headers: HeaderMap,
    visitor: Result<crate::web::auth::Api, Problem>,
    fields: Result<Fields, Problem>,
) -> Response {
    let carried = match fields {
        Ok(fields) => Carried::from(&fields, &headers),
        Err(problem) => return error_page(&problem, web.now()),
    };
    match visitor {
        Ok(crate::web::auth::Api(caller)) => again(&web, &caller, &carried).await,
        Err(problem) if problem.status == 401 && !carried.is_none() => super::login::ended(&web, carried).await,
        Err(problem) if problem.status == 401 => super::login::first("/"),
        Err(problem) => error_page(&problem, web.now()),
    }
}

#[derive(Template)]
#[template(path = "again.html")]
struct AgainPage {
    frame: Frame,
}

/// Where a login in another window ends: what was typed is in the first one.
pub async fn elsewhere<S: Store>(Extract(web): Extract<Shared<S>>, Visitor(caller): Visitor) -> Response {
    show(&AgainPage { frame: super::frame(&web, &caller, "").await })
}

/// The page a refused form was on, by `page`, or the queue of decisions; where neither is there any more, what was typed.
/// `refused` is why, the path it was sent to, and whether it came from the queue.
pub async fn finish<S, F>(
    web: &Shared<S>,
    caller: &Caller,
    id: &str,
    mut typed: Typed,
    (problem, action, from_queue): (&Problem, &str, bool),
    page: impl FnOnce(Typed) -> F,
) -> Response
where
    S: Store,
    F: Future<Output = Result<Response, Unshown>>,
{
    if from_queue {
        typed = match super::decisions::with(web, caller, id, typed).await {
            Ok(response) => return response,
            Err(typed) => *typed,
        };
    }
    match page(typed).await {
        Ok(response) => response,
        Err(unshown) => unsent(web, problem, action, unshown.typed.fields()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_keeps_its_own_and_no_other() {
        let typed = Typed::given("filing", &[("part", "complete"), ("note", ""), ("x", "1"), ("x", "2")]);
        assert!(typed.picked("filing", "part", "complete", false) && !typed.picked("filing", "part", "part", true));
        assert!(typed.picked("filing", "x", "1", false) && typed.picked("filing", "x", "2", false));
        assert!(typed.picked("filing", "note", "", false) && typed.picked("waiver", "x", "1", true));
        assert_eq!((typed.or("filing", "note", "a"), typed.or("waiver", "note", "a")), ("", "a"));
        assert_eq!(typed.page("filing", "key", "-f"), "key-f");
    }

    #[test]
    fn a_form_leads_back_to_its_page() {
        for (action, page) in [
            ("/obligations/a~b%40FR/waiver/withdrawal", "/obligations/a~b%40FR"),
            ("/incidents/a/export", "/incidents/a"),
            ("/people/kim", "/people"),
            ("//evil.example/x", ""),
            ("", ""),
        ] {
            assert_eq!(page_of(action), page);
        }
    }
}
