//! What we send to our own people: to whom, about what, why. Rendering and delivery live in `notify`.

use crate::law::{DutyId, IncidentId};
use crate::time::{Timestamp, Zone};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The event a message carries; webhook receivers filter on these words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Event {
    IncidentOpened,
    IncidentUpdated,
    ObligationAdded,
    ObligationMoved,
    ObligationDischarged,
    ObligationOverdue,
    ReminderDue,
    EscalationRaised,
    DeliveryFailed,
    EvidenceCheckpoint,
    /// The daemon lives, and what it waits for.
    DaemonAlive,
    /// A marked message through the whole chain, to see it arrive.
    DaemonSelfTest,
    /// Something about the daemon itself needs a person.
    DaemonAlarm,
    /// What is open, told at a fixed time.
    DigestDue,
}

impl Event {
    /// Every event, in the order of the contract.
    pub const ALL: [Event; 14] = [
        Event::IncidentOpened,
        Event::IncidentUpdated,
        Event::ObligationAdded,
        Event::ObligationMoved,
        Event::ObligationDischarged,
        Event::ObligationOverdue,
        Event::ReminderDue,
        Event::EscalationRaised,
        Event::DeliveryFailed,
        Event::EvidenceCheckpoint,
        Event::DaemonAlive,
        Event::DaemonSelfTest,
        Event::DaemonAlarm,
        Event::DigestDue,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Event::IncidentOpened => "incident.opened",
            Event::IncidentUpdated => "incident.updated",
            Event::ObligationAdded => "obligation.added",
            Event::ObligationMoved => "obligation.moved",
            Event::ObligationDischarged => "obligation.discharged",
            Event::ObligationOverdue => "obligation.overdue",
            Event::ReminderDue => "reminder.due",
            Event::EscalationRaised => "escalation.raised",
            Event::DeliveryFailed => "delivery.failed",
            Event::EvidenceCheckpoint => "evidence.checkpoint",
            Event::DaemonAlive => "daemon.alive",
            Event::DaemonSelfTest => "daemon.self-test",
            Event::DaemonAlarm => "daemon.alarm",
            Event::DigestDue => "digest.due",
        }
    }
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    /// One envelope per recipient, always: one refused address must not cost the others their mail.
    Email { person: String, name: String, address: String },
    /// Id of a configured webhook.
    Webhook { id: String },
    /// Id of a configured channel: a place (a chat room, a paging service), or a person on it at an address of their own.
    Channel { id: String, person: Option<String>, name: String, address: Option<String> },
}

impl Target {
    /// A word for logs and evidence, without personal data: `email:lea`, `webhook:soc`, `sms:lea`, `channel:ops-room`.
    pub fn label(&self) -> String {
        match self {
            Target::Email { person, .. } => format!("email:{person}"),
            Target::Webhook { id } => format!("webhook:{id}"),
            Target::Channel { id, person: Some(person), .. } => format!("{id}:{person}"),
            Target::Channel { id, person: None, .. } => format!("channel:{id}"),
        }
    }

    /// `email`, `webhook` or the id of the channel.
    pub fn channel(&self) -> &str {
        match self {
            Target::Email { .. } => "email",
            Target::Webhook { .. } => "webhook",
            Target::Channel { id, .. } => id,
        }
    }

    /// Id of the person it reaches; a room or a receiver of events is none.
    pub fn person(&self) -> Option<&str> {
        match self {
            Target::Email { person, .. } => Some(person),
            Target::Webhook { .. } => None,
            Target::Channel { person, .. } => person.as_deref(),
        }
    }

    /// The name people know it by.
    pub fn name(&self) -> String {
        match self {
            Target::Email { name, .. } => name.clone(),
            Target::Webhook { id } => format!("webhook {id}"),
            Target::Channel { id, name, person: Some(_), .. } => format!("{name} ({id})"),
            Target::Channel { id, .. } => format!("channel {id}"),
        }
    }
}

/// Why a message was sent; goes into the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub policy: String,
    /// The policy's own word for the step, e.g. `due-4h` or `75%`.
    pub step: String,
    /// 0 for the first sending of the step, then counting repeats.
    pub repeat: u32,
    /// When the step was due.
    pub due_at: Timestamp,
    /// Steps missed during downtime that this message stands for.
    pub coalesced: u32,
}

/// Somebody who was told, for the list in the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub name: String,
    pub what: String,
    pub at: Timestamp,
}

/// What a message says about an obligation, as known when it was decided. No facts about affected persons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    pub incident_title: String,
    pub entity: String,
    /// What to do, e.g. "Early warning to the CSIRT".
    pub duty_title: String,
    pub duty: Option<DutyId>,
    pub jurisdiction: String,
    pub recipient_name: String,
    pub law: String,
    pub citation: String,
    /// running, possible, awaiting, ...
    pub standing: String,
    pub missing: Vec<String>,
    pub promptly: Option<String>,
    pub due: Option<Timestamp>,
    pub conservative_due: Option<Timestamp>,
    /// Zone in which the dates are written first.
    pub zone: Zone,
    pub started_key: Option<String>,
    pub started_at: Option<Timestamp>,
    pub holder: Option<Told>,
    pub told: Vec<Told>,
    pub next: Option<Told>,
    /// First derivation sentence, e.g. "72 hours after becoming aware".
    pub because: Option<String>,
    /// Further obligations of the incident that this message also tells about, nearest limit first: one message per
    /// person and decision, not one per obligation.
    pub also: Vec<Also>,
}

impl Brief {
    /// What the daemon says about itself in one line; `zone` is that of the instants in it.
    pub fn about_daemon(title: String, zone: Zone) -> Brief {
        Brief {
            incident_title: String::new(),
            entity: String::new(),
            duty_title: title,
            duty: None,
            jurisdiction: String::new(),
            recipient_name: String::new(),
            law: String::new(),
            citation: String::new(),
            standing: String::new(),
            missing: Vec::new(),
            promptly: None,
            due: None,
            conservative_due: None,
            zone,
            started_key: None,
            started_at: None,
            holder: None,
            told: Vec::new(),
            next: None,
            because: None,
            also: Vec::new(),
        }
    }
}

/// One more obligation in the same message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Also {
    pub obligation: String,
    pub duty_title: String,
    pub recipient_name: String,
    pub conservative_due: Option<Timestamp>,
    pub zone: Zone,
    pub standing: String,
}

/// One message to one target. Delivery is at least once under the stable `key`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Stable over retries and restarts; becomes the Message-ID and the webhook id.
    pub key: String,
    pub event: Event,
    pub incident: IncidentId,
    /// `<duty>@<place>` inside the incident.
    pub obligation: Option<String>,
    pub target: Target,
    pub reason: Reason,
    pub created_at: Timestamp,
    /// Later messages first when the instant is nearer: the outbox is claimed in this order.
    pub urgent_at: Timestamp,
    pub brief: Brief,
    /// Token of the acknowledgement link, when the message offers one.
    pub ack_token: Option<String>,
    /// What was added to the form later; packed after the rest, see `store/pack.rs`.
    #[serde(skip)]
    pub extra: Extra,
}

impl Message {
    /// Whether it carries a step of a policy; events and their copies do not.
    pub fn is_step(&self) -> bool {
        matches!(self.event, Event::ReminderDue | Event::EscalationRaised | Event::ObligationOverdue)
            && !self.extra.copy
    }
}

/// Circumstances that most messages do not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extra {
    /// Why this way was chosen after another one: `email:lea failed`, `email:lea was not confirmed within 7 min`.
    pub after: Option<String>,
    /// The step fell into quiet hours that end here.
    pub quiet: Option<Quiet>,
    /// An internal target the policy set where the law has no number.
    pub internal_target: Option<Timestamp>,
    /// Steps past the limit so far: the count that goes on until the filing.
    pub overdue_count: u32,
    /// A copy for a receiver of events; it counts for no step.
    pub copy: bool,
    /// An exercise.
    pub drill: bool,
    /// Plain words for messages that are not about an obligation.
    pub note: Option<String>,
    /// What the law asks for besides the filing, of every obligation in the message.
    pub asks: Vec<Ask>,
}

/// What the law asks for besides the filing, said until it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// `<duty>@<place>`.
    pub obligation: String,
    pub duty_title: String,
    pub recipient_name: String,
    /// Zone in which its dates are written.
    pub zone: Zone,
    pub what: Asked,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asked {
    /// To tell the recipient before the limit that it will be missed; `law` is the citation that says so.
    NoticeOfDelay { before: Timestamp, law: String },
    /// Why it is late: nobody has recorded that.
    ReasonsForDelay,
}

impl Asked {
    pub fn as_str(&self) -> &'static str {
        match self {
            Asked::NoticeOfDelay { .. } => "notice-of-delay",
            Asked::ReasonsForDelay => "reasons-for-delay",
        }
    }
}

/// What quiet hours did to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quiet {
    /// Held back until here: the limit left time for it.
    Deferred { from: Timestamp, until: Timestamp },
    /// Sent in spite of them, as waiting until here would have left too little time.
    Overridden { until: Timestamp },
}

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The next hop took it: the server's final answer. Not proof that anybody read it.
    HandedOver { answer: String },
    /// Worth another try.
    Retry { error: String, after_seconds: Option<u32> },
    /// No retry will help.
    Refused { error: String },
    /// Not sent: what it is about was settled meanwhile.
    Withdrawn { why: String },
}

/// Where a message stands on its ladder. The order of the variants is their stored form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryState {
    Queued,
    /// The next hop took it.
    HandedOver,
    /// Given up, refused, or bounced.
    Failed,
    /// A receipt says that it reached the recipient's own system.
    Delivered,
    /// The person's own program says that it was displayed.
    Seen,
    /// The person acted on it.
    Acknowledged,
    /// Never sent: what it is about was settled before it could be.
    Withdrawn,
}

impl DeliveryState {
    pub const ALL: [DeliveryState; 7] = [
        DeliveryState::Queued,
        DeliveryState::HandedOver,
        DeliveryState::Failed,
        DeliveryState::Delivered,
        DeliveryState::Seen,
        DeliveryState::Acknowledged,
        DeliveryState::Withdrawn,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Queued => "queued",
            DeliveryState::HandedOver => "handed-over",
            DeliveryState::Failed => "failed",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Seen => "seen",
            DeliveryState::Acknowledged => "acknowledged",
            DeliveryState::Withdrawn => "withdrawn",
        }
    }

    /// Whether news of `next` changes anything: up the ladder always, to failed only while nobody has seen it.
    pub fn may_become(self, next: DeliveryState) -> bool {
        let rung = |state| match state {
            DeliveryState::Queued => 0,
            DeliveryState::HandedOver => 1,
            DeliveryState::Failed => 2,
            DeliveryState::Delivered => 3,
            DeliveryState::Seen => 4,
            DeliveryState::Acknowledged => 5,
            DeliveryState::Withdrawn => 6,
        };
        match (self, next) {
            // a relay may report failure after the next one reported delivery to a list
            (DeliveryState::Delivered, DeliveryState::Failed) => true,
            // only the courier takes a message out of the queue
            (_, DeliveryState::Queued | DeliveryState::HandedOver | DeliveryState::Withdrawn) => false,
            (from, to) => rung(to) > rung(from),
        }
    }

    /// A person is known to have had it before their eyes.
    pub fn is_confirmed(self) -> bool {
        matches!(self, DeliveryState::Seen | DeliveryState::Acknowledged)
    }

    /// Nobody got it, and nobody will: the incident decides anew.
    pub fn is_lost(self) -> bool {
        matches!(self, DeliveryState::Failed | DeliveryState::Withdrawn)
    }
}

crate::law::schema_of_words!(DeliveryState);

/// A message and what became of it so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Shared: an incident is read far more often than its messages are made.
    pub message: Arc<Message>,
    pub state: DeliveryState,
    pub attempts: u32,
    pub settled_at: Option<Timestamp>,
    pub detail: Option<String>,
}
