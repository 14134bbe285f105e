//! `/a/{token}`, the link in a message: no login, one purpose, shown before it acts. For programs the same as JSON.

use super::bar::Bar;
use super::row::Row;
use super::state::State;
use super::words::{Limit, When, instant, person};
use super::{Frame, error_page, open_frame, reader_zone, show as show_template};
use crate::notify::words::{near_label, utc_label};
use crate::store::Store;
use crate::time::{Timestamp, Zone};
use crate::web::Shared;
use crate::web::auth::came_from_elsewhere;
use crate::web::body::{Id, Text};
use crate::web::error::{Answer, Problem};
use crate::web::multipart::Fields;
use crate::web::repeat::once;
use crate::workflow::{AckOffer, AckRequest, ObligationView};
use askama::Template;
use axum::Json;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;

/// An obligation the link is about.
pub struct About {
    pub row: Row,
    pub bar: Option<Bar>,
    pub recipient: String,
    pub act: Option<(Limit, String)>,
    pub holder: String,
    pub is_open: bool,
    pub portal: String,
}

#[derive(Template)]
#[template(path = "ack.html")]
struct AckPage {
    frame: Frame,
    person: String,
    token: String,
    abouts: Vec<About>,
    /// Seconds, and until when that is.
    leases: Vec<(i64, String)>,
    latest: String,
    expires: When,
    is_open: bool,
}

#[derive(Template)]
#[template(path = "ack_done.html")]
struct DonePage {
    frame: Frame,
    token: String,
    declined: bool,
    until: String,
    abouts: Vec<About>,
}

/// JSON: the offer.
pub async fn offer<S: Store>(Extract(web): Extract<Shared<S>>, Id(token): Id) -> Answer<Response> {
    Ok(Json(web.house.ack_offer(&token, web.now()).await?).into_response())
}

/// JSON: take it or decline.
pub async fn take<S: Store>(
    Extract(web): Extract<Shared<S>>,
    Id(token): Id,
    (headers, uri): (HeaderMap, Uri),
    Text(text): Text,
) -> Answer<Response> {
    let ask = crate::web::obligations::ack(&text)?;
    let (house, now, link) = (web.house.clone(), web.now(), token.clone());
    once(&web, &token, &headers, (&uri, &text), async move {
        let offer = house.ack_by_link(&link, ask, now).await?;
        Ok((StatusCode::OK, offer))
    })
    .await
}

pub async fn show<S: Store>(Extract(web): Extract<Shared<S>>, Id(token): Id, headers: HeaderMap) -> Response {
    let (now, zone) = (web.now(), reader_zone(&web));
    let offer = match web.house.ack_offer(&token, now).await {
        Ok(offer) => offer,
        Err(trouble) if wants_json(&headers) => return Problem::from(trouble).into_response(),
        Err(trouble) => return error_page(&trouble.into(), now),
    };
    if wants_json(&headers) {
        return Json(offer).into_response();
    }
    let abouts = abouts(&offer, zone, now);
    let until = |seconds: &i64| (*seconds, near_label(now + TimeDelta::seconds(*seconds), zone, now));
    show_template(&AckPage {
        frame: open_frame(&web, now),
        person: person(&offer.person).to_string(),
        token,
        is_open: abouts.iter().any(|a| a.is_open),
        abouts,
        leases: offer.lease_options.iter().take(3).map(until).collect(),
        latest: offer.latest_lease.as_deref().and_then(instant).map(|at| near_label(at, zone, now)).unwrap_or_default(),
        expires: When::text(&offer.expires, zone),
    })
}

/// The button was pressed; or a program posts JSON here.
pub async fn act<S: Store>(
    Extract(web): Extract<Shared<S>>,
    Id(token): Id,
    headers: HeaderMap,
    fields: Result<Fields, Problem>,
) -> Response {
    let (now, zone) = (web.now(), reader_zone(&web));
    let fields = match fields {
        Ok(fields) => fields,
        Err(problem) => return error_page(&problem, now),
    };
    if came_from_elsewhere(&headers) {
        return error_page(
            &Problem::forbidden("this form was sent from another site; open the link in the message again"),
            now,
        );
    }
    let declined = matches!(fields.get("act"), Some("decline"));
    let ask = AckRequest {
        lease_seconds: fields.get("lease_seconds").and_then(|s| s.parse().ok()).filter(|s| *s > 0),
        decline: declined,
        ..AckRequest::default()
    };
    let offer = match web.house.ack_by_link(&token, ask, now).await {
        Ok(offer) => offer,
        Err(trouble) if wants_json(&headers) => return Problem::from(trouble).into_response(),
        Err(trouble) => return error_page(&trouble.into(), now),
    };
    if wants_json(&headers) {
        return Json(offer).into_response();
    }
    let until = offer.obligations.iter().filter_map(|o| instant(&o.holder.as_ref()?.until)).min();
    show_template(&DonePage {
        frame: open_frame(&web, now),
        token,
        declined,
        until: until.map(|at| near_label(at, zone, now)).unwrap_or_default(),
        abouts: abouts(&offer, zone, now),
    })
}

pub(super) fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get("accept").and_then(|v| v.to_str().ok()).unwrap_or_default();
    accept.contains("application/json") && !accept.contains("text/html")
}

fn abouts(offer: &AckOffer, zone: Zone, now: Timestamp) -> Vec<About> {
    offer.obligations.iter().map(|o| about(o, zone, now)).collect()
}

fn about(o: &ObligationView, zone: Zone, now: Timestamp) -> About {
    let row = Row::of(o, None, zone, now);
    let limit = match row.state {
        State::Late => row.dates.due,
        _ => row.dates.conservative,
    };
    let url = o
        .law
        .channel
        .as_ref()
        .and_then(|c| c.url.clone())
        .filter(|u| u.starts_with("https://") || u.starts_with("http://"));
    About {
        bar: row.bar.clone(),
        recipient: o.law.recipient_name.clone(),
        act: limit.map(|at| (Limit::at(at, o.law.zone), utc_label(at, o.law.zone))),
        holder: o.holder.as_ref().map(|h| person(&h.name).to_string()).unwrap_or_default(),
        is_open: row.state.is_open(),
        portal: url.unwrap_or_default(),
        row,
    }
}
