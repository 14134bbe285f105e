//! What we send to our own people: to whom, about what, why. Rendering and delivery live in `notify`.

use crate::law::{DutyId, IncidentId};
use crate::time::{Timestamp, Zone};
use serde::{Deserialize, Serialize};

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
    Alive,
    SelfTest,
    Alarm,
}

impl Event {
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
            Event::Alive => "daemon.alive",
            Event::SelfTest => "daemon.self-test",
            Event::Alarm => "daemon.alarm",
        }
    }

    /// About the daemon itself: such a message names no incident anybody could open.
    pub fn is_about_daemon(self) -> bool {
        matches!(self, Event::Alive | Event::SelfTest | Event::Alarm)
    }
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    /// One envelope per recipient, always: one refused address must not cost the others their mail.
    Email { person: String, name: String, address: String },
    /// Id of a configured webhook.
    Webhook { id: String },
}

impl Target {
    /// A word for logs and evidence, without personal data: `email:lea`, `webhook:soc`.
    pub fn label(&self) -> String {
        match self {
            Target::Email { person, .. } => format!("email:{person}"),
            Target::Webhook { id } => format!("webhook:{id}"),
        }
    }

    pub fn channel(&self) -> &'static str {
        match self {
            Target::Email { .. } => "email",
            Target::Webhook { .. } => "webhook",
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
}

/// Where a message stands on its ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryState {
    Queued,
    HandedOver,
    Failed,
}

impl DeliveryState {
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Queued => "queued",
            DeliveryState::HandedOver => "handed-over",
            DeliveryState::Failed => "failed",
        }
    }
}

/// A message and what became of it so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub message: Message,
    pub state: DeliveryState,
    pub attempts: u32,
    pub settled_at: Option<Timestamp>,
    pub detail: Option<String>,
}
