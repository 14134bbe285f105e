//! Mattermost, by an incoming webhook (https://developers.mattermost.com/integrate/webhooks/incoming).
//!
//! Mattermost expands Slack's `<!channel>` before it looks for mentions: the words are disarmed in
//! [`crate::notify::render::short`], markdown is escaped here.

use super::{Address, Form, Kind, Request, Service, StatusCode, Url, general_remedy, own_address, required, short};
use crate::escalation::Message;
use crate::notify::Context;
use crate::notify::render::{DRILL, Short, cut};
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "mattermost",
    takes: &[required("url", "\"credential:mattermost-url\"")],
    headers: false,
    address: Address::Optional(Form { example: "\"@lea\", a user name of that server", fits: is_user_name }),
    place: None,
    build: |settings| Ok(Box::new(Mattermost { url: settings.url("")? })),
};

/// Shortest limit of a post that a server has.
const TEXT: usize = 4000;

struct Mattermost {
    url: Url,
}

impl Service for Mattermost {
    fn server(&self) -> String {
        self.url.to_string()
    }

    fn request(&self, message: &Message, context: &Context) -> Result<Request, String> {
        let mut body = json!({ "text": text(&short(message, context)) });
        if let Some(name) = own_address(message) {
            body["channel"] = Value::from(name);
        }
        Ok(Request::json(self.url.clone(), &body))
    }

    fn remedy(&self, status: StatusCode) -> &'static str {
        match status.as_u16() {
            403 => "the webhook may not post there; unlock its channel or correct the person's address",
            400 | 404 => "the webhook, or the person it should write to, is not there; correct `url` or the address",
            _ => general_remedy(status),
        }
    }
}

fn text(said: &Short) -> String {
    let rows = |rows: &[(String, String)]| {
        rows.iter().map(|(label, value)| format!("**{label}:** {}", escaped(value))).collect::<Vec<_>>().join("\n")
    };
    let link = |url: &str, label: &str| format!("[{label}]({})", url.replace('(', "%28").replace(')', "%29"));
    let ack = said.ack.as_deref().map(|url| link(url, "Look at it, then say “I have it”"));
    let page = said.page.as_deref().map(|url| link(url, "How the date was found, and the incident"));
    let links = ack.into_iter().chain(page).collect::<Vec<_>>().join("\n");
    let drill = if said.drill { format!("{DRILL}\n") } else { String::new() };
    let lines = said.sentences().into_iter().map(escaped).collect::<Vec<_>>().join("\n");
    let also =
        if said.also.is_empty() { String::new() } else { format!("Also in this incident\n{}", rows(&said.also)) };
    let head = format!("**{}**\n{drill}{lines}", escaped(&cut(&said.subject, 400)));
    let foot = [Some(escaped(&said.why)), said.log.as_deref().map(escaped)].into_iter().flatten();
    let tail = [rows(&said.facts), also].into_iter().chain(foot).filter(|part| !part.is_empty());
    // what can be cut stands last
    let parts = [head, links].into_iter().filter(|part| !part.is_empty()).chain(tail);
    cut(&parts.collect::<Vec<_>>().join("\n\n"), TEXT)
}

/// Markdown's own characters, wherever they would mean something inside a line.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '>' | '~' | '|') {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

fn is_user_name(text: &str) -> bool {
    text.strip_prefix('@').is_some_and(|name| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_'))
    })
}
