//! `/report`: one line is enough, and unknown is an answer.

use super::{Frame, Typed, frame, page_key, reader_zone, see_other};
use crate::ingest;
use crate::store::Store;
use crate::time::{Timestamp, Zone};
use crate::web::Shared;
use crate::web::auth::Visitor;
use crate::web::error::{Answer, Problem};
use crate::web::multipart::Fields;
use crate::web::query::encode;
use crate::web::sent::Sent;
use crate::workflow::{Caller, Trouble};
use askama::Template;
use axum::extract::State as Extract;
use axum::response::Response;
use serde_json::{Value, json};

#[derive(Template)]
#[template(path = "report.html")]
struct ReportPage {
    frame: Frame,
    /// Id and name.
    entities: Vec<(String, String)>,
    zone: String,
    civil_now: String,
    key: String,
    typed: Typed,
}

/// Which field a fault is about.
const FIELDS: [(&str, &str); 4] = [("/title", "t"), ("/facts/times", "w"), ("/entity", "e"), ("/reference", "r")];

pub async fn form<S: Store>(Extract(web): Extract<Shared<S>>, Visitor(caller): Visitor) -> Response {
    render(&web, &caller, Typed::default()).await
}

/// Filled again after a login.
pub async fn again<S: Store>(web: &Shared<S>, sent: Sent) -> Response {
    render(web, &sent.caller, Typed::again("report", sent.fields, &sent.caller)).await
}

pub async fn send<S: Store>(Extract(web): Extract<Shared<S>>, sent: Sent) -> Response {
    let problem = match record(&web, &sent).await {
        Ok(id) => return see_other(&format!("/incidents/{}", encode(&id))),
        Err(problem) => problem,
    };
    let mut response = render(&web, &sent.caller, Typed::refused("report", sent.fields, &problem, &FIELDS)).await;
    *response.status_mut() = problem.status();
    response
}

async fn record<S: Store>(web: &Shared<S>, sent: &Sent) -> Answer<String> {
    let (now, zone, fields) = (web.now(), reader_zone(web), sent.whole()?);
    let text = body(fields, zone, now).map_err(|text| {
        let rejection = ingest::Rejection { pointer: "/facts/times.detected".into(), line: None, text };
        Problem::from(Trouble::Rejected(vec![rejection]))
    })?;
    let reported = web.house.report(&sent.caller, &text, fields.get("page"), now).await?;
    Ok(reported.incident.id)
}

/// The report the form stands for. What was left unknown is left out.
fn body(fields: &Fields, zone: Zone, now: Timestamp) -> Result<String, String> {
    let mut facts = serde_json::Map::new();
    // nobody is sure yet: a clock starts as suspected and is corrected by a better fact
    let suspected = |value: Value| json!({ "value": value, "certainty": "suspected" });
    // a time that was typed counts, whichever choice stands beside it
    let noticed = match (fields.get("at"), fields.get("noticed")) {
        (Some(typed), _) => Some(ingest::instant(typed, Some(zone))?),
        (None, Some("earlier")) => return Err("say when it was noticed, or choose Not sure".to_string()),
        (None, _) => Some(now),
    };
    if let Some(at) = noticed {
        facts.insert("times.detected".into(), suspected(json!(crate::rules::utc(at))));
    }
    for (field, key) in [("personal", "personal_data"), ("down", "service_disrupted")] {
        match fields.get(field) {
            Some("yes") => drop(facts.insert(key.into(), suspected(json!(true)))),
            Some("no") => drop(facts.insert(key.into(), suspected(json!(false)))),
            _ => {}
        }
    }
    let mut report = json!({ "title": fields.get("title").unwrap_or_default(), "facts": facts });
    if let Some(entity) = fields.get("entity") {
        report["entity"] = json!(entity);
    }
    if let Some(reference) = fields.get("reference") {
        // a ticket number is ours twice only within one source
        report["source"] = json!("web form");
        report["reference"] = json!(reference);
    }
    Ok(report.to_string())
}

async fn render<S: Store>(web: &Shared<S>, caller: &Caller, typed: Typed) -> Response {
    let (now, zone) = (web.now(), reader_zone(web));
    let page = ReportPage {
        frame: frame(web, caller, "").await,
        entities: super::entities(web, caller),
        zone: super::zone_name(zone),
        civil_now: zone.local(now).format("%Y-%m-%dT%H:%M").to_string(),
        key: page_key("report", 0, now),
        typed,
    };
    super::show(&page)
}
