//! Channels: chat rooms, paging services, push and text messages. Each is one guarded HTTP request per message.
//!
//! A service's file says how its request looks and which settings it takes; everything else is here: checking settings,
//! sending, and what an answer means. No service is asked to acknowledge anything: links lead to our own pages.

mod mattermost;
mod ntfy;
mod opsgenie;
mod pagerduty;
mod slack;
mod sms;
mod teams;

pub use super::http::{Fault, Limits, Reach};

use super::http::{Answer, Client, Request, StatusCode, Url, check_url};
use super::links::{ack_url, base, is_about_the_house};
use super::render::{Urgency, short};
use super::webhook::webhook_id;
use super::words::one_line;
use super::{BoxFuture, Context, Notifier, Secret, SettingsError, key_hash};
use crate::escalation::{Event, Message, Outcome, Target};
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// Every kind of channel. A new one is a file and a line here.
pub const KINDS: [&Kind; 7] =
    [&slack::KIND, &teams::KIND, &mattermost::KIND, &pagerduty::KIND, &opsgenie::KIND, &ntfy::KIND, &sms::KIND];

/// What a service is like, apart from its requests.
pub struct Kind {
    /// The word for `kind`.
    pub name: &'static str,
    /// Settings besides `id`, `kind`, `allow_private`, `allow_hosts` and `ca_file`, which every channel has.
    pub takes: &'static [Takes],
    /// Takes a table `headers`.
    pub headers: bool,
    pub address: Address,
    /// The setting without which it reaches people only, not a place; none when its url is the place.
    pub place: Option<&'static str>,
    build: fn(&Settings) -> Result<Box<dyn Service>, Fault>,
}

/// A setting of a kind.
pub struct Takes {
    pub name: &'static str,
    pub required: bool,
    /// What to write, for errors.
    pub example: &'static str,
}

const fn required(name: &'static str, example: &'static str) -> Takes {
    Takes { name, required: true, example }
}

const fn optional(name: &'static str, example: &'static str) -> Takes {
    Takes { name, required: false, example }
}

/// What `addresses` of a person may say for a channel.
#[derive(Clone, Copy)]
pub enum Address {
    /// Nothing: whoever reads there is decided by the service.
    None,
    /// May be left out, then the message goes where the channel's settings say.
    Optional(Form),
    /// Without one the person cannot be reached there.
    Needed(Form),
}

/// The form of an address.
#[derive(Clone, Copy)]
pub struct Form {
    /// What to write.
    pub example: &'static str,
    pub fits: fn(&str) -> bool,
}

/// One `[[channel]]`. Secrets are resolved.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub id: String,
    pub kind: String,
    /// The kind's own settings, by name. All are kept as secrets: an url may hold a token.
    pub values: BTreeMap<String, Secret>,
    pub headers: BTreeMap<String, Secret>,
    pub reach: Reach,
}

impl Settings {
    /// The kind, if there is one of that name.
    pub fn known_kind(&self) -> Option<&'static Kind> {
        KINDS.into_iter().find(|kind| kind.name == self.kind)
    }

    /// Can it be told as a place, without a person?
    pub fn is_place(&self) -> bool {
        self.known_kind().is_some_and(|kind| kind.place.is_none_or(|setting| self.values.contains_key(setting)))
    }

    /// Can a person with this address of their own, or with none, be told by it? The error says what to write.
    pub fn check_address(&self, address: Option<&str>) -> Result<(), String> {
        let Some(kind) = self.known_kind() else { return Ok(()) };
        let wrong = |address: &str, form: Form| format!("`{address}` is no address for it; write {}", form.example);
        match (kind.address, address) {
            (Address::None, None) | (Address::Optional(_), None) => Ok(()),
            (Address::None, Some(_)) => {
                let name = kind.name;
                Err(format!("kind `{name}` writes where its settings say and has no addresses of people; leave it out"))
            }
            (Address::Needed(form), None) => {
                let id = &self.id;
                Err(format!("an address is missing; write `addresses = {{ {id} = {} }}`", form.example))
            }
            (Address::Needed(form) | Address::Optional(form), Some(address)) => {
                if (form.fits)(address) {
                    Ok(())
                } else {
                    Err(wrong(address, form))
                }
            }
        }
    }

    /// Asks the root of its server, which tells nobody anything, and answers the status it gave.
    ///
    /// # Errors
    /// A setting that is wrong, or why the server cannot be reached.
    pub async fn probe(&self, now: Timestamp) -> Result<String, String> {
        let service = self.service().map_err(|fault| format!("{}: {}", fault.key, fault.problem))?;
        super::webhook::reach(&service.server(), &self.reach, now).await
    }

    /// Checks everything that needs no file and no network.
    pub fn check(&self) -> Result<(), Fault> {
        self.service().map(|_| ())
    }

    fn service(&self) -> Result<Box<dyn Service>, Fault> {
        if self.id.is_empty() || !self.id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
            return Err(Fault::new("id", format!("`{}` is no id; use letters, digits, `-` and `_`", self.id)));
        }
        if matches!(self.id.as_str(), "email" | "webhook") {
            return Err(Fault::new("id", format!("`{}` is a word of policies; give the channel another id", self.id)));
        }
        let Some(kind) = self.known_kind() else {
            let names = KINDS.map(|kind| format!("`{}`", kind.name)).join(", ");
            return Err(Fault::new("kind", format!("`{}` is no kind of channel; write one of {names}", self.kind)));
        };
        let taken = || kind.takes.iter().map(|takes| format!("`{}`", takes.name)).collect::<Vec<_>>().join(", ");
        for name in self.values.keys().map(String::as_str).chain((!self.headers.is_empty()).then_some("headers")) {
            if kind.takes.iter().any(|takes| takes.name == name) || (name == "headers" && kind.headers) {
                continue;
            }
            let others = KINDS.into_iter().filter(|other| other.takes.iter().any(|takes| takes.name == name));
            let others = others.map(|other| format!("`{}`", other.name)).collect::<Vec<_>>().join(", ");
            let problem = match others.is_empty() && name != "headers" {
                true => format!("`{name}` is no setting of a channel; kind `{}` takes {}", kind.name, taken()),
                false => {
                    let others = if name == "headers" { "`sms`".to_string() } else { others };
                    format!("`{name}` is a setting of kind {others}; kind `{}` takes {}", kind.name, taken())
                }
            };
            return Err(Fault::new(name, problem));
        }
        for takes in kind.takes.iter().filter(|takes| takes.required) {
            if self.values.get(takes.name).is_none_or(|value| value.expose().trim().is_empty()) {
                let problem = format!("is missing; kind `{}` needs `{} = {}`", kind.name, takes.name, takes.example);
                return Err(Fault::new(takes.name, problem));
            }
        }
        (kind.build)(self)
    }

    /// A setting that was checked to be there, or its default.
    fn value<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.values.get(name).map_or(default, |value| value.expose().trim())
    }

    /// The url, checked. Its path may be a secret and is in no error.
    fn url(&self, default: &str) -> Result<Url, Fault> {
        let text = self.value("url", default);
        check_url(text, &without_path(text), &self.reach)
    }
}

/// `https://hooks.example.org/services/T0/B0/x` → `https://hooks.example.org/…`.
fn without_path(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            // user and password are secrets too
            format!("{scheme}://{}/…", host.rsplit('@').next().unwrap_or_default())
        }
        None => "url".to_string(),
    }
}

/// How a service wants to be asked. Implementations must not read clocks, must give the same request for the same message
/// and instant, and must not put a setting into an error.
trait Service: Send + Sync {
    /// An address at its server; where a path follows, it may be a secret.
    fn server(&self) -> String;

    /// The request, or why the message cannot be sent this way.
    fn request(&self, message: &Message, context: &Context) -> Result<Request, String>;

    /// What to do about a refusal.
    fn remedy(&self, status: StatusCode) -> &'static str;

    /// What an answer means where the service has ways of its own; else its status decides.
    fn own_verdict(&self, message: &Message, answer: &Answer) -> Option<Outcome> {
        let _ = (message, answer);
        None
    }

    /// May the beginning of a refusal be told? Not where it could repeat a person's number.
    fn may_quote(&self) -> bool {
        true
    }
}

/// A configured channel.
pub struct Channel {
    id: String,
    service: Box<dyn Service>,
    secrets: Vec<Secret>,
    client: Client,
}

impl Channel {
    /// Checks every setting; reads the `ca_file`, connects to nobody.
    pub fn from_settings(settings: &Settings) -> Result<Channel, SettingsError> {
        Channel::with_limits(settings, Limits::default())
    }

    /// As [`Channel::from_settings`], with other time limits.
    pub fn with_limits(settings: &Settings, limits: Limits) -> Result<Channel, SettingsError> {
        let at = |Fault { key, problem }| SettingsError { at: format!("channel.{}.{key}", settings.id), problem };
        let service = settings.service().map_err(at)?;
        let client = Client::new(format!("channel `{}`", settings.id), &settings.reach, limits).map_err(at)?;
        let secrets = settings.values.values().chain(settings.headers.values()).cloned().collect();
        Ok(Channel { id: settings.id.clone(), service, secrets, client })
    }

    async fn attempt(&self, message: &Message, context: &Context) -> Outcome {
        let request = match self.service.request(message, context) {
            Ok(request) => request.with("idempotency-key", &webhook_id(message)),
            Err(error) => return Outcome::Refused { error: format!("channel `{}`: {error}", self.id) },
        };
        match self.client.send(request, context.wall).await {
            Ok(answer) => self.judge(message, context, &answer),
            Err(outcome) => outcome,
        }
    }

    /// 2xx is success; 408, 425, 429 and 5xx are worth another try; everything else needs a person.
    fn judge(&self, message: &Message, context: &Context, answer: &Answer) -> Outcome {
        if let Some(outcome) = self.service.own_verdict(message, answer) {
            return outcome;
        }
        let (status, after_seconds) = (answer.status, answer.after_seconds);
        let said = format!("channel `{}` answered {status}", self.id);
        let quote = self.quote(message, context, &answer.text);
        match status {
            status if status.is_success() => Outcome::HandedOver { answer: status.to_string() },
            status if status.is_redirection() => {
                Outcome::Refused { error: format!("{said}: redirects are not followed; set the final `url`") }
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Outcome::Retry { error: format!("{said}{quote}"), after_seconds }
            }
            status if status.is_client_error() => {
                Outcome::Refused { error: format!("{said}{quote}: {}", self.service.remedy(status)) }
            }
            _ => Outcome::Retry { error: format!("{said}{quote}"), after_seconds },
        }
    }

    /// The beginning of an answer, unless it repeats a secret of ours or a person's address.
    fn quote(&self, message: &Message, context: &Context, text: &str) -> String {
        let said = one_line(text, 160);
        let own = self.secrets.iter().map(Secret::expose).filter(|secret| secret.len() >= 6);
        let link = ack_url(message, context);
        let paths = own.clone().filter_map(|secret| secret.split_once("://")?.1.split_once('/').map(|(_, path)| path));
        let tells = own
            .chain(paths.filter(|path| path.len() >= 6))
            .chain(link.as_deref())
            .chain(message.ack_token.as_deref())
            .chain(own_address(message))
            .any(|secret| text.contains(secret));
        if said.is_empty() || tells || !self.service.may_quote() { String::new() } else { format!(" (`{said}`)") }
    }
}

impl Notifier for Channel {
    fn deliver<'a>(&'a self, message: &'a Message, context: &'a Context) -> BoxFuture<'a, Outcome> {
        Box::pin(self.attempt(message, context))
    }
}

/// What services that keep alerts know one by: stable over the repeats and steps of an obligation, so that they update one
/// alert. A message about the house stands for itself, or its alert would open once and never ring again.
fn alert_key(message: &Message, context: &Context) -> String {
    let about = match &message.obligation {
        _ if is_about_the_house(message) => message.key.clone(),
        Some(obligation) => format!("{}~{obligation}", message.incident),
        None => message.incident.0.clone(),
    };
    format!("breachclock-{}", key_hash(&format!("{} {about}", base(context))))
}

/// Does the message say that the alert's matter is over?
fn is_over(message: &Message) -> bool {
    let ended = matches!(message.brief.standing.as_str(), "discharged" | "waived" | "withdrawn" | "not-applicable");
    message.event == Event::ObligationDischarged || ended
}

/// The person's own address on this channel.
fn own_address(message: &Message) -> Option<&str> {
    match &message.target {
        Target::Channel { address, .. } => address.as_deref().map(str::trim).filter(|address| !address.is_empty()),
        _ => None,
    }
}

/// Facts about the message that machines read, by name: for services that keep details beside the text.
fn details(message: &Message) -> Vec<(&'static str, String)> {
    let brief = &message.brief;
    let instant = |at: crate::time::Timestamp| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    let mut details = vec![("event", message.event.as_str().to_string())];
    if !is_about_the_house(message) {
        details.push(("incident", message.incident.0.clone()));
        details.extend(message.obligation.iter().map(|obligation| ("obligation", obligation.clone())));
        details.extend(Some(("standing", brief.standing.clone())).filter(|(_, standing)| !standing.is_empty()));
    }
    details.extend(brief.due.map(|due| ("due", instant(due))));
    details.extend(brief.conservative_due.map(|due| ("conservative_due", instant(due))));
    details.extend(message.extra.internal_target.map(|target| ("internal_target", instant(target))));
    details
}

/// What a refusal of these statuses mostly means, in general terms.
fn general_remedy(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 | 403 => "it does not accept our credentials; set new ones",
        404 | 410 => "nothing is there; correct the `url`",
        413 => "the message is too long for it; raise its limit",
        _ => "it does not accept the message; compare the settings with its documentation",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart_and_no_setting_shadows_a_common_one() {
        for (at, kind) in KINDS.iter().enumerate() {
            assert!(KINDS[..at].iter().all(|other| other.name != kind.name), "`{}` is there twice", kind.name);
            for takes in kind.takes {
                assert!(!["id", "kind", "allow_private", "allow_hosts", "ca_file", "headers"].contains(&takes.name));
            }
            assert!(kind.place.is_none_or(|place| kind.takes.iter().any(|takes| takes.name == place)), "{}", kind.name);
        }
    }

    #[test]
    fn errors_show_hosts_only() {
        assert_eq!(without_path("https://u:p@hooks.example.org/services/T0/x?y"), "https://hooks.example.org/…");
        assert_eq!(without_path("T0/B0/secret"), "url");
    }
}
