//! `/settings`: how the installation is set up, with the place in the configuration that governs each part. Read only: the
//! file is the only way to change it.

use super::bar::percent;
use super::people::on_duty;
use super::{Frame, error_page, evidence::readiness_rows, frame, reader_zone, show as show_template};
use crate::escalation::{EscalationPolicy, Repeat, Step, StepAt};
use crate::notify::words::duration;
use crate::store::Store;
use crate::web::Shared;
use crate::web::auth::Visitor;
use crate::workflow::StatusView;
use crate::workflow::overview::Place;
use askama::Template;
use axum::extract::State as Extract;
use axum::response::Response;

/// Where the drawing of a policy has the earliest limit, per cent.
const LIMIT_AT: f64 = 78.0;
const START_AT: f64 = 3.0;

/// One table of the configuration.
pub struct Part {
    pub id: String,
    pub table: String,
    pub title: String,
    pub place: Option<Place>,
    /// Without a name: one sentence.
    pub lines: Vec<(String, String)>,
    pub policies: Vec<Drawn>,
}

/// A policy with its steps.
pub struct Drawn {
    pub id: String,
    pub steps: Vec<DrawnStep>,
    pub summary: String,
    pub notes: Vec<String>,
    pub limit_x: String,
}

/// One step: where it stands in the drawing, and what it does.
pub struct DrawnStep {
    pub number: usize,
    pub x: String,
    pub y: u32,
    /// `late` from the limit on.
    pub shape: &'static str,
    pub when: String,
    pub text: String,
}

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    frame: Frame,
    file: String,
    parts: Vec<Part>,
    /// Tables the file does not have: title, table, what holds without it.
    absent: Vec<(String, String, String)>,
    status: StatusView,
    rows: Vec<(&'static str, String)>,
}

pub async fn show<S: Store>(Extract(web): Extract<Shared<S>>, Visitor(caller): Visitor) -> Response {
    let (now, zone) = (web.now(), reader_zone(&web));
    let overview = match web.house.overview(&caller) {
        Ok(overview) => overview,
        Err(trouble) => return error_page(&trouble.into(), now),
    };
    let settings = &web.house.settings;
    let directory = &settings.directory;
    let of_table = |table: &str| -> Vec<(String, String)> {
        match table {
            "[[entity]]" => settings
                .entities
                .iter()
                .map(|e| {
                    let zone = e.zone.map(super::zone_name).unwrap_or_else(|| "no zone".into());
                    let policy = e.policy.as_ref().map(|p| format!(", policy {p}")).unwrap_or_default();
                    let text = format!("{}; in {}; {zone}{policy}", e.roles.join(", "), e.established_in.join(", "));
                    (e.name.clone(), text)
                })
                .collect(),
            "[[person]]" => directory
                .people
                .iter()
                .map(|p| {
                    let ways = if p.channels.is_empty() { "email".to_string() } else { p.channels.join(", ") };
                    (p.name.clone(), format!("{}; by {ways}", p.roles.join(", ")))
                })
                .collect(),
            "[[rota]]" => directory.rotas.iter().map(|r| (r.id.clone(), on_duty(directory, r, now))).collect(),
            _ => Vec::new(),
        }
    };
    let part = |(at, section): (usize, &crate::workflow::overview::Section)| {
        let own = of_table(&section.table);
        Part {
            id: format!("part-{at}"),
            table: section.table.clone(),
            title: section.title.clone(),
            place: section.place.clone(),
            lines: if own.is_empty() { section.lines.clone() } else { own },
            policies: match section.table.as_str() {
                "[[policy]]" => settings.policies.iter().map(draw).collect(),
                _ => Vec::new(),
            },
        }
    };
    let status = web.house.status(now).await;
    let parts: Vec<Part> = overview.sections.iter().enumerate().map(part).collect();
    let is_set =
        |p: &Part| p.place.is_some() || !p.policies.is_empty() || p.lines.iter().any(|(name, _)| !name.is_empty());
    let (parts, absent): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(is_set);
    let without = |p: Part| (p.title, p.table, p.lines.into_iter().next().map(|(_, text)| text).unwrap_or_default());
    show_template(&SettingsPage {
        frame: frame(&web, &caller, "settings").await,
        file: overview.file.clone(),
        parts,
        absent: absent.into_iter().map(without).collect(),
        rows: readiness_rows(&status, zone),
        status,
    })
}

fn draw(policy: &EscalationPolicy) -> Drawn {
    let mut steps: Vec<&Step> = policy.steps.iter().collect();
    steps.sort_by(|a, b| x_of(a.at).total_cmp(&x_of(b.at)));
    let mut last_x = -100.0;
    let mut row = 0;
    let drawn: Vec<DrawnStep> = steps
        .iter()
        .enumerate()
        .map(|(at, step)| {
            let x = x_of(step.at);
            // steps close to each other stand one over the other
            row = if x - last_x < 6.0 { row + 1 } else { 0 };
            last_x = x;
            DrawnStep {
                number: at + 1,
                x: percent(x),
                y: 62 - 20 * (row.min(2) as u32),
                shape: if x >= LIMIT_AT { "late" } else { "run" },
                when: when(step.at),
                text: what(step),
            }
        })
        .collect();
    let mut notes = Vec::new();
    if let Some(seconds) = policy.open_norm_target_seconds {
        notes.push(format!("A norm without a number: our target is {}", duration(seconds)));
    }
    if policy.include_unverified {
        notes.push("Also reminds about rows that are not verified".to_string());
    }
    if policy.quiet_hours.is_some() {
        notes.push("Quiet hours hold back what can wait".to_string());
    }
    Drawn {
        id: policy.id.clone(),
        summary: drawn.iter().map(|s| s.when.as_str()).collect::<Vec<_>>().join(", "),
        steps: drawn,
        notes,
        limit_x: percent(LIMIT_AT),
    }
}

/// Windows differ, so the drawing has no scale: near the ends a step stands nearer to them.
fn x_of(at: StepAt) -> f64 {
    let near = |seconds: i64, half: f64| {
        let hours = seconds.abs() as f64 / 3600.0;
        hours / (hours + half)
    };
    match at {
        StepAt::Start(seconds) => START_AT + (LIMIT_AT - START_AT) * 0.6 * near(seconds, 24.0),
        StepAt::Share(share) => START_AT + (LIMIT_AT - START_AT) * f64::from(share) / 100.0,
        StepAt::Due(seconds) if seconds < 0 => LIMIT_AT - (LIMIT_AT - START_AT) * 0.6 * near(seconds, 24.0),
        StepAt::Due(seconds) => LIMIT_AT + (97.0 - LIMIT_AT) * near(seconds, 12.0),
    }
}

fn when(at: StepAt) -> String {
    match at {
        StepAt::Start(0) => "when the clock starts".to_string(),
        StepAt::Start(seconds) => format!("{} after the start", duration(seconds)),
        StepAt::Due(0) => "at the earliest limit".to_string(),
        StepAt::Due(seconds) if seconds < 0 => format!("{} before the earliest limit", duration(-seconds)),
        StepAt::Due(seconds) => format!("{} after the earliest limit", duration(seconds)),
        StepAt::Share(share) => format!("after {share} % of the window"),
    }
}

fn what(step: &Step) -> String {
    let who = step.notify.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let ways = if step.channels.is_empty() { String::new() } else { format!(" by {}", step.channels.join(", ")) };
    let again = match step.repeat {
        None => String::new(),
        Some(Repeat::Seconds(seconds)) => format!(", again every {}", duration(seconds)),
        Some(Repeat::Share(share)) => format!(", again after each {share} % of the window"),
    };
    let needs = match step.needs.as_slice() {
        [] => String::new(),
        roles => format!("; {} must acknowledge", roles.join(" and ")),
    };
    format!("{who}{ways}{again}{needs}; who takes it has it for {}", duration(step.lease_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_stand_in_their_order() {
        let places = [
            StepAt::Start(0),
            StepAt::Start(3600),
            StepAt::Share(50),
            StepAt::Due(-7200),
            StepAt::Due(0),
            StepAt::Due(3600),
            StepAt::Due(90_000),
        ];
        let xs: Vec<f64> = places.into_iter().map(x_of).collect();
        assert!(xs.windows(2).all(|pair| pair[0] < pair[1]), "{xs:?}");
        assert!(xs.iter().all(|x| (0.0..=100.0).contains(x)), "{xs:?}");
    }
}
