//! Text messages through whatever gateway the operator has: method, url, headers and body are templates.
//!
//! Variables: `{to}` the number, `{text}` the words, `{id}` the same for every attempt at one message, `{secret}` the
//! setting of that name. Each is encoded for the place where it stands; any other `{word}` is refused when the settings are
//! checked. A number is a person's: no error and no quote repeats it.

use super::{
    Address, Answer, Fault, Form, Kind, Outcome, Request, Service, Settings, StatusCode, Url, check_url, optional,
    own_address, required, short, webhook_id, without_path,
};
use crate::escalation::Message;
use crate::notify::Context;
use crate::notify::http::{Method, header};
use crate::notify::links::escape;
use crate::notify::render::{Short, cut};

pub const KIND: Kind = Kind {
    name: "sms",
    takes: &[
        required("url", "\"https://sms.example.org/v1/messages\""),
        optional("method", "\"POST\""),
        optional("body", "'{\"to\": \"{to}\", \"text\": \"{text}\", \"reference\": \"{id}\"}'"),
        optional("secret", "\"credential:sms-secret\""),
        optional("to", "\"+33612345678\""),
        optional("answer_contains", "'\"status\":\"queued\"'"),
    ],
    headers: true,
    address: Address::Needed(Form { example: "\"+33612345678\", with country code and without spaces", fits: is_e164 }),
    place: Some("to"),
    build,
};

const VARIABLES: [&str; 4] = ["to", "text", "id", "secret"];
/// About three parts of a long text message, without the link.
const WORDS: usize = 300;

/// How a variable is written where it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    Plain,
    Json,
    Percent,
}

struct Sms {
    method: Method,
    url: Template,
    headers: Vec<(String, Template)>,
    body: Option<Template>,
    secret: String,
    /// Where messages to the place go.
    to: String,
    answer_contains: String,
    settings: Settings,
}

fn build(settings: &Settings) -> Result<Box<dyn Service>, Fault> {
    let method = match settings.value("method", "POST") {
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        "GET" => Method::GET,
        other => return Err(Fault::new("method", format!("`{other}` is not a method here; write POST, PUT or GET"))),
    };
    let url = Template::parse("url", settings.value("url", ""), Coding::Percent)?;
    if without_path(settings.value("url", "")).contains('{') {
        return Err(Fault::new("url", "has a variable in its host; write the host out"));
    }
    let mut headers = Vec::new();
    for (name, value) in &settings.headers {
        header(name, "x").map_err(|problem| Fault::new("headers", problem))?;
        let template = Template::parse("headers", value.expose(), Coding::Plain)?;
        if template.names("text") {
            return Err(Fault::new(
                "headers",
                format!("`{name}` uses `{{text}}`, which fits no header; put it into `body`"),
            ));
        }
        headers.push((name.to_ascii_lowercase(), template));
    }
    let kind = settings.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let body = match (settings.values.get("body"), kind) {
        (Some(_), _) if method == Method::GET => {
            return Err(Fault::new("body", "does not go with `method = \"GET\"`; put the variables into `url`"));
        }
        (Some(_), None) => {
            let form =
                "write `headers = { Content-Type = \"application/json\" }` or `application/x-www-form-urlencoded`";
            return Err(Fault::new("headers", format!("`body` has no content type; {form}")));
        }
        (Some(body), Some((_, kind))) => {
            let coding = match kind.expose() {
                kind if kind.contains("json") => Coding::Json,
                kind if kind.contains("form-urlencoded") => Coding::Percent,
                _ => Coding::Plain,
            };
            Some(Template::parse("body", body.expose(), coding)?)
        }
        (None, _) => None,
    };
    let used = |name: &str| {
        url.names(name) || body.as_ref().is_some_and(|b| b.names(name)) || headers.iter().any(|(_, h)| h.names(name))
    };
    for name in ["to", "text"] {
        if !used(name) {
            return Err(Fault::new("body", format!("`{{{name}}}` stands nowhere; put it into `body` or `url`")));
        }
    }
    let secret = settings.value("secret", "").to_string();
    if used("secret") && secret.is_empty() {
        return Err(Fault::new("secret", "is missing; a template uses `{secret}`"));
    }
    let to = settings.value("to", "").to_string();
    if !to.is_empty() && !is_e164(&to) {
        return Err(Fault::new("to", format!("`{to}` is no number; write it like `+33612345678`")));
    }
    let sms = Sms {
        method,
        url,
        headers,
        body,
        secret,
        to,
        answer_contains: settings.value("answer_contains", "").to_string(),
        settings: settings.clone(),
    };
    sms.rehearse()?;
    Ok(Box::new(sms))
}

impl Sms {
    fn filled(&self, to: &str, text: &str, id: &str) -> Result<Request, Fault> {
        let value = |name: &str| match name {
            "to" => to,
            "text" => text,
            "id" => id,
            _ => &self.secret,
        };
        let url = self.url.fill(value);
        let url: Url = check_url(&url, &without_path(&url), &self.settings.reach)?;
        let body = self.body.as_ref().map(|body| body.fill(value));
        let mut request = Request { method: self.method.clone(), url, headers: Vec::new(), body };
        for (name, template) in &self.headers {
            let pair = header(name, &template.fill(value)).map_err(|problem| Fault::new("headers", problem))?;
            request.headers.push(pair);
        }
        Ok(request)
    }

    /// Fills everything once with difficult words: what goes wrong here would go wrong at night.
    fn rehearse(&self) -> Result<(), Fault> {
        let request = self.filled("+33612345678", "say \"no\" \\ & {to}\nété", "msg_0")?;
        let is_json = self.body.as_ref().is_some_and(|body| body.coding == Coding::Json);
        let broken = |body: &String| serde_json::from_str::<serde_json::Value>(body).is_err();
        if is_json && request.body.as_ref().is_some_and(broken) {
            return Err(Fault::new(
                "body",
                "is not JSON once its variables are filled; put them between double quotes",
            ));
        }
        Ok(())
    }
}

impl Service for Sms {
    fn server(&self) -> String {
        without_path(self.settings.value("url", "")).to_string()
    }

    fn request(&self, message: &Message, context: &Context) -> Result<Request, String> {
        let to = match (message.target.person(), own_address(message)) {
            (_, Some(address)) => address,
            (Some(person), None) => return Err(format!("`{person}` has no number; write it in their `addresses`")),
            (None, None) if self.to.is_empty() => {
                return Err("it has no number `to` of its own and reaches people only; set one".to_string());
            }
            (None, None) => &self.to,
        };
        let text = words(&short(message, context));
        self.filled(to, &text, &webhook_id(message)).map_err(|fault| format!("`{}` {}", fault.key, fault.problem))
    }

    fn own_verdict(&self, _: &Message, answer: &Answer) -> Option<Outcome> {
        let refused = answer.status.is_success() && !answer.text.contains(&self.answer_contains);
        refused.then(|| Outcome::Retry {
            error: format!(
                "channel `{}` answered {} without the words of `answer_contains`",
                self.settings.id, answer.status
            ),
            after_seconds: answer.after_seconds,
        })
    }

    fn remedy(&self, status: StatusCode) -> &'static str {
        match status.as_u16() {
            401 | 403 => "the gateway does not accept our credentials; correct `headers` or `secret`",
            402 => "the account has no credit left; top it up",
            404 | 410 => "nothing is there; correct the `url`",
            _ => "the gateway does not accept the message; compare `url`, `headers` and `body` with its documentation",
        }
    }

    fn may_quote(&self) -> bool {
        false
    }
}

/// Subject, the lines of a note, link.
fn words(said: &Short) -> String {
    let words: Vec<&str> = std::iter::once(&said.subject).chain(&said.note).map(String::as_str).collect();
    let link = said.ack.as_ref().or(said.page.as_ref()).map(|url| format!("\n{url}")).unwrap_or_default();
    format!("{}{link}", cut(&words.join("\n"), WORDS))
}

/// A plus and up to fifteen digits, the first of which is not zero (ITU-T E.164).
fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')
    })
}

/// Text with variables. A brace that begins no word is itself: JSON is full of them.
struct Template {
    parts: Vec<Part>,
    coding: Coding,
}

enum Part {
    Text(String),
    Variable(&'static str),
}

impl Template {
    fn parse(key: &str, text: &str, coding: Coding) -> Result<Template, Fault> {
        let (mut parts, mut rest) = (Vec::new(), text);
        let mut plain = String::new();
        while let Some(at) = rest.find('{') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if word.is_empty() || !after.starts_with('}') {
                plain.push('{');
                continue;
            }
            let Some(name) = VARIABLES.into_iter().find(|name| *name == word) else {
                let known = VARIABLES.map(|name| format!("`{{{name}}}`")).join(", ");
                return Err(Fault::new(key, format!("`{{{word}}}` is no variable; there are {known}")));
            };
            parts.extend([Part::Text(std::mem::take(&mut plain)), Part::Variable(name)]);
            rest = &after[1..];
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Ok(Template { parts, coding })
    }

    fn names(&self, variable: &str) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Variable(name) if *name == variable))
    }

    fn fill<'v>(&self, value: impl Fn(&str) -> &'v str) -> String {
        let filled = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Variable(name) => encoded(value(name), self.coding),
        });
        filled.collect()
    }
}

fn encoded(text: &str, coding: Coding) -> String {
    match coding {
        Coding::Plain => text.to_string(),
        Coding::Json => {
            let quoted = serde_json::Value::from(text).to_string();
            quoted[1..quoted.len() - 1].to_string()
        }
        // stricter than a path segment: `@` and `:` mean something in queries and forms
        Coding::Percent => escape(text).replace('@', "%40").replace(':', "%3A"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_encoded_for_their_place() {
        let fill = |text: &str, coding| {
            Template::parse("body", text, coding)
                .map(|t| t.fill(|name| if name == "to" { "+33 6" } else { "a\"b&ü{to}" }))
        };
        let cases = [
            (r#"{"to":"{to}","x":{"y":"{text}"}}"#, Coding::Json, r#"{"to":"+33 6","x":{"y":"a\"b&ü{to}"}}"#),
            ("To={to}&Body={text}", Coding::Percent, "To=%2B33%206&Body=a%22b%26%C3%BC%7Bto%7D"),
            ("{ to } {} {to", Coding::Plain, "{ to } {} {to"),
            ("{{to}}", Coding::Plain, "{+33 6}"),
        ];
        for (text, coding, wanted) in cases {
            assert_eq!(fill(text, coding).expect(text), wanted);
        }
        let fault = fill("{\"t\": \"{txt}\"}", Coding::Json).expect_err("unknown");
        assert!(fault.problem.contains("`{txt}` is no variable; there are `{to}`"), "{fault:?}");
    }

    #[test]
    fn numbers() {
        for (text, fits) in [
            ("+33612345678", true),
            ("+4915112345678", true),
            ("0612345678", false),
            ("+33 612345678", false),
            ("+0612345678", false),
            ("+336123456789012345", false),
            ("+33", false),
        ] {
            assert_eq!(is_e164(text), fits, "{text}");
        }
    }
}
