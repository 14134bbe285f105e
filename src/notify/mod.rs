//! How a message leaves the house: by mail, as files in a maildir, by signed webhook, through a channel (chat rooms,
//! paging services, push and text messages).
//!
//! Absent here: clocks and randomness (`Context::now` says when), the decision whom to tell (`escalation`), the outbox
//! and its evidence (`store`, `workflow`), notices to authorities (nobody sends those for you). A notifier makes one
//! attempt and says what became of it; [`retry`] says when the next one is due.
//!
//! To add a channel that is one HTTP request: one file under `channel/` with its `Kind`, one line in [`channel::KINDS`], its
//! rows in `tests/house/notify_channels.rs`. Anything else: one file with its `Settings` and an `impl Notifier`, one line in
//! [`Notifiers::from_settings`], and a call of `exercise(notifier)` in `tests/house/notify_*.rs`.

pub mod authority;
pub mod channel;
pub mod email;
pub mod http;
pub mod identity;
pub mod links;
pub mod mail_id;
pub mod maildir;
pub mod render;
pub mod retry;
mod secret;
pub mod webhook;
pub mod witness;
pub mod words;

pub use secret::Secret;

use crate::escalation::{Event, Message, Outcome, Target};
use crate::time::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;

/// A boxed future, so that notifiers can be kept behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Head of the evidence log, written into every message: each reader becomes a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHead {
    pub origin: String,
    pub size: u64,
    /// Root hash in base64, as in the checkpoint.
    pub root: String,
}

/// What an attempt needs to know besides the message. Made anew for each delivery.
#[derive(Clone, Debug)]
pub struct Context {
    /// The instant of this attempt: times left are counted from it.
    pub now: Timestamp,
    /// The same instant on the wall clock, which is another one only in an exercise. The next hop reads it: the date of a
    /// mail, the time stamp in a signature, the age of a connection.
    pub wall: Timestamp,
    /// Base of all links, with or without a slash at its end. Empty where nobody serves pages: then there are no links.
    pub public_url: String,
    pub checkpoint: Option<LogHead>,
    /// The whole house exercises: every message says so, whatever the message itself knows.
    pub drill: bool,
}

/// A way out of the house.
///
/// `deliver` makes one attempt and returns when the next hop has answered or a time limit of its own has passed; it
/// never waits for a retry. Implementations must not read the clock for anything that is sent, must not panic, and must
/// tolerate the same message twice: delivery is at least once under [`Message::key`].
pub trait Notifier: Send + Sync {
    fn deliver<'a>(&'a self, message: &'a Message, context: &'a Context) -> BoxFuture<'a, Outcome>;

    /// Does the receiver want this kind of event? Ask before a message is put into the outbox.
    fn wants(&self, event: Event) -> bool {
        let _ = event;
        true
    }
}

/// The parts of the configuration that describe ways out: `[smtp]`, `[[webhook]]` and `[[channel]]`.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub smtp: Option<email::Settings>,
    pub webhooks: Vec<webhook::Settings>,
    pub channels: Vec<channel::Settings>,
}

/// A setting that cannot work, in the words of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// Where: `smtp.url`, `webhook.soc.secret`.
    pub at: String,
    pub problem: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.problem)
    }
}

impl std::error::Error for SettingsError {}

/// All configured ways out.
#[derive(Default)]
pub struct Notifiers {
    email: Option<Box<dyn Notifier>>,
    webhooks: BTreeMap<String, Box<dyn Notifier>>,
    /// Chat rooms, paging services, text messages, by the id of their `[[channel]]`.
    channels: BTreeMap<String, Box<dyn Notifier>>,
}

impl Notifiers {
    /// Checks the settings and builds the notifiers; reads `ca_file`s, connects to nobody.
    pub fn from_settings(settings: &Settings) -> Result<Notifiers, SettingsError> {
        let mut notifiers = Notifiers::default();
        if let Some(smtp) = &settings.smtp {
            notifiers.email = Some(Box::new(email::Email::from_settings(smtp)?));
        }
        for hook in &settings.webhooks {
            let webhook = Box::new(webhook::Webhook::from_settings(hook)?);
            if notifiers.webhooks.insert(hook.id.clone(), webhook).is_some() {
                let problem = format!("the id `{}` is used twice; give each webhook its own", hook.id);
                return Err(SettingsError { at: format!("webhook.{}.id", hook.id), problem });
            }
        }
        for one in &settings.channels {
            let channel = Box::new(channel::Channel::from_settings(one)?);
            if notifiers.channels.insert(one.id.clone(), channel).is_some() {
                let problem = format!("the id `{}` is used twice; give each channel its own", one.id);
                return Err(SettingsError { at: format!("channel.{}.id", one.id), problem });
            }
        }
        Ok(notifiers)
    }

    /// Notifiers made elsewhere: a recording one in tests, for example.
    pub fn new(email: Option<Box<dyn Notifier>>, webhooks: BTreeMap<String, Box<dyn Notifier>>) -> Notifiers {
        Notifiers { email, webhooks, channels: BTreeMap::new() }
    }

    /// Adds a channel made elsewhere, or replaces it.
    pub fn with_channel(mut self, id: &str, channel: Box<dyn Notifier>) -> Notifiers {
        self.channels.insert(id.to_string(), channel);
        self
    }

    /// One attempt at one message. A channel that is not configured refuses, so that the fault is seen and not waited for.
    pub async fn deliver(&self, message: &Message, context: &Context) -> Outcome {
        match self.notifier(&message.target) {
            Ok(notifier) => notifier.deliver(message, context).await,
            Err(error) => Outcome::Refused { error },
        }
    }

    /// Whether the target's notifier exists and takes this event.
    pub fn wants(&self, target: &Target, event: Event) -> bool {
        self.notifier(target).is_ok_and(|notifier| notifier.wants(event))
    }

    fn notifier(&self, target: &Target) -> Result<&dyn Notifier, String> {
        let (found, missing) = match target {
            Target::Email { .. } => {
                (self.email.as_ref(), "no mail server is configured; add an [smtp] table".to_string())
            }
            Target::Channel { id, .. } => (
                self.channels.get(id),
                format!("no channel with the id `{id}` is configured; add a [[channel]] table or correct the policy"),
            ),
            Target::Webhook { id } => (
                self.webhooks.get(id),
                format!("no webhook with the id `{id}` is configured; add a [[webhook]] table or correct the policy"),
            ),
        };
        found.map(|notifier| notifier.as_ref()).ok_or(missing)
    }
}

/// Is this message part of an exercise? Every way out says so.
fn is_drill(message: &Message, context: &Context) -> bool {
    context.drill || message.extra.drill
}

/// 32 hexadecimal digits that stand for a message's key wherever the key's own characters are not allowed.
fn key_hash(key: &str) -> String {
    Sha256::digest(key.as_bytes())[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}
