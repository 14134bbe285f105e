//! Writes in the form in which every database keeps them: packed, hashed, instants as microseconds. Made in the caller's
//! task, before anything is locked; a backend only checks and writes.

use super::keys::{DataKey, KeyId};
use super::pack::{self, Settled};
use super::sealed;
use super::{
    Access, AccountRecord, Change, Changeset, Claim, Delivery, Erasure, Idempotency, Lane, Record, Result, Settlement,
    TokenRecord,
};
use crate::escalation::{DeliveryState, Message};
use crate::evidence::Draft;
use crate::law::IncidentId;
use crate::time::Timestamp;
use std::collections::BTreeSet;

/// An entry of evidence with its sealed disclosures.
pub(super) type PreparedDraft = (Draft, Option<Vec<u8>>);

/// A changeset.
pub(super) struct Commit {
    pub change: Prepared,
    pub drafts: Vec<PreparedDraft>,
}

pub(super) enum Prepared {
    Incident(Box<PreparedIncident>),
    /// Stream of the house, and the messages about no incident.
    Messages(String, Vec<PreparedMessage>),
    Delivery(PreparedDelivery),
    Erase(Box<PreparedErasure>),
    Token {
        id: String,
        body: Vec<u8>,
    },
    Access(PreparedAccess),
    Nothing,
}

/// See [`Access`].
pub(super) struct PreparedAccess {
    pub account: Option<PreparedAccount>,
    pub opened: Option<(String, Vec<u8>)>,
    pub ended: Vec<String>,
}

pub(super) struct PreparedAccount {
    pub id: String,
    pub login: String,
    pub version: i64,
    pub body: Vec<u8>,
}

pub(super) struct PreparedIncident {
    pub id: String,
    pub expected: Option<u64>,
    pub body: Vec<u8>,
    pub entity: Option<String>,
    pub closed: bool,
    pub wake_at: Option<i64>,
    pub messages: Vec<PreparedMessage>,
    /// Hash of source and reference, for a new incident that has both.
    pub reference: Option<[u8; 32]>,
    /// Hash of principal and key, and that of the request.
    pub idempotency: Option<([u8; 32], [u8; 32])>,
}

pub(super) struct PreparedMessage {
    pub lane: Lane,
    pub key: [u8; 16],
    pub urgent_at: i64,
    pub made_at: i64,
    pub body: Vec<u8>,
}

/// News of a message.
pub(super) struct PreparedDelivery {
    pub incident: String,
    pub key: [u8; 16],
    pub state: DeliveryState,
    pub detail: String,
    pub at: i64,
}

/// See [`Erasure`].
pub(super) struct PreparedErasure {
    pub incident: PreparedIncident,
    pub commitments: BTreeSet<[u8; 32]>,
    pub messages: Vec<PreparedText>,
    pub reference: Option<[u8; 32]>,
}

/// A message as it reads from now on.
pub(super) struct PreparedText {
    pub stream: String,
    pub key: [u8; 16],
    pub body: Vec<u8>,
    pub detail: Option<String>,
}

/// How many data keys the disclosures of drafts need.
pub(super) fn keys_for<'d>(drafts: impl IntoIterator<Item = &'d Draft>) -> usize {
    drafts.into_iter().map(|draft| draft.disclosures.len()).sum()
}

impl Commit {
    /// Data keys that [`Commit::prepare`] needs.
    pub fn keys_for(changeset: &Changeset) -> usize {
        keys_for(std::iter::once(&changeset.first).chain(&changeset.more))
    }

    pub fn prepare(changeset: Changeset, keys: Vec<(KeyId, DataKey)>) -> Result<Commit> {
        let mut keys = keys.into_iter();
        let change = match changeset.change {
            Change::Incident { expected, record, wake_at, messages, idempotency } => Prepared::Incident(Box::new(
                PreparedIncident::prepare(expected, &record, wake_at, &messages, idempotency)?,
            )),
            Change::Messages(messages) => Prepared::Messages(
                IncidentId::house().0,
                messages.iter().map(PreparedMessage::prepare).collect::<Result<_>>()?,
            ),
            Change::Delivery(news) => Prepared::Delivery(PreparedDelivery::prepare(news)),
            Change::Erase(erasure) => Prepared::Erase(Box::new(PreparedErasure::prepare(*erasure)?)),
            Change::Token(token) => Prepared::token(&token)?,
            Change::Access(access) => Prepared::Access(PreparedAccess::prepare(*access)?),
            Change::Nothing => Prepared::Nothing,
        };
        let drafts = std::iter::once(changeset.first).chain(changeset.more);
        Ok(Commit { change, drafts: drafts.map(|draft| sealed(draft, &mut keys)).collect() })
    }
}

fn sealed(draft: Draft, keys: &mut impl Iterator<Item = (KeyId, DataKey)>) -> PreparedDraft {
    let disclosures = sealed::seal(&draft.disclosures, keys);
    (draft, disclosures)
}

impl PreparedErasure {
    fn prepare(erasure: Erasure) -> Result<PreparedErasure> {
        let Erasure { expected, record, wake_at, commitments, messages, reference } = erasure;
        let message = |(message, detail): (Message, Option<String>)| {
            let (key, body) = (pack::message_key(&message), pack::pack_message(&message)?);
            Ok(PreparedText { stream: message.incident.0, key, body, detail })
        };
        Ok(PreparedErasure {
            incident: PreparedIncident::prepare(Some(expected), &record, wake_at, &[], None)?,
            commitments,
            messages: messages.into_iter().map(message).collect::<Result<_>>()?,
            reference: reference.map(|(source, text)| pack::request_key(pack::REFERENCE, &source, &text)),
        })
    }
}

impl Prepared {
    fn token(token: &TokenRecord) -> Result<Prepared> {
        Ok(Prepared::Token { id: token.id.clone(), body: pack::pack(token)? })
    }
}

impl PreparedAccess {
    fn prepare(access: Access) -> Result<PreparedAccess> {
        let account = |account: AccountRecord| {
            let (version, body) = (account.version as i64, pack::pack(&account)?);
            Ok(PreparedAccount { id: account.id, login: account.login, version, body })
        };
        let opened = |token: TokenRecord| Ok((token.id.clone(), pack::pack(&token)?));
        Ok(PreparedAccess {
            account: access.account.map(account).transpose()?,
            opened: access.opened.map(opened).transpose()?,
            ended: access.ended,
        })
    }
}

impl PreparedIncident {
    fn prepare(
        expected: Option<u64>,
        record: &Record,
        wake_at: Option<Timestamp>,
        messages: &[Message],
        idempotency: Option<Idempotency>,
    ) -> Result<PreparedIncident> {
        let incident = &record.incident;
        let reference = match (&incident.source, &incident.reference, expected) {
            (Some(source), Some(reference), None) => Some(pack::request_key(pack::REFERENCE, source, reference)),
            _ => None,
        };
        Ok(PreparedIncident {
            id: incident.id.0.clone(),
            expected,
            body: pack::pack_record(record)?,
            entity: incident.entity.id.clone(),
            closed: incident.closed_at.is_some(),
            wake_at: wake_at.map(pack::micros_up),
            messages: messages.iter().map(PreparedMessage::prepare).collect::<Result<_>>()?,
            reference,
            idempotency: idempotency.map(|i| (pack::request_key(pack::IDEMPOTENCY, &i.principal, &i.key), i.request)),
        })
    }
}

impl PreparedMessage {
    fn prepare(message: &Message) -> Result<PreparedMessage> {
        Ok(PreparedMessage {
            lane: Lane::of(&message.target),
            key: pack::message_key(message),
            urgent_at: pack::micros(message.urgent_at),
            made_at: pack::micros(message.created_at),
            body: pack::pack_message(message)?,
        })
    }
}

impl PreparedDelivery {
    fn prepare(news: Delivery) -> PreparedDelivery {
        PreparedDelivery {
            key: pack::key_of(&news.key),
            incident: news.incident.0,
            state: news.state,
            detail: news.detail,
            at: pack::micros(news.at),
        }
    }
}

impl PreparedIncident {
    /// What the request is known by: its idempotency key with the hash of the request, its reference without.
    pub fn keys(&self) -> impl Iterator<Item = ([u8; 32], Option<[u8; 32]>)> {
        let asked = self.idempotency.map(|(key, request)| (key, Some(request)));
        asked.into_iter().chain(self.reference.map(|key| (key, None)))
    }
}

/// A lease on the most urgent messages of a lane; all in microseconds.
pub(super) struct Lease {
    pub lane: Lane,
    pub now: i64,
    pub until: i64,
    pub limit: u32,
}

impl Lease {
    pub fn until(lane: Lane, now: Timestamp, lease_seconds: u32, limit: u32) -> Lease {
        let until = pack::micros_up(now).saturating_add(i64::from(lease_seconds) * 1_000_000);
        Lease { lane, now: pack::micros(now), until, limit }
    }
}

/// A leased message as stored.
pub(super) struct Leased {
    pub row: i64,
    pub body: Vec<u8>,
    pub attempts: i64,
    pub until: i64,
}

impl Leased {
    /// `None` for a message that cannot be read: it must not keep the others from being sent.
    pub fn into_claim(self) -> Option<Claim> {
        match pack::unpack_message(&self.body, &format!("message {}", self.row)) {
            Ok(message) => Some(Claim {
                message,
                attempt: u32::try_from(self.attempts).unwrap_or(u32::MAX),
                lease: self.attempts as u64,
                leased_until: pack::instant_of(self.until),
            }),
            Err(error) => {
                tracing::error!(%error, "a message cannot be sent");
                None
            }
        }
    }
}

/// What became of a claimed message, with its evidence.
pub(super) struct Settling {
    pub incident: String,
    pub key: [u8; 16],
    pub lease: u64,
    pub at: i64,
    pub settled: Settled,
    pub draft: PreparedDraft,
}

impl Settling {
    /// All of them; `keys` are as many as [`keys_for`] their drafts says.
    pub fn prepare_all(claims: Vec<(Claim, Settlement, Draft)>, keys: Vec<(KeyId, DataKey)>) -> Vec<Settling> {
        let mut keys = keys.into_iter();
        claims.into_iter().map(|claim| Settling::prepare(claim, &mut keys)).collect()
    }

    fn prepare(
        (claim, settlement, draft): (Claim, Settlement, Draft),
        keys: &mut impl Iterator<Item = (KeyId, DataKey)>,
    ) -> Settling {
        Settling {
            key: pack::message_key(&claim.message),
            incident: claim.message.incident.0,
            lease: claim.lease,
            at: pack::micros(settlement.at),
            settled: pack::settled(&settlement),
            draft: sealed(draft, keys),
        }
    }
}
