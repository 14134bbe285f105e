//! Evidence drafts about messages to our own people: queued, attempted, answered, and the mail that comes back.

use super::{actor, at};
use crate::entry_body;
use crate::evidence::{Draft, Id, Made, Personal, ids};
use crate::law::Incident;
use crate::store::Store;
use crate::time::Timestamp;
use crate::workflow::tokens::AckClaims;
use crate::workflow::{Caller, House};

entry_body! {
    struct Messages<'a> {
        messages: Vec<MessageBody<'a>>,
    }
}

entry_body! {
    struct MessageBody<'a> {
        key: Made,
        event: &'static str,
        obligation: Option<Id<'a>>,
        to: Made,
        policy: Made,
        step: Made,
        repeat: u32,
        due_at: Made,
        coalesced: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<Made>,
        #[serde(skip_serializing_if = "Option::is_none")]
        quiet_hours: Option<QuietBody>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        drill: bool,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        asks: Vec<AskBody<'a>>,
    }
}

entry_body! {
    struct AskBody<'a> {
        obligation: Id<'a>,
        what: &'static str,
    }
}

entry_body! {
    struct QuietBody {
        outcome: &'static str,
        until: Made,
    }
}

impl QuietBody {
    fn of(quiet: &crate::escalation::Quiet) -> QuietBody {
        use crate::escalation::Quiet;
        match quiet {
            Quiet::Deferred { until, .. } => QuietBody { outcome: "deferred", until: at(*until) },
            Quiet::Overridden { until } => QuietBody { outcome: "overridden", until: at(*until) },
        }
    }
}

entry_body! {
    struct Advanced {
        key: Made,
        to: Made,
        state: &'static str,
        /// May carry an address or the words of a person.
        detail: Personal<String>,
    }
}

entry_body! {
    struct LinkRefused<'a> {
        obligations: Vec<Id<'a>>,
        by: Personal<String>,
        reason: Made,
    }
}

entry_body! {
    struct Attempt {
        key: Made,
        to: Made,
        attempt: u32,
        outcome: &'static str,
        /// The peer's answer or the error; may carry an address.
        answer: Personal<String>,
        next_attempt: Option<Made>,
    }
}

/// What a mail that came in says about a message of ours.
pub(in crate::workflow) struct MailNews<'a> {
    pub kind: &'static str,
    /// What the mail says happened.
    pub what: &'static str,
    /// What we did about it.
    pub outcome: crate::workflow::inbound::Outcome,
    pub status: Option<&'a str>,
    pub words: &'a str,
    pub from: Option<&'a str>,
    /// Why it was refused; else empty.
    pub why: &'a str,
    /// SHA-256 of the raw mail, hexadecimal.
    pub digest: &'a str,
}

entry_body! {
    struct MailReceived<'a> {
        key: Made,
        to: Made,
        actor: Id<'a>,
        what: &'static str,
        outcome: &'static str,
        status: Option<Id<'a>>,
        answer: Personal<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<Personal<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<Personal<String>>,
        mail_sha256: Personal<String>,
    }
}

impl<S: Store> House<S> {
    pub(in crate::workflow) fn draft_messages(
        &self,
        incident: &Incident,
        messages: &[crate::escalation::Message],
        now: Timestamp,
    ) -> Draft {
        let body = Messages {
            messages: messages
                .iter()
                .map(|m| MessageBody {
                    key: Made::of(m.key.clone()),
                    event: m.event.as_str(),
                    obligation: m.obligation.as_deref().map(Id::known),
                    to: Made::of(m.target.label()),
                    policy: Made::of(m.reason.policy.clone()),
                    step: Made::of(m.reason.step.clone()),
                    repeat: m.reason.repeat,
                    due_at: at(m.reason.due_at),
                    coalesced: m.reason.coalesced,
                    after: m.extra.after.clone().map(Made::of),
                    quiet_hours: m.extra.quiet.as_ref().map(QuietBody::of),
                    drill: m.extra.drill,
                    asks: m
                        .extra
                        .asks
                        .iter()
                        .map(|ask| AskBody { obligation: Id::known(&ask.obligation), what: ask.what.as_str() })
                        .collect(),
                })
                .collect(),
        };
        self.draft(&incident.id.0, "messages.queued", now, &body, self.sealer())
    }

    pub(in crate::workflow) fn draft_attempt(
        &self,
        message: &crate::escalation::Message,
        attempt: u32,
        settlement: &crate::store::Settlement,
        now: Timestamp,
    ) -> Draft {
        use crate::escalation::Outcome;
        let (outcome, answer) = match &settlement.outcome {
            Outcome::HandedOver { answer } => ("handed-over", answer),
            Outcome::Retry { error, .. } if settlement.retry_at.is_some() => ("retry", error),
            Outcome::Retry { error, .. } => ("gave-up", error),
            Outcome::Refused { error } => ("refused", error),
            Outcome::Withdrawn { why } => ("withdrawn", why),
        };
        let mut sealer = self.sealer();
        let body = Attempt {
            key: Made::of(message.key.clone()),
            to: Made::of(message.target.label()),
            attempt,
            outcome,
            answer: sealer.seal("/answer", answer.clone()),
            next_attempt: settlement.retry_at.map(at),
        };
        self.draft(&message.incident.0, "message.attempted", now, &body, sealer)
    }

    /// News of a message that had left the queue.
    pub(in crate::workflow) fn draft_delivery(
        &self,
        message: &crate::escalation::Message,
        kind: &'static str,
        news: &crate::store::Delivery,
        now: Timestamp,
    ) -> Draft {
        let mut sealer = self.sealer();
        let body = Advanced {
            key: Made::of(message.key.clone()),
            to: Made::of(message.target.label()),
            state: news.state.as_str(),
            detail: sealer.seal("/detail", news.detail.clone()),
        };
        self.draft(&message.incident.0, kind, now, &body, sealer)
    }

    /// A link in a message was used and nothing came of it.
    pub(in crate::workflow) fn draft_link_refused(&self, claims: &AckClaims, reason: &str, now: Timestamp) -> Draft {
        let mut sealer = self.sealer();
        let by = sealer.seal("/by", claims.person.clone());
        let body = LinkRefused { obligations: ids(&claims.obligations), by, reason: Made::of(reason) };
        self.draft(&claims.incident, "acknowledgement.link-refused", now, &body, sealer)
    }

    /// News of a message by mail. The author's address is what the mail claims.
    pub(in crate::workflow) fn draft_mail(
        &self,
        message: &crate::escalation::Message,
        news: &MailNews<'_>,
        caller: &Caller,
        now: Timestamp,
    ) -> Draft {
        let mut sealer = self.sealer();
        let body = MailReceived {
            key: Made::of(message.key.clone()),
            to: Made::of(message.target.label()),
            actor: actor(caller),
            what: news.what,
            outcome: news.outcome.as_str(),
            status: news.status.map(Id::known),
            answer: sealer.seal("/answer", news.words.to_string()),
            by: news.from.map(|from| sealer.seal("/by", from.to_string())),
            note: Some(news.why).filter(|why| !why.is_empty()).map(|why| sealer.seal("/note", why.to_string())),
            mail_sha256: sealer.seal("/mail_sha256", news.digest.to_string()),
        };
        self.draft(&message.incident.0, news.kind, now, &body, sealer)
    }
}
