//! The ways out: mail server, webhooks, channels, heartbeats, time-stamping authorities. Nothing is told to anybody,
//! unless test messages are asked for.

use super::Line;
use crate::config::{Config, StoreKind};
use crate::daemon::ids::SystemEntropy;
use crate::daemon::{clock, open};
use crate::escalation::readiness::people_of;
use crate::escalation::{Brief, Event, Extra, Message, Outcome, Reason, Target, Who};
use crate::evidence::tsp::Stamp;
use crate::law::IncidentId;
use crate::notify::authority::{self, Authority};
use crate::notify::email::{Email, Probe, Verdict};
use crate::notify::http::Reach;
use crate::notify::{Context, Notifiers, webhook};
use crate::store::PgStore;
use crate::time::{Timestamp, Zone};
use crate::workflow::Entropy;
use std::collections::BTreeSet;

/// The shared database, where there is one. It is asked its version; nothing is made in it.
pub async fn database(config: &Config) -> Option<Line> {
    let StoreKind::Postgres(settings) = &config.store else { return None };
    let check = "database";
    Some(match PgStore::reach(settings).await {
        Ok(version) => Line::ok(check, format!("`{}` answers, PostgreSQL {version}", settings.place())),
        Err(error) => Line::fault(check, error.to_string(), "nothing is taken in or sent until it answers"),
    })
}

pub async fn mail(config: &Config) -> Vec<Line> {
    let check = "mail";
    let people = addresses(config);
    let Some(settings) = open::notify_settings(config).smtp else {
        return match people.is_empty() {
            true => vec![Line::ok(check, "no policy reaches anybody by mail".into())],
            false => {
                let text = format!("there is no [smtp], and {} people are to be told by mail", people.len());
                vec![Line::fault(check, text, "add an [smtp] table")]
            }
        };
    };
    let email = match Email::from_settings(&settings) {
        Ok(email) => email,
        Err(error) => return vec![Line::fault(check, error.to_string(), "correct the setting")],
    };
    let asked: Vec<String> = people.iter().map(|(_, address)| address.clone()).collect();
    judge_mail(&email.probe(&asked, clock::now()).await, &people)
}

fn judge_mail(probe: &Probe, people: &[(String, String)]) -> Vec<Line> {
    let check = "mail";
    let mut lines = Vec::new();
    match &probe.server {
        Ok(name) => lines.push(Line::ok(check, format!("{name} can be used"))),
        Err(error) => {
            let remedy = "correct [smtp], or see to the server: no mail leaves until then";
            return vec![Line::fault(check, error.clone(), remedy)];
        }
    }
    match &probe.sender {
        None | Some(Verdict::Taken) => {}
        Some(Verdict::Later(said)) => {
            lines.push(Line::warning(
                check,
                format!("the server does not take the sender now: {said}"),
                "try again later",
            ));
            return lines;
        }
        Some(Verdict::Refused(said)) => {
            let remedy = "let the server take mail from `[smtp].from`, or change it";
            lines.push(Line::fault(check, format!("the server refuses the sender: {said}"), remedy));
            return lines;
        }
    }
    let mut taken = 0;
    for ((person, _), verdict) in people.iter().zip(&probe.recipients) {
        match verdict {
            Verdict::Taken => taken += 1,
            Verdict::Later(said) => {
                let text = format!("the server does not take mail for `{person}` now: {said}");
                lines.push(Line::warning(check, text, "try again; if it stays so, ask whoever runs the server"));
            }
            Verdict::Refused(said) => {
                let text = format!("the server refuses mail for `{person}`: {said}");
                lines.push(Line::fault(check, text, "correct the `email` of this person"));
            }
        }
    }
    lines.push(Line::ok(check, format!("the server takes mail for {taken} of {} people", people.len())));
    lines
}

/// People whom some policy may tell by mail, and their addresses.
fn addresses(config: &Config) -> Vec<(String, String)> {
    let mut found = BTreeSet::new();
    for target in targets(config) {
        if let Target::Email { person, address, .. } = target {
            found.insert((person, address));
        }
    }
    found.into_iter().collect()
}

/// Every way to every person of the policies, deputies included.
fn targets(config: &Config) -> BTreeSet<Target> {
    let steps: Vec<_> = config.policies.iter().flat_map(|policy| policy.steps.clone()).collect();
    let mut people = people_of(&steps, &config.directory);
    // a policy that names nobody falls back to everybody
    if people.is_empty() {
        people.extend(config.directory.people.iter().map(|p| p.id.clone()));
    }
    let ladders = people.into_iter().flat_map(|id| config.directory.ladders(&Who::Person(id), &[], clock::now()));
    ladders.flat_map(|ladder| ladder.rungs).collect()
}

pub async fn webhooks(config: &Config) -> Vec<Line> {
    let mut lines = Vec::new();
    for hook in &config.webhooks {
        let check = format!("webhook {}", hook.id);
        let remedy = "correct its `url`, or see to the receiver";
        lines.push(
            match webhook::reach(
                &hook.url,
                &Reach { allow_private: hook.allow_private, allow_hosts: hook.allow_hosts.clone(), ..Reach::default() },
                clock::now(),
            )
            .await
            {
                Ok(said) => Line::ok(&check, format!("{said}; no event was sent")),
                Err(error) => Line::fault(&check, error, remedy),
            },
        );
    }
    lines
}

/// Rooms, paging services, text messages.
pub async fn channels(config: &Config) -> Vec<Line> {
    let mut lines = Vec::new();
    for channel in &config.channels {
        let check = format!("channel {}", channel.id);
        lines.push(match channel.probe(clock::now()).await {
            // whether it takes the key and knows the room shows a message only
            Ok(said) => Line::ok(&check, format!("{said}; no message was sent, `breachclock doctor --send` sends one")),
            Err(error) => Line::fault(&check, error, "correct its settings, or see to the service"),
        });
    }
    lines
}

pub async fn heartbeats(config: &Config) -> Vec<Line> {
    let check = "heartbeat";
    if config.watchdog.ping.is_empty() {
        let text = "no machine but this one would notice that the daemon stands still";
        let remedy = "give `[watchdog].ping` an address at a service that calls when pings stay away";
        return vec![Line::warning(check, text.into(), remedy)];
    }
    let mut lines = Vec::new();
    for url in &config.watchdog.ping {
        lines.push(match webhook::reach(url, &Reach { allow_private: true, ..Reach::default() }, clock::now()).await {
            Ok(said) => Line::ok(check, format!("{said}; it was not pinged")),
            Err(error) => Line::fault(check, error, "correct `[watchdog].ping`, or see to the service"),
        });
    }
    lines
}

/// Asks each authority for a time stamp over a random number, and checks it as the daemon does.
pub async fn time_stamps(config: &Config) -> Vec<Line> {
    let check = "time-stamping";
    if config.timestamp.authorities.is_empty() {
        let remedy = "name an authority (RFC 3161) in `[timestamp].authorities`";
        return vec![Line::warning(check, "no time-stamping authority witnesses the log".into(), remedy)];
    }
    let mut lines = Vec::new();
    for settings in &config.timestamp.authorities {
        lines.push(match stamp(settings).await {
            Ok(stamp) if stamp.trusted => {
                Line::ok(check, format!("authority `{}` stamps, by a certificate you trust", settings.name))
            }
            Ok(_) => {
                let text = format!("authority `{}` stamps, and nobody says whose certificate it is", settings.name);
                Line::warning(check, text, "download the certificate of its root and name it as `ca_file`")
            }
            Err(error) => Line::fault(check, error, "name another authority, or see to the connection"),
        });
    }
    lines
}

async fn stamp(settings: &authority::Settings) -> Result<Stamp, String> {
    let authority = Authority::from_settings(settings).map_err(|fault| fault.problem)?;
    let (mut hash, mut nonce) = ([0; 32], [0; 8]);
    let entropy = SystemEntropy::new();
    entropy.fill(&mut hash);
    entropy.fill(&mut nonce);
    authority.stamp(&hash, nonce).await.map(|(_, stamp)| stamp)
}

/// Sends a marked test message to every person of the policies by each way, to every webhook and every channel.
pub async fn send(config: &Config, id: &str) -> Vec<Line> {
    let notifiers = match Notifiers::from_settings(&open::notify_settings(config)) {
        Ok(notifiers) => notifiers,
        Err(error) => return vec![Line::fault("test messages", error.to_string(), "correct the setting")],
    };
    let now = clock::now();
    // it is about nothing that has a page
    let context = Context { now, wall: now, public_url: String::new(), checkpoint: None, drill: false };
    let mut all = targets(config);
    all.extend(config.webhooks.iter().map(|hook| Target::Webhook { id: hook.id.clone() }));
    let room = |id: &String| Target::Channel { id: id.clone(), person: None, name: id.clone(), address: None };
    all.extend(config.directory.channels.iter().map(room));
    let mut lines = Vec::new();
    for target in all {
        let check = format!("test to {}", target.label());
        if !notifiers.wants(&target, Event::DaemonSelfTest) && matches!(target, Target::Webhook { .. }) {
            let text = format!("it takes no `{}` events: none was sent", Event::DaemonSelfTest.as_str());
            lines.push(Line::unknown(&check, text, "add the event to its `events` to test it so"));
            continue;
        }
        lines.push(match notifiers.deliver(&test_message(target, id, now), &context).await {
            Outcome::HandedOver { answer } => Line::ok(&check, format!("handed over: {answer}")),
            Outcome::Retry { error, .. } => Line::fault(&check, error, "see to it, and test again"),
            Outcome::Refused { error } => Line::fault(&check, error, "correct the setting or the address"),
            Outcome::Withdrawn { why } => Line::unknown(&check, why, "test again"),
        });
    }
    lines
}

fn test_message(target: Target, id: &str, now: Timestamp) -> Message {
    let text = String::new;
    Message {
        key: format!("doctor/{id}/{}", target.label()),
        event: Event::DaemonSelfTest,
        incident: IncidentId::house(),
        obligation: None,
        target,
        reason: Reason { policy: "doctor".into(), step: "self-test".into(), repeat: 0, due_at: now, coalesced: 0 },
        created_at: now,
        urgent_at: now,
        brief: Brief {
            incident_title: text(),
            entity: text(),
            duty_title: text(),
            duty: None,
            jurisdiction: text(),
            recipient_name: text(),
            law: text(),
            citation: text(),
            standing: text(),
            missing: Vec::new(),
            promptly: None,
            due: None,
            conservative_due: None,
            zone: Zone::UTC,
            started_key: None,
            started_at: None,
            holder: None,
            told: Vec::new(),
            next: None,
            because: None,
            also: Vec::new(),
        },
        ack_token: None,
        extra: Extra { note: Some("Sent by `breachclock doctor --send`.".into()), ..Extra::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn what_a_mail_server_says() {
        let people =
            [("lea", "lea@x.example"), ("ines", "ines@x.example")].map(|(p, a)| (p.to_string(), a.to_string()));
        let probe = |sender: Verdict, recipients: Vec<Verdict>| Probe {
            server: Ok("mail server `x:25`".into()),
            sender: Some(sender),
            recipients,
        };
        let said = || "said".to_string();
        let (ok, warning, fault) = (State::Ok, State::Warning, State::Fault);
        for (probe, wanted) in [
            (probe(Verdict::Taken, vec![Verdict::Taken, Verdict::Taken]), vec![ok, ok]),
            (
                probe(Verdict::Taken, vec![Verdict::Refused(said()), Verdict::Later(said())]),
                vec![ok, fault, warning, ok],
            ),
            (probe(Verdict::Refused(said()), vec![]), vec![ok, fault]),
            (probe(Verdict::Later(said()), vec![]), vec![ok, warning]),
            (Probe { server: Err(said()), sender: None, recipients: vec![] }, vec![fault]),
        ] {
            let states: Vec<State> = judge_mail(&probe, &people).iter().map(|line| line.state).collect();
            assert_eq!(states, wanted, "{probe:?}");
        }
    }
}
