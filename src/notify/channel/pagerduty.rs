//! PagerDuty, by its Events API v2 (https://developer.pagerduty.com/docs/events-api-v2/trigger-events).
//!
//! One alert per obligation: repeats update it, a recorded filing resolves it.

use super::{
    Address, Fault, Kind, Request, Service, Settings, StatusCode, Urgency, Url, alert_key, base, details,
    general_remedy, is_over, optional, required, short,
};
use crate::escalation::Message;
use crate::notify::links::is_about_the_house;
use crate::notify::render::{Short, cut};
use crate::notify::{Context, Secret};
use serde_json::{Map, Value, json};

pub const KIND: Kind = Kind {
    name: "pagerduty",
    takes: &[
        required("routing_key", "\"credential:pagerduty-key\""),
        optional("url", "\"https://events.pagerduty.com/v2/enqueue\""),
    ],
    headers: false,
    address: Address::None,
    place: None,
    build,
};

fn build(settings: &Settings) -> Result<Box<dyn Service>, Fault> {
    let routing_key = settings.value("routing_key", "");
    if routing_key.len() != 32 || !routing_key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let form = "copy the integration key of an Events API v2 integration, 32 letters and digits";
        return Err(Fault::new("routing_key", format!("has another form; {form}")));
    }
    let url = settings.url("https://events.pagerduty.com/v2/enqueue")?;
    Ok(Box::new(PagerDuty { url, routing_key: Secret::new(routing_key) }))
}

/// Longest summary of an event.
const SUMMARY: usize = 1024;

struct PagerDuty {
    url: Url,
    routing_key: Secret,
}

impl Service for PagerDuty {
    fn server(&self) -> String {
        self.url.to_string()
    }

    fn request(&self, message: &Message, context: &Context) -> Result<Request, String> {
        let mut body = json!({
            "routing_key": self.routing_key.expose(),
            "dedup_key": alert_key(message, context),
            "event_action": if is_over(message) { "resolve" } else { "trigger" },
        });
        if !is_over(message) {
            let said = short(message, context);
            body["client"] = "breachclock".into();
            body["client_url"] = base(context).into();
            body["payload"] = payload(&said, message, context);
            body["links"] = links(&said);
        }
        Ok(Request::json(self.url.clone(), &body))
    }

    fn remedy(&self, status: StatusCode) -> &'static str {
        match status.as_u16() {
            400 | 401 | 403 => "it does not accept the event; set the `routing_key` of an Events API v2 integration",
            _ => general_remedy(status),
        }
    }
}

fn payload(said: &Short, message: &Message, context: &Context) -> Value {
    let severity = match said.urgency {
        Urgency::Late => "critical",
        Urgency::Soon => "error",
        Urgency::Open => "warning",
        Urgency::Info => "info",
    };
    let mut custom: Map<String, Value> =
        details(message).into_iter().map(|(name, value)| (name.to_string(), value.into())).collect();
    custom.insert("drill".into(), said.drill.into());
    custom.insert("text".into(), said.text(8000).into());
    let mut payload = json!({
        "summary": cut(&said.subject, SUMMARY),
        "source": base(context),
        "severity": severity,
        "timestamp": message.created_at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        "class": message.event.as_str(),
        "custom_details": custom,
    });
    if !is_about_the_house(message) {
        payload["group"] = message.incident.0.as_str().into();
    }
    payload
}

fn links(said: &Short) -> Value {
    let ack = said.ack.as_deref().map(|url| json!({ "href": url, "text": "Look at it, then say “I have it”" }));
    let page =
        said.page.as_deref().map(|url| json!({ "href": url, "text": "How the date was found, and the incident" }));
    ack.into_iter().chain(page).collect()
}
