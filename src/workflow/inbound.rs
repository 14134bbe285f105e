//! What came back by mail: find the message it is about, and record the news: its delivery state, or the acknowledgement.
//!
//! Mail proves little about its sender. Bad news is believed of whoever knows the message's name; good news, which could
//! silence somebody, and a reply that acts need the tag in it, a secret of the mail that its recipient got. The same mail
//! handed in again changes nothing.

use super::evidence_of::MailNews;
use super::{AckRequest, Answered, Caller, House, Right, Trouble};
use crate::escalation::{DeliveryState, Message, Sent};
use crate::ingest::Rejection;
use crate::ingest::mail_in::{self, Answer, Inbound, News, Notice};
use crate::law::IncidentId;
use crate::notify::mail_id::{Fit, MailId};
use crate::rules::hex;
use crate::store::{Change, Changeset, Delivery, Store, StoreError};
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Names of ours looked at in one mail; a real one has a handful.
const MOST_NAMES: usize = 16;

/// What became of a mail that came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ReceivedMail")]
pub struct Received {
    pub outcome: Outcome,
    pub incident: Option<String>,
    /// Whom the message went to, without personal data: `email:lea`.
    pub to: Option<String>,
    /// Where the message stands now.
    #[schemars(with = "Option<DeliveryState>")]
    pub state: Option<&'static str>,
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "MailOutcome")]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// About no message of ours; nothing was recorded.
    NotOurs,
    /// The news, or this very mail, was known already; nothing was recorded.
    Known,
    Failed,
    Delivered,
    Seen,
    Acknowledged,
    Declined,
    /// Recorded as evidence; nothing else changed.
    Recorded,
    /// It asked for something it may not have, or too late; recorded with the reason.
    Refused,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::NotOurs => "not-ours",
            Outcome::Known => "known",
            Outcome::Failed => "failed",
            Outcome::Delivered => "delivered",
            Outcome::Seen => "seen",
            Outcome::Acknowledged => "acknowledged",
            Outcome::Declined => "declined",
            Outcome::Recorded => "recorded",
            Outcome::Refused => "refused",
        }
    }
}

/// What is to be done about news. Decided from the mail and the message alone.
#[derive(Clone, Debug)]
enum Act {
    Move(DeliveryState),
    Take(AckRequest),
    Record,
    Refuse(&'static str),
}

/// A message of ours, and how well the mail names it.
struct Found {
    sent: Sent,
    fit: Fit,
    /// The name as it stood in the mail.
    name: String,
}

impl<S: Store> House<S> {
    /// Takes a raw mail that came to the sender's address.
    ///
    /// # Errors
    /// [`Trouble::Rejected`] when the bytes are no mail. A mail that is none of ours is an [`Outcome`], not an error.
    pub async fn receive_mail(&self, caller: &Caller, raw: &[u8], now: Timestamp) -> Answered<Received> {
        self.permit(caller, Right::Respond)?;
        let unreadable = |text| Trouble::Rejected(vec![Rejection { pointer: String::new(), line: None, text }]);
        let inbound = mail_in::read(raw).map_err(unreadable)?;
        let Some(found) = self.message_of(caller, &inbound).await? else {
            return Ok(Received {
                outcome: Outcome::NotOurs,
                incident: None,
                to: None,
                state: None,
                detail: "it is about no message of this installation".into(),
            });
        };
        let digest = hex(&Sha256::digest(raw));
        if self.has_seen(&found.sent.message.incident, &digest).await? {
            return Ok(found.received(Outcome::Known, found.sent.state, "this mail was handed in before".into()));
        }
        let own_address = self.is_author(&found.sent.message, &inbound);
        match decide(&inbound, &found, own_address) {
            Act::Move(state) => self.advance(caller, &inbound, &found, state, &digest, now).await,
            Act::Take(ask) => self.take_by_mail(caller, &inbound, &found, ask, &digest, now).await,
            Act::Record => self.record_news(caller, &inbound, &found, Outcome::Recorded, "", &digest, now).await,
            Act::Refuse(why) => self.record_news(caller, &inbound, &found, Outcome::Refused, why, &digest, now).await,
        }
    }

    /// The message that fits a name in the mail best, among those the caller may see.
    async fn message_of(&self, caller: &Caller, inbound: &Inbound) -> Answered<Option<Found>> {
        let names = inbound.about.iter().filter_map(|name| MailId::parse(name).map(|id| (name, id))).take(MOST_NAMES);
        let mut loaded: Option<(IncidentId, Vec<Sent>)> = None;
        let mut best: Option<Found> = None;
        for (name, id) in names {
            if loaded.as_ref().is_none_or(|(incident, _)| *incident != id.incident) {
                loaded = Some((id.incident.clone(), self.messages_of(caller, &id.incident).await?));
            }
            let sent = loaded.as_ref().map_or(&[][..], |(_, sent)| sent.as_slice());
            for sent in sent {
                let fit = id.fit(&sent.message);
                if fit != Fit::No && best.as_ref().is_none_or(|b| rank(fit) > rank(b.fit)) {
                    best = Some(Found { sent: sent.clone(), fit, name: name.clone() });
                }
            }
        }
        Ok(best)
    }

    /// Messages of an incident the caller may see; of any other there are none.
    async fn messages_of(&self, caller: &Caller, incident: &IncidentId) -> Answered<Vec<Sent>> {
        if *incident == IncidentId::house() {
            let all =
                if caller.entities.is_empty() { self.store.sent(incident, u32::MAX).await } else { Ok(Vec::new()) };
            return Ok(all?);
        }
        match self.dossier(caller, &incident.0).await {
            Ok(dossier) => Ok(dossier.sent),
            Err(Trouble::NotFound(_)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The hash of a mail stands among the personal fields of its evidence.
    async fn has_seen(&self, incident: &IncidentId, digest: &str) -> Answered<bool> {
        let fields = self.store.disclosures(&incident.0).await?;
        let quoted = format!("\"{digest}\"");
        Ok(fields.values().any(|bytes| bytes.windows(quoted.len()).any(|window| window == quoted.as_bytes())))
    }

    /// Is the mail from the address of the person whom the message went to?
    fn is_author(&self, message: &Message, inbound: &Inbound) -> bool {
        let person = message.target.person().and_then(|id| self.settings.directory.person(id));
        let address = person.and_then(|p| p.email.as_deref()).map(str::to_lowercase);
        address.is_some() && address == inbound.from
    }

    async fn advance(
        &self,
        caller: &Caller,
        inbound: &Inbound,
        found: &Found,
        state: DeliveryState,
        digest: &str,
        now: Timestamp,
    ) -> Answered<Received> {
        let outcome = match state {
            DeliveryState::Failed => Outcome::Failed,
            DeliveryState::Seen => Outcome::Seen,
            _ => Outcome::Delivered,
        };
        let detail = detail_of(&inbound.news);
        let first = self.draft_mail(&found.sent.message, &news(inbound, outcome, "", digest), caller, now);
        let message = &found.sent.message;
        let delivery = Delivery {
            incident: message.incident.clone(),
            key: message.key.clone(),
            state,
            detail: detail.clone(),
            at: now,
        };
        let change = Change::Delivery(delivery);
        match self.store.commit(Changeset { change, first, more: Vec::new() }).await {
            Ok(_) => {
                if state == DeliveryState::Failed {
                    self.stats.messages_failed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
                self.announce();
                Ok(found.received(outcome, state, detail))
            }
            Err(StoreError::OldNews) => {
                let detail = format!("the message is {} already", found.sent.state.as_str());
                Ok(found.received(Outcome::Known, found.sent.state, detail))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The person acts by reply: what the link in the mail would do, no more.
    async fn take_by_mail(
        &self,
        caller: &Caller,
        inbound: &Inbound,
        found: &Found,
        ask: AckRequest,
        digest: &str,
        now: Timestamp,
    ) -> Answered<Received> {
        let message = &found.sent.message;
        let declined = ask.decline;
        let token = message.ack_token.as_deref().unwrap_or_default();
        let taken = match self.read_ack_token(token, now) {
            Ok(claims) => self.ack_by_claims(&claims, ask, Some(&format!("mail-{digest}")), now).await,
            Err(trouble) => Err(trouble),
        };
        match taken {
            Ok(()) => {}
            Err(trouble @ (Trouble::NotNow(_) | Trouble::NotFound(_) | Trouble::NotPermitted(_))) => {
                let why = trouble.to_string();
                return self.record_news(caller, inbound, found, Outcome::Refused, &why, digest, now).await;
            }
            Err(trouble) => return Err(trouble),
        }
        let (outcome, detail) = match declined {
            true => (Outcome::Declined, "declined by reply"),
            false => (Outcome::Acknowledged, "taken by reply"),
        };
        let first = self.draft_mail(message, &news(inbound, outcome, "", digest), caller, now);
        let state = DeliveryState::Acknowledged;
        let change = Change::Delivery(Delivery {
            incident: message.incident.clone(),
            key: message.key.clone(),
            state,
            detail: detail.into(),
            at: now,
        });
        match self.store.commit(Changeset { change, first: first.clone(), more: Vec::new() }).await {
            Ok(_) => {}
            // acted on before: the words of this reply are evidence all the same
            Err(StoreError::OldNews) => {
                self.store.commit(Changeset { change: Change::Nothing, first, more: Vec::new() }).await?;
            }
            Err(error) => return Err(error.into()),
        }
        self.announce();
        Ok(found.received(outcome, state, detail.into()))
    }

    #[expect(clippy::too_many_arguments, reason = "one entry with everything that is known of the mail")]
    async fn record_news(
        &self,
        caller: &Caller,
        inbound: &Inbound,
        found: &Found,
        outcome: Outcome,
        why: &str,
        digest: &str,
        now: Timestamp,
    ) -> Answered<Received> {
        let first = self.draft_mail(&found.sent.message, &news(inbound, outcome, why, digest), caller, now);
        self.store.commit(Changeset { change: Change::Nothing, first, more: Vec::new() }).await?;
        self.announce();
        let detail = if why.is_empty() { detail_of(&inbound.news) } else { why.to_string() };
        Ok(found.received(outcome, found.sent.state, detail))
    }
}

impl Found {
    fn received(&self, outcome: Outcome, state: DeliveryState, detail: String) -> Received {
        let message = &self.sent.message;
        Received {
            outcome,
            incident: Some(message.incident.0.clone()),
            to: Some(message.target.label()),
            state: Some(state.as_str()),
            detail,
        }
    }
}

fn rank(fit: Fit) -> u8 {
    match fit {
        Fit::No => 0,
        Fit::WrongTag => 1,
        Fit::WithoutTag => 2,
        Fit::Exact => 3,
    }
}

/// What news asks for, and whether its sender may ask for it. `own_address`: it comes from the person's own address.
fn decide(inbound: &Inbound, found: &Found, own_address: bool) -> Act {
    const GUESSED: &str = "the name of the mail it answers is not complete; answer the mail itself";
    let trusted = found.fit == Fit::Exact;
    match &inbound.news {
        News::Failed(_) if found.fit == Fit::WrongTag => Act::Refuse(GUESSED),
        News::Failed(_) => Act::Move(DeliveryState::Failed),
        News::Delivered(_) if trusted => Act::Move(DeliveryState::Delivered),
        News::Displayed if trusted => Act::Move(DeliveryState::Seen),
        News::Delivered(_) | News::Displayed => Act::Refuse(GUESSED),
        News::Delayed(_) | News::Relayed(_) | News::Disposed(_) | News::Automatic(_) => Act::Record,
        News::Reply { answer: Answer::Other, .. } => Act::Record,
        News::Reply { .. } if !trusted => Act::Refuse(GUESSED),
        News::Reply { .. } if found.sent.message.ack_token.is_none() => {
            Act::Refuse("that message offers nothing to acknowledge")
        }
        // a forwarded mail carries the tag along: who answers the forwarder is somebody else
        News::Reply { to, .. } if !to.contains(&found.name) && !own_address => {
            Act::Refuse("it answers another mail, in which ours is only quoted; answer our mail itself")
        }
        News::Reply { answer, .. } => Act::Take(match answer {
            Answer::Take { lease_seconds } => AckRequest { lease_seconds: *lease_seconds, ..AckRequest::default() },
            _ => AckRequest { decline: true, ..AckRequest::default() },
        }),
    }
}

fn detail_of(news: &News) -> String {
    let notice = |word: &str, notice: &Notice| match notice.words.is_empty() {
        true => word.to_string(),
        false => format!("{word}: {}", notice.words),
    };
    match news {
        News::Failed(n) => notice("bounced", n),
        News::Delayed(n) => notice("delayed, the servers keep trying", n),
        News::Delivered(n) => notice("delivered", n),
        News::Relayed(n) => notice("passed on to where no receipts come from", n),
        News::Displayed => "displayed by the person's own program".into(),
        News::Disposed(word) => format!("not displayed: {word}"),
        News::Automatic(subject) => format!("automatic reply: {subject}"),
        News::Reply { words, .. } => format!("reply: {words}"),
    }
}

fn news<'a>(inbound: &'a Inbound, outcome: Outcome, why: &'a str, digest: &'a str) -> MailNews<'a> {
    let (kind, what, notice) = match &inbound.news {
        News::Failed(n) => ("message.bounced", "failed", Some(n)),
        News::Delayed(n) => ("message.delayed", "delayed", Some(n)),
        News::Delivered(n) => ("message.delivered", "delivered", Some(n)),
        News::Relayed(n) => ("message.relayed", "relayed", Some(n)),
        News::Displayed => ("message.seen", "displayed", None),
        News::Disposed(_) => ("message.disposed", "disposed", None),
        News::Automatic(_) => ("message.replied", "automatic", None),
        News::Reply { .. } => ("message.replied", "reply", None),
    };
    let words = match &inbound.news {
        News::Disposed(words) | News::Automatic(words) | News::Reply { words, .. } => words.as_str(),
        _ => notice.map_or("", |n| n.words.as_str()),
    };
    MailNews {
        kind,
        what,
        outcome,
        status: notice.and_then(|n| n.status.as_deref()),
        words,
        from: inbound.from.as_deref(),
        why,
        digest,
    }
}
