//! Slack, by an incoming webhook (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).
//!
//! What people typed stands in `plain_text` objects, in which Slack parses nothing; `mrkdwn` holds our own links only.

use super::{Address, Kind, Request, Service, StatusCode, Url, general_remedy, required, short};
use crate::escalation::Message;
use crate::notify::Context;
use crate::notify::render::{Short, cut};
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "slack",
    takes: &[required("url", "\"credential:slack-url\"")],
    headers: false,
    address: Address::None,
    place: None,
    build: |settings| Ok(Box::new(Slack { url: settings.url("")? })),
};

/// Longest text of a header block and of a text object.
const HEADER: usize = 150;
const TEXT: usize = 3000;

struct Slack {
    url: Url,
}

impl Service for Slack {
    fn server(&self) -> String {
        self.url.to_string()
    }

    fn request(&self, message: &Message, context: &Context) -> Result<Request, String> {
        Ok(Request::json(self.url.clone(), &body(&short(message, context))))
    }

    fn remedy(&self, status: StatusCode) -> &'static str {
        match status.as_u16() {
            403 | 404 | 410 => "the webhook or its room is gone; make a new incoming webhook and set its `url`",
            _ => general_remedy(status),
        }
    }
}

fn body(said: &Short) -> Value {
    let plain = |text: &str, most: usize| json!({ "type": "plain_text", "text": cut(text, most), "emoji": false });
    let mut blocks = vec![
        json!({ "type": "header", "text": plain(&said.subject, HEADER) }),
        json!({ "type": "section", "text": plain(&said.text(TEXT), TEXT) }),
    ];
    let link = |url: &str, label: &str| format!("<{}|{label}>", escaped(url));
    let ack = said.ack.as_deref().map(|url| link(url, "Look at it, then say “I have it”"));
    let page = said.page.as_deref().map(|url| link(url, "How the date was found, and the incident"));
    let links = ack.into_iter().chain(page).collect::<Vec<_>>().join("\n");
    if !links.is_empty() {
        let text = json!({ "type": "mrkdwn", "text": links, "verbatim": true });
        blocks.push(json!({ "type": "section", "text": text }));
    }
    // the text is what notifications show
    json!({ "text": escaped(&said.subject), "blocks": blocks, "unfurl_links": false, "unfurl_media": false })
}

/// The three characters Slack's markup is made of.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
