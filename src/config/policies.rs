//! Escalation policies and routes of a configuration, checked until every step can reach somebody and be answered.

use super::people::{is_known, minutes};
use super::{Checker, RawEntity};
use crate::escalation::{Directory, EscalationPolicy, QuietHours, Repeat, Route, Step, StepAt, Who, duration};
use crate::law::nearest_of;
use crate::rules::did_you_mean;
use crate::time::Zone;
use serde::Deserialize;
use std::collections::BTreeMap;

const DEFAULT_LEASE_SECONDS: i64 = 4 * 3600;
/// Reminders that ask for reasons: often enough to be answered while they are known, seldom enough to be read.
const REASONS_AT_LEAST_SECONDS: i64 = 3600;
const REASONS_AT_MOST_SECONDS: i64 = 7 * 86_400;

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPolicy {
    id: String,
    #[serde(default)]
    step: Vec<RawStep>,
    quiet_hours: Option<RawQuietHours>,
    fall_over: Option<String>,
    open_norm_target: Option<String>,
    delay_notice: Option<String>,
    reasons_every: Option<String>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct RawStep {
    at: String,
    notify: Vec<String>,
    #[serde(default)]
    channels: Vec<String>,
    repeat: Option<String>,
    #[serde(default)]
    needs: Vec<String>,
    lease: Option<String>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct RawQuietHours {
    zone: String,
    from: String,
    to: String,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRoute {
    policy: String,
    #[serde(default)]
    entities: Vec<String>,
    #[serde(default)]
    duties: Vec<String>,
    #[serde(default)]
    facts: BTreeMap<String, toml::Value>,
}

impl Checker<'_> {
    pub(super) fn policies(
        &mut self,
        policies: Vec<RawPolicy>,
        routes: Vec<RawRoute>,
        directory: &Directory,
        entities: &[RawEntity],
        include_unverified: bool,
    ) -> (Vec<EscalationPolicy>, Vec<Route>) {
        let mut checked: Vec<EscalationPolicy> = Vec::new();
        for policy in policies {
            if checked.iter().any(|p| p.id == policy.id) {
                self.fault(&policy.id, format!("[[policy]] `{}` is given twice; give each its own id", policy.id));
            }
            let policy = self.policy(policy, directory);
            checked.push(EscalationPolicy { include_unverified, ..policy.never_silent() });
        }
        if checked.is_empty() {
            checked.push(default_policy(include_unverified));
        }
        let routes = routes.into_iter().map(|route| self.route(route, &checked, entities)).collect();
        (checked, routes)
    }

    fn policy(&mut self, raw: RawPolicy, directory: &Directory) -> EscalationPolicy {
        if raw.step.is_empty() {
            self.fault(&raw.id, format!("policy `{}` has no [[policy.step]]: nobody would be told", raw.id));
        }
        let mut steps: Vec<Step> = Vec::new();
        for step in raw.step {
            let step = self.step(&raw.id, step, directory);
            let same = |other: &&Step| {
                other.at == step.at
                    && step.notify.iter().all(|w| other.notify.contains(w))
                    && other.channels == step.channels
            };
            if steps.iter().find(same).is_some() {
                self.fault(
                    &step.name,
                    format!(
                        "step `{}` of policy `{}` tells nobody whom an earlier step does not tell at the same instant: it is never reached",
                        step.name, raw.id
                    ),
                );
            }
            steps.push(step);
        }
        let mut policy = EscalationPolicy::new(&raw.id, steps);
        policy.quiet_hours = raw.quiet_hours.and_then(|quiet| self.quiet_hours(&raw.id, quiet));
        if let Some(text) = &raw.fall_over {
            match text.strip_suffix('%').and_then(|share| share.parse().ok()).filter(|share| (1..=50).contains(share)) {
                Some(share) => policy.fall_over_percent = share,
                None => self.fault(
                    text,
                    format!("`fall_over` is `{text}`; write the share of the time left, from `1%` to `50%`"),
                ),
            }
        }
        policy.delay_notice_at = raw.delay_notice.as_deref().and_then(|text| self.before_limit(text));
        if let Some(text) = &raw.reasons_every
            && let Some(seconds) = self.seconds(text)
        {
            match seconds {
                REASONS_AT_LEAST_SECONDS..=REASONS_AT_MOST_SECONDS => policy.reasons_every_seconds = seconds,
                _ => self.fault(text, format!("`reasons_every` is `{text}`; write a time from `1h` to `7d`")),
            }
        }
        policy.open_norm_target_seconds = raw.open_norm_target.as_deref().and_then(|text| self.seconds(text));
        policy
    }

    /// A warning to send a notice of delay comes before the limit, or it is none.
    fn before_limit(&mut self, text: &str) -> Option<StepAt> {
        match StepAt::parse(text) {
            Ok(at @ (StepAt::Share(1..=99) | StepAt::Due(..=-60))) => Some(at),
            _ => {
                let wrong = "it is a time before the limit: write `due-2h`, or a share of the window such as `75%`";
                self.fault(text, format!("`delay_notice` is `{text}`; {wrong}"));
                None
            }
        }
    }

    fn step(&mut self, policy: &str, raw: RawStep, directory: &Directory) -> Step {
        let at = StepAt::parse(&raw.at).unwrap_or_else(|error| {
            self.fault(&raw.at, error);
            StepAt::Due(0)
        });
        let mut notify = Vec::new();
        if raw.notify.is_empty() {
            self.fault(&raw.at, format!("step `{}` of policy `{policy}` tells nobody; fill `notify`", raw.at));
        }
        for text in &raw.notify {
            match Who::parse(text) {
                Ok(who) => {
                    if !is_known(&who, directory) {
                        let hint = hint(&who, directory);
                        self.fault(
                            text,
                            format!(
                                "step `{}` of policy `{policy}` tells `{text}`, which nothing describes{hint}",
                                raw.at
                            ),
                        );
                    }
                    notify.push(who);
                }
                Err(error) => self.fault(text, error),
            }
        }
        self.step_channels(policy, &raw, directory);
        for role in raw.needs.iter().filter(|role| !directory.people.iter().any(|p| p.roles.contains(role))) {
            let roles = directory.people.iter().flat_map(|p| p.roles.iter().map(String::as_str));
            let hint = did_you_mean(&nearest_of(role, roles));
            self.fault(
                role,
                format!(
                    "step `{}` of policy `{policy}` needs role `{role}`, which no [[person]] has: nobody could acknowledge it{hint}",
                    raw.at
                ),
            );
        }
        let repeat = raw.repeat.as_deref().and_then(|text| {
            Repeat::parse(text).map_err(|error| self.fault(text, error)).ok().inspect(|repeat| {
                if matches!(repeat, Repeat::Seconds(seconds) if *seconds < 60) {
                    self.fault(text, "`repeat` is shorter than a minute");
                }
            })
        });
        let lease_seconds = raw.lease.as_deref().and_then(|text| self.seconds(text)).unwrap_or(DEFAULT_LEASE_SECONDS);
        Step { name: raw.at, at, notify, channels: raw.channels, repeat, needs: raw.needs, lease_seconds }
    }

    /// Each named channel must exist, and some person with a role in this installation must have an address on it.
    fn step_channels(&mut self, policy: &str, raw: &RawStep, directory: &Directory) {
        for channel in raw.channels.iter().filter(|c| *c != "email") {
            let reached = directory.people.iter().any(|p| p.addresses.contains_key(channel));
            if !directory.channels.contains(channel) {
                let known = directory.channels.iter().map(String::as_str).chain(["email"]);
                let hint = did_you_mean(&nearest_of(channel, known));
                self.fault(
                    channel,
                    format!(
                        "step `{}` of policy `{policy}` uses channel `{channel}`, which has no settings; add a [[channel]] with this id, or use `email`{hint}",
                        raw.at
                    ),
                );
            } else if !reached {
                self.fault(
                    channel,
                    format!(
                        "step `{}` of policy `{policy}` uses channel `{channel}`, on which no [[person]] has an address; give `addresses`, or tell the place with `channel:{channel}`",
                        raw.at
                    ),
                );
            }
        }
    }

    fn seconds(&mut self, text: &str) -> Option<i64> {
        match duration(text) {
            Ok(0) => {
                self.fault(text, format!("`{text}` is no time; give more than nothing"));
                None
            }
            Ok(seconds) => Some(seconds),
            Err(error) => {
                self.fault(text, error);
                None
            }
        }
    }

    fn quiet_hours(&mut self, policy: &str, raw: RawQuietHours) -> Option<QuietHours> {
        let zone = Zone::named(&raw.zone).map_err(|error| self.fault(&raw.zone, error.to_string())).ok();
        let mut time = |text: &str| {
            minutes(text).or_else(|| {
                self.fault(text, format!("`{text}` in the quiet hours of policy `{policy}` is no time; write `22:00`"));
                None
            })
        };
        let (from, to) = (time(&raw.from), time(&raw.to));
        let quiet = QuietHours { zone: zone?, from: from?, to: to? };
        if quiet.from == quiet.to {
            self.fault(&raw.from, format!("the quiet hours of policy `{policy}` last all day or not at all"));
            return None;
        }
        Some(quiet)
    }

    fn route(&mut self, raw: RawRoute, policies: &[EscalationPolicy], entities: &[RawEntity]) -> Route {
        if !policies.iter().any(|p| p.id == raw.policy) {
            let hint = did_you_mean(&nearest_of(&raw.policy, policies.iter().map(|p| p.id.as_str())));
            self.fault(
                &raw.policy,
                format!("a route names policy `{}`, which no [[policy]] describes{hint}", raw.policy),
            );
        }
        for id in raw.entities.iter().filter(|id| !entities.iter().any(|e| e.id == **id)) {
            let hint = did_you_mean(&nearest_of(id, entities.iter().map(|e| e.id.as_str())));
            self.fault(id, format!("a route names entity `{id}`, which no [[entity]] describes{hint}"));
        }
        let mut facts = BTreeMap::new();
        for (key, value) in raw.facts {
            let values = match value {
                toml::Value::Array(values) => values,
                one => vec![one],
            };
            let words: Vec<String> = values.iter().filter_map(word).collect();
            if words.len() != values.len() || words.is_empty() {
                self.fault(
                    &key,
                    format!("`{key}` of a route is no plain value; write `high`, `true`, or a list of such"),
                );
            }
            facts.insert(key, words);
        }
        Route { policy: raw.policy, entities: raw.entities, duties: raw.duties, facts }
    }
}

fn word(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        toml::Value::Integer(n) => Some(n.to_string()),
        _ => None,
    }
}

fn hint(who: &Who, directory: &Directory) -> String {
    let near = match who {
        Who::Person(id) => nearest_of(id, directory.people.iter().map(|p| p.id.as_str())),
        Who::Role(id) => nearest_of(id, directory.people.iter().flat_map(|p| p.roles.iter().map(String::as_str))),
        Who::Rota(id) => nearest_of(id, directory.rotas.iter().map(|r| r.id.as_str())),
        Who::Group(id) => nearest_of(id, directory.groups.iter().map(|g| g.id.as_str())),
        Who::Webhook(id) => nearest_of(id, directory.webhooks.iter().map(String::as_str)),
        Who::Channel(id) => nearest_of(id, directory.channels.iter().map(String::as_str)),
    };
    did_you_mean(&near)
}

/// Shipped for installations that state none: sensible for windows from half an hour to two months, as its repeats are
/// shares of the window. `tests/scenarios/default-policy.toml` shows its schedule.
pub fn default_policy(include_unverified: bool) -> EscalationPolicy {
    let step = |at: &str, repeat: Repeat, notify: &[Who]| Step {
        name: at.to_string(),
        at: StepAt::parse(at).expect("the built-in policy is well-formed"),
        notify: notify.to_vec(),
        channels: Vec::new(),
        repeat: Some(repeat),
        needs: Vec::new(),
        lease_seconds: DEFAULT_LEASE_SECONDS,
    };
    // roles nobody has reach everybody: a default must never be silent
    let team = [Who::Role("security-lead".into())];
    let deciders = [Who::Role("security-lead".into()), Who::Role("dpo".into())];
    let all = [Who::Role("security-lead".into()), Who::Role("dpo".into()), Who::Role("counsel".into())];
    EscalationPolicy {
        include_unverified,
        ..EscalationPolicy::new(
            "default",
            vec![
                step("start", Repeat::Share(10), &team),
                step("50%", Repeat::Share(10), &deciders),
                step("75%", Repeat::Share(5), &all),
                step("90%", Repeat::Share(1), &all),
                step("due", Repeat::Seconds(1800), &all),
            ],
        )
    }
}
