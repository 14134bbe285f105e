//! Opsgenie, and services with the same alerts API (https://docs.opsgenie.com/docs/alert-api): Jira Service Management has
//! it under `https://api.atlassian.com/jsm/ops/integration`.
//!
//! One alert per obligation under its alias: repeats are counted on it, a recorded filing closes it.

use super::{
    Address, Answer, Fault, Form, Kind, Outcome, Request, Service, Settings, StatusCode, Urgency, Url, alert_key,
    details, general_remedy, is_over, optional, own_address, required, short,
};
use crate::escalation::Message;
use crate::notify::http::header;
use crate::notify::render::cut;
use crate::notify::{Context, Secret};
use serde_json::{Map, Value, json};

pub const KIND: Kind = Kind {
    name: "opsgenie",
    takes: &[required("api_key", "\"credential:opsgenie-key\""), optional("url", "\"https://api.eu.opsgenie.com\"")],
    headers: false,
    address: Address::Optional(Form { example: "\"lea@acme.example\", the user's name there", fits: is_user }),
    place: None,
    build,
};

fn build(settings: &Settings) -> Result<Box<dyn Service>, Fault> {
    let key = format!("GenieKey {}", settings.value("api_key", ""));
    header("authorization", &key).map_err(|_| Fault::new("api_key", "has characters no key has; copy it again"))?;
    let mut url = settings.url("https://api.opsgenie.com")?;
    let path = url.path().trim_end_matches('/').trim_end_matches("/v2/alerts").to_string();
    url.set_path(&path);
    Ok(Box::new(Opsgenie { url, key: Secret::new(key) }))
}

/// Longest message and description of an alert.
const MESSAGE: usize = 130;
const DESCRIPTION: usize = 15_000;

struct Opsgenie {
    /// Without `/v2/alerts`.
    url: Url,
    /// The whole value of the header.
    key: Secret,
}

impl Service for Opsgenie {
    fn server(&self) -> String {
        self.url.to_string()
    }

    fn request(&self, message: &Message, context: &Context) -> Result<Request, String> {
        let alias = alert_key(message, context);
        let mut url = self.url.clone();
        let root = url.path().trim_end_matches('/').to_string();
        let said = short(message, context);
        let body = if is_over(message) {
            url.set_path(&format!("{root}/v2/alerts/{alias}/close"));
            url.set_query(Some("identifierType=alias"));
            json!({ "source": "breachclock", "note": cut(&said.subject, 500) })
        } else {
            url.set_path(&format!("{root}/v2/alerts"));
            let priority = match said.urgency {
                Urgency::Late => "P1",
                Urgency::Soon => "P2",
                Urgency::Open => "P3",
                Urgency::Info => "P5",
            };
            let links = said.ack.iter().map(|url| format!("Look at it, then say “I have it”: {url}"));
            let links =
                links.chain(said.page.iter().map(|url| format!("How the date was found, and the incident: {url}")));
            let links = links.collect::<Vec<_>>().join("\n");
            let room = DESCRIPTION.saturating_sub(links.chars().count() + 2);
            let parts = [links, said.text(room)];
            let description = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n");
            let details: Map<String, Value> =
                details(message).into_iter().map(|(name, value)| (name.to_string(), value.into())).collect();
            let mut alert = json!({
                "message": cut(&said.subject, MESSAGE),
                "alias": alias,
                "description": description,
                "priority": priority,
                "source": "breachclock",
                "tags": if said.drill { vec!["breachclock", "drill"] } else { vec!["breachclock"] },
                "details": details,
            });
            if let Some(user) = own_address(message) {
                alert["responders"] = json!([{ "type": "user", "username": user }]);
            }
            alert
        };
        Ok(Request::json(url, &body).with("authorization", self.key.expose()))
    }

    fn own_verdict(&self, message: &Message, answer: &Answer) -> Option<Outcome> {
        let nothing_open = is_over(message) && answer.status == StatusCode::NOT_FOUND;
        nothing_open.then(|| Outcome::HandedOver { answer: "404 Not Found: no such alert is open".into() })
    }

    fn remedy(&self, status: StatusCode) -> &'static str {
        match status.as_u16() {
            401 | 403 => {
                "it does not accept the `api_key`; set the key of an API integration that may create alerts, and the `url` of your region"
            }
            422 => "it does not accept the alert; look whether the person's address is a user there",
            _ => general_remedy(status),
        }
    }
}

fn is_user(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.')) && !text.contains(' ')
}
