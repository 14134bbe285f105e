//! Microsoft Teams, by the webhook of a workflow that posts an Adaptive Card
//! (https://learn.microsoft.com/connectors/teams, https://adaptivecards.io/explorer).
//!
//! What people typed stands in `TextRun`s, in which Teams reads no markdown; a mention needs an entity we never send.

use super::{Address, Kind, Request, Service, StatusCode, Urgency, Url, general_remedy, required, short};
use crate::escalation::Message;
use crate::notify::Context;
use crate::notify::render::{DRILL, Short, cut};
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "teams",
    takes: &[required("url", "\"credential:teams-url\"")],
    headers: false,
    address: Address::None,
    place: None,
    build: |settings| Ok(Box::new(Teams { url: settings.url("")? })),
};

/// A message may have about 28 kB; the rest is left out by whole blocks from the end.
const BODY_BYTES: usize = 24_000;

struct Teams {
    url: Url,
}

impl Service for Teams {
    fn server(&self) -> String {
        self.url.to_string()
    }

    fn request(&self, message: &Message, context: &Context) -> Result<Request, String> {
        Ok(Request::json(self.url.clone(), &body(&short(message, context))))
    }

    fn remedy(&self, status: StatusCode) -> &'static str {
        match status.as_u16() {
            401..=404 | 410 => {
                "the workflow is gone, switched off or wants a sign-in; make one that takes anybody's requests and set its `url`"
            }
            _ => general_remedy(status),
        }
    }
}

fn body(said: &Short) -> Value {
    let color = match said.urgency {
        Urgency::Late => "Attention",
        Urgency::Soon => "Warning",
        Urgency::Open => "Default",
        Urgency::Info => "Good",
    };
    let run = |text: &str| json!({ "type": "TextRun", "text": text });
    let block = |inlines: Vec<Value>| json!({ "type": "RichTextBlock", "inlines": inlines });
    let pair = |(label, value): &(String, String)| {
        let label = json!({ "type": "TextRun", "text": format!("{label}: "), "isSubtle": true });
        block(vec![label, run(value)])
    };
    let subject = cut(&said.subject, 400);
    let title = json!({ "type": "TextRun", "text": subject, "weight": "Bolder", "size": "Medium", "color": color });
    let mut blocks = vec![block(vec![title])];
    blocks.extend(said.drill.then(|| block(vec![run(DRILL)])));
    blocks.extend(said.sentences().into_iter().map(|line| block(vec![run(line)])));
    blocks.extend(said.facts.iter().map(pair));
    if !said.also.is_empty() {
        blocks.push(block(vec![json!({ "type": "TextRun", "text": "Also in this incident", "weight": "Bolder" })]));
        blocks.extend(said.also.iter().map(pair));
    }
    let small = |text: &str| block(vec![json!({ "type": "TextRun", "text": text, "size": "Small", "isSubtle": true })]);
    blocks.push(small(&said.why));
    blocks.extend(said.log.as_deref().map(small));
    let open = |url: &str, title: &str| json!({ "type": "Action.OpenUrl", "title": title, "url": url });
    let ack = said.ack.as_deref().map(|url| open(url, "Look at it, then say “I have it”"));
    let page = said.page.as_deref().map(|url| open(url, "How the date was found, and the incident"));
    let actions: Vec<Value> = ack.into_iter().chain(page).collect();
    loop {
        let card = json!({
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.2",
            "msteams": { "width": "Full" },
            "body": blocks,
            "actions": actions,
        });
        let contents =
            json!({ "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card });
        let whole = json!({ "type": "message", "attachments": [contents] });
        if blocks.len() <= 2 || whole.to_string().len() < BODY_BYTES {
            return whole;
        }
        blocks.pop();
    }
}
