//! Scenarios on a manual clock: reports, acknowledgements, late facts and filings in; dates, reminders and evidence out.
//! One behaviour, one file under `tests/scenarios`; time is moved, never slept.

use crate::support::postgres;
use crate::support::{at, caller, house, run_refusing, settings, whole};
use breachclock::config;
use breachclock::escalation::{EscalationPolicy, Message, Quiet, Repeat, Step, StepAt, Who, duration};
use breachclock::store::{MemoryStore, Store};
use breachclock::time::Timestamp;
use breachclock::workflow::{AckRequest, FilingRequest, House, Role, Settings};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

const ORIGIN: &str = "test.example/log";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    why: String,
    start: String,
    /// Only messages about this obligation count for `sent`.
    about: String,
    report: toml::Table,
    #[serde(default)]
    policy: Vec<PolicyStep>,
    /// People, rotas, channels, policies in the words of a configuration file, instead of `policy`.
    config: Option<String>,
    /// Lines of `sent` also tell repeats, fall-overs and quiet hours.
    #[serde(default)]
    detail: bool,
    #[serde(default)]
    then: Vec<Act>,
    /// Entry kinds the incident's stream must hold, with how often.
    #[serde(default)]
    entries: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyStep {
    at: String,
    notify: Vec<String>,
    repeat: Option<String>,
    lease: Option<String>,
    #[serde(default)]
    needs: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Act {
    /// The clock runs to here first; every alarm on the way rings.
    at: String,
    /// What must have been sent on the way: `instant person step`, in order.
    sent: Option<Vec<String>>,
    /// From here on these targets refuse messages: `email:lea`, `sms:lea`.
    refuse: Option<Vec<String>>,
    assert: Option<toml::Table>,
    ack: Option<AckAct>,
    file: Option<FileAct>,
    /// Records the reasons for a delay.
    delay: Option<DelayAct>,
    /// Closing must be refused with these words.
    close_refused: Option<String>,
    #[serde(default)]
    want: Vec<Want>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AckAct {
    obligation: String,
    by: String,
    lease: Option<String>,
    #[serde(default)]
    decline: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileAct {
    obligation: String,
    at: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DelayAct {
    obligation: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Want {
    obligation: String,
    standing: Option<String>,
    due: Option<String>,
    conservative_due: Option<String>,
    projected_due: Option<String>,
    phase: Option<String>,
    holder: Option<String>,
    reasons_missing: Option<bool>,
    /// Citation of the duty to announce a delay before the limit.
    delay_notice: Option<String>,
}

fn policy(steps: &[PolicyStep]) -> Vec<EscalationPolicy> {
    if steps.is_empty() {
        return Vec::new();
    }
    let seconds = |text: &Option<String>| text.as_deref().map(|t| duration(t).expect("a duration"));
    let steps = steps
        .iter()
        .map(|s| Step {
            name: s.at.clone(),
            at: StepAt::parse(&s.at).expect("a step"),
            notify: s.notify.iter().map(|w| Who::parse(w).expect("somebody")).collect(),
            channels: Vec::new(),
            repeat: s.repeat.as_deref().map(|text| Repeat::parse(text).expect("a repeat")),
            needs: s.needs.clone(),
            lease_seconds: seconds(&s.lease).unwrap_or(4 * 3600),
        })
        .collect();
    vec![EscalationPolicy::new("scenario", steps)]
}

/// The settings of a scenario that brings a configuration.
fn configured(text: &str) -> Result<Settings, String> {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("breachclock.toml");
    std::fs::write(&file, format!("[data]\ndir = \"data\"\n{text}")).expect("written");
    let config =
        config::load(&file).map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    Ok(Settings {
        directory: config.directory,
        policies: config.policies,
        routes: config.routes,
        ..settings(Vec::new())
    })
}

fn line(at: Timestamp, message: &Message, detail: bool) -> String {
    let label = message.target.label();
    let who = label.strip_prefix("email:").unwrap_or(&label);
    let mut line = format!("{} {who} {}", breachclock::rules::utc(at), message.reason.step);
    if detail {
        let extra = &message.extra;
        if message.reason.repeat > 0 {
            line.push_str(&format!(" #{}", message.reason.repeat));
        }
        if let Some(after) = &extra.after {
            line.push_str(&format!(", {after}"));
        }
        match &extra.quiet {
            Some(Quiet::Deferred { .. }) => line.push_str(", deferred"),
            Some(Quiet::Overridden { .. }) => line.push_str(", in quiet hours"),
            None => {}
        }
        for ask in &extra.asks {
            line.push_str(&format!(", {} of {}", ask.what.as_str(), ask.obligation));
        }
    }
    line
}

fn is_about(message: &Message, obligation: &str) -> bool {
    message.obligation.as_deref() == Some(obligation) || message.brief.also.iter().any(|a| a.obligation == obligation)
}

async fn play<S: Store>(scenario: &Scenario, store: S) -> Result<(), String> {
    let settings = match &scenario.config {
        Some(text) => configured(text)?,
        None => settings(policy(&scenario.policy)),
    };
    let house: House<S> = house(store, settings);
    let mut refusing: Vec<String> = Vec::new();
    let responder = caller(Role::Admin);
    let mut now = at(&scenario.start);
    let report = toml::to_string(&scenario.report).map_err(|e| e.to_string())?;
    let reported = house.report(&responder, &report, None, now).await.map_err(|e| e.to_string())?;
    let id = reported.incident.id;
    let full = |local: &str| format!("{id}~{local}");
    for act in &scenario.then {
        let until = at(&act.at);
        let sent = run_refusing(&house, &refusing, now, until).await;
        now = until;
        if let Some(wanted) = &act.sent {
            let is: Vec<String> = sent
                .iter()
                .filter(|(_, m)| is_about(m, &scenario.about))
                .map(|(at, message)| line(*at, message, scenario.detail))
                .collect();
            if is != *wanted {
                return Err(format!("by {}: sent\n  {}\nwanted\n  {}", act.at, is.join("\n  "), wanted.join("\n  ")));
            }
        }
        if let Some(targets) = &act.refuse {
            refusing.clone_from(targets);
        }
        if let Some(facts) = &act.assert {
            let text = toml::to_string(facts).map_err(|e| e.to_string())?;
            house.assert_facts(&responder, &id, &text, None, None, now).await.map_err(|e| e.to_string())?;
        }
        if let Some(ack) = &act.ack {
            let ask = AckRequest {
                lease_seconds: ack.lease.as_deref().map(|l| duration(l).expect("a duration")),
                by: Some(ack.by.clone()),
                role: None,
                decline: ack.decline,
            };
            house.acknowledge(&responder, &full(&ack.obligation), ask, None, now).await.map_err(|e| e.to_string())?;
        }
        if let Some(file) = &act.file {
            let ask = FilingRequest { at: file.at.as_deref().map(at), ..FilingRequest::default() };
            house.file(&responder, &full(&file.obligation), ask, None, now).await.map_err(|e| e.to_string())?;
        }
        if let Some(delay) = &act.delay {
            let id = full(&delay.obligation);
            house.delay(&responder, &id, &delay.reason, None, now).await.map_err(|e| e.to_string())?;
        }
        if let Some(words) = &act.close_refused {
            let refused =
                house.close(&responder, &id, None, None, now).await.err().map(|e| e.to_string()).unwrap_or_default();
            if !refused.contains(words) {
                return Err(format!("at {}: closing should be refused with `{words}`, is `{refused}`", act.at));
            }
        }
        for want in &act.want {
            let view = house
                .obligation(&responder, &full(&want.obligation), now)
                .await
                .map_err(|e| format!("{}: {e}", want.obligation))?;
            let checks = [
                ("standing", want.standing.clone(), Some(view.law.standing.to_string())),
                ("due", want.due.clone(), view.law.due.clone()),
                ("conservative_due", want.conservative_due.clone(), view.law.conservative_due.clone()),
                ("projected_due", want.projected_due.clone(), view.law.projected_due.clone()),
                ("phase", want.phase.clone(), view.law.phase.map(str::to_string)),
                (
                    "reasons_missing",
                    want.reasons_missing.map(|yes| yes.to_string()),
                    Some(view.reasons_missing.to_string()),
                ),
                ("delay_notice", want.delay_notice.clone(), view.law.delay_notice.as_ref().map(|n| n.citation.clone())),
                ("holder", want.holder.clone(), view.holder.map(|h| h.name).or(Some("nobody".into()))),
            ];
            for (what, wanted, is) in checks {
                if wanted.is_some() && wanted != is {
                    return Err(format!(
                        "at {}: {} of {} should be {wanted:?}, is {is:?}",
                        act.at, what, want.obligation
                    ));
                }
            }
        }
    }
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for entry in house.evidence_entries(&responder, &id).await.map_err(|e| e.to_string())? {
        *kinds.entry(entry["type"].as_str().unwrap_or_default().to_string()).or_default() += 1;
    }
    for (kind, wanted) in &scenario.entries {
        let is = kinds.get(kind).copied().unwrap_or(0);
        if is != *wanted {
            return Err(format!("{is} entries of `{kind}`, wanted {wanted}; the stream holds {kinds:?}"));
        }
    }
    house.attest(now).await.map_err(|e| e.to_string())?;
    house.check_log().await?;
    let book = house.book();
    whole(&*house.store, &mut |_| Ok(book.clone())).await
}

#[tokio::test]
async fn every_scenario_plays() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut paths: Vec<_> =
        std::fs::read_dir(&folder).expect("scenarios").map(|e| e.expect("an entry").path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "toml"));
    paths.sort();
    assert!(paths.len() >= 3, "scenarios are missing");
    let mut faults = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_string();
        let text = std::fs::read_to_string(&path).expect("readable");
        let scenario: Scenario = match toml::from_str(&text) {
            Ok(scenario) => scenario,
            Err(error) => {
                faults.push(format!("{name}: {error}"));
                continue;
            }
        };
        let shared = postgres::open(&postgres::cluster().database(), ORIGIN).await.expect("opens");
        for (store, played) in
            [("memory", play(&scenario, MemoryStore::new(ORIGIN)).await), ("postgres", play(&scenario, shared).await)]
        {
            if let Err(fault) = played {
                faults.push(format!("{name} in {store} ({}): {fault}", scenario.why));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}
