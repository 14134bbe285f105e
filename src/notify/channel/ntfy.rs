//! ntfy (https://docs.ntfy.sh/publish/#publish-as-json): push messages to a topic of a room or of a person.
//!
//! Buttons only open pages: no `http` action acknowledges anything from a locked screen.

use super::{
    Address, Fault, Form, Kind, Request, Service, Settings, StatusCode, Urgency, Url, general_remedy, optional,
    own_address, short,
};
use crate::escalation::Message;
use crate::notify::http::header;
use crate::notify::render::cut;
use crate::notify::{Context, Secret};
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "ntfy",
    takes: &[
        optional("url", "\"https://ntfy.example.org\""),
        optional("topic", "\"breach-desk-x7Kq2\""),
        optional("token", "\"credential:ntfy-token\""),
    ],
    headers: false,
    address: Address::Needed(Form { example: "\"lea-x7Kq2\", a topic only that person reads", fits: is_topic }),
    place: Some("topic"),
    build,
};

fn build(settings: &Settings) -> Result<Box<dyn Service>, Fault> {
    let url = settings.url("https://ntfy.sh")?;
    let topic = settings.value("topic", "");
    if !topic.is_empty() && !is_topic(topic) {
        return Err(Fault::new("topic", format!("`{topic}` is no topic; use 1 to 64 letters, digits, `-` and `_`")));
    }
    let token =
        Some(settings.value("token", "")).filter(|token| !token.is_empty()).map(|token| format!("Bearer {token}"));
    if let Some(token) = &token {
        header("authorization", token)
            .map_err(|_| Fault::new("token", "has characters no token has; copy it again"))?;
    }
    Ok(Box::new(Ntfy { url, topic: topic.to_string(), token: token.map(Secret::new) }))
}

/// A message of more than 4096 bytes becomes an attachment.
const MESSAGE_BYTES: usize = 4000;

struct Ntfy {
    url: Url,
    /// Of the room; empty when only people are told.
    topic: String,
    /// The whole value of the header.
    token: Option<Secret>,
}

impl Service for Ntfy {
    fn server(&self) -> String {
        self.url.to_string()
    }

    fn request(&self, message: &Message, context: &Context) -> Result<Request, String> {
        let own = own_address(message);
        let topic = match message.target.person() {
            // a person's link does not belong into the topic of a room
            Some(person) => own.ok_or_else(|| format!("`{person}` has no topic; write it in their `addresses`"))?,
            None => own.unwrap_or(&self.topic),
        };
        if topic.is_empty() {
            return Err("it has no `topic` of its own and reaches people only; set one".to_string());
        }
        let said = short(message, context);
        let priority = match said.urgency {
            Urgency::Late => 5,
            Urgency::Soon => 4,
            Urgency::Open => 3,
            Urgency::Info => 2,
        };
        let mut text = said.text(MESSAGE_BYTES);
        while text.len() > MESSAGE_BYTES {
            text = cut(&text, text.chars().count() * 9 / 10);
        }
        let view = |url: &str, label: &str| json!({ "action": "view", "label": label, "url": url });
        let ack = said.ack.as_deref().map(|url| view(url, "Look, then “I have it”"));
        let page = said.page.as_deref().map(|url| view(url, "The incident"));
        let mut body = json!({
            "topic": topic,
            "title": cut(&said.subject, 240),
            "message": text,
            "priority": priority,
            "tags": if said.drill { ["drill"] } else { ["breachclock"] },
            "actions": ack.into_iter().chain(page).collect::<Vec<Value>>(),
        });
        if let Some(click) = said.ack.or(said.page) {
            body["click"] = click.into();
        }
        let request = Request::json(self.url.clone(), &body);
        Ok(match &self.token {
            Some(token) => request.with("authorization", token.expose()),
            None => request,
        })
    }

    fn remedy(&self, status: StatusCode) -> &'static str {
        match status.as_u16() {
            401 | 403 => "the server does not let us write to the topic; set a `token` that may",
            404 => "no ntfy server is there; set the `url` of the server without a topic",
            _ => general_remedy(status),
        }
    }
}

fn is_topic(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}
