//! The packed form of what is stored whole: one version byte, then postcard. Postcard has no names and no types in it, so
//! a change of a packed type is a new version byte here, and the old form stays readable.

use super::record_v1::RecordV1;
use super::{Lane, Record, Result, Settlement, StoreError};
use crate::escalation::{DeliveryState, Extra, Message, Outcome, Quiet};
use crate::time::Timestamp;
use chrono::DateTime;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// Form of tokens.
const VERSION: u8 = 1;

/// Form of messages. 2: the extra circumstances stand after the message. 3: they end with what the law asks for.
const MESSAGE_VERSION: u8 = 3;

/// The extra circumstances of form 2, in its order.
#[derive(serde::Deserialize)]
struct ExtraV2 {
    after: Option<String>,
    quiet: Option<Quiet>,
    internal_target: Option<Timestamp>,
    overdue_count: u32,
    copy: bool,
    drill: bool,
    note: Option<String>,
}

impl From<ExtraV2> for Extra {
    fn from(old: ExtraV2) -> Extra {
        let ExtraV2 { after, quiet, internal_target, overdue_count, copy, drill, note } = old;
        Extra { after, quiet, internal_target, overdue_count, copy, drill, note, asks: Vec::new() }
    }
}

/// Form of records. 2: contracts carry their whole clause; [`RecordV1`] is what stood before.
const RECORD_VERSION: u8 = 2;

/// Packs a token.
pub(super) fn pack<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    postcard::to_extend(value, Vec::from([VERSION]))
        .map_err(|error| StoreError::Backend(format!("cannot be packed: {error}")))
}

/// Reads [`pack`]'s form. `what` names the thing in the error.
pub(super) fn unpack<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    match bytes.split_first() {
        Some((&VERSION, packed)) => postcard::from_bytes(packed).map_err(|error| damaged(what, error)),
        _ => Err(newer(what)),
    }
}

/// Packs a message with its extra circumstances.
pub(super) fn pack_message(message: &Message) -> Result<Vec<u8>> {
    let wrong = |error| StoreError::Backend(format!("message cannot be packed: {error}"));
    let packed = postcard::to_extend(message, Vec::from([MESSAGE_VERSION])).map_err(wrong)?;
    postcard::to_extend(&message.extra, packed).map_err(wrong)
}

/// Reads a message in any form ever written.
pub(super) fn unpack_message(bytes: &[u8], what: &str) -> Result<Message> {
    let damaged = |error| damaged(what, error);
    match bytes.split_first() {
        Some((&1, packed)) => postcard::from_bytes(packed).map_err(damaged),
        Some((&version @ (2 | MESSAGE_VERSION), packed)) => {
            let (mut message, rest): (Message, &[u8]) = postcard::take_from_bytes(packed).map_err(damaged)?;
            message.extra = match version {
                MESSAGE_VERSION => postcard::from_bytes(rest).map_err(damaged)?,
                _ => postcard::from_bytes::<ExtraV2>(rest).map_err(damaged)?.into(),
            };
            Ok(message)
        }
        _ => Err(newer(what)),
    }
}

fn damaged(what: &str, error: postcard::Error) -> StoreError {
    StoreError::Backend(format!("{what} is damaged: {error}; restore it from a backup"))
}

fn newer(what: &str) -> StoreError {
    StoreError::Backend(format!("{what} was written by a newer version; run that one"))
}

/// [`pack`] into a buffer that is seldom too small.
pub(super) fn pack_record(record: &Record) -> Result<Vec<u8>> {
    let mut start = Vec::with_capacity(1024 + 32 * record.tracked.len());
    start.push(RECORD_VERSION);
    let wrong = |error| StoreError::Backend(format!("record cannot be packed: {error}"));
    let packed = postcard::to_extend(record, start).map_err(wrong)?;
    // most records have none
    if record.kept.is_empty() { Ok(packed) } else { postcard::to_extend(&record.kept, packed).map_err(wrong) }
}

/// Reads a record in any form ever written, with or without kept limits at its end.
pub(super) fn unpack_record(bytes: &[u8], what: &str) -> Result<Record> {
    let damaged = |error| damaged(what, error);
    let (mut record, rest): (Record, &[u8]) = match bytes.split_first() {
        Some((&RECORD_VERSION, packed)) => postcard::take_from_bytes(packed).map_err(damaged)?,
        Some((&1, packed)) => {
            let (old, rest) = postcard::take_from_bytes::<RecordV1>(packed).map_err(damaged)?;
            (old.into(), rest)
        }
        _ => return Err(newer(what)),
    };
    if !rest.is_empty() {
        record.kept = postcard::from_bytes(rest).map_err(damaged)?;
    }
    Ok(record)
}

/// What a message is known by inside its incident: half a SHA-256 of its key, as keys are long and only compared.
pub(super) fn message_key(message: &Message) -> [u8; 16] {
    key_of(&message.key)
}

/// See [`message_key`].
pub(super) fn key_of(key: &str) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    *digest.first_chunk().expect("16 of 32 bytes")
}

/// What a request is known by. `kind` keeps idempotency keys and references apart, the length keeps the parts apart.
pub(super) fn request_key(kind: u8, first: &str, second: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update([kind])
        .chain_update((first.len() as u64).to_le_bytes())
        .chain_update(first)
        .chain_update(second)
        .finalize()
        .into()
}

/// The number of a state in a database.
pub(super) fn state_number(state: DeliveryState) -> i64 {
    DeliveryState::ALL.iter().position(|s| *s == state).expect("the list is complete") as i64
}

/// The state of a number; one that nobody wrote waits in the queue rather than be lost.
pub(super) fn state_of(number: i64) -> DeliveryState {
    usize::try_from(number).ok().and_then(|at| DeliveryState::ALL.get(at).copied()).unwrap_or(DeliveryState::Queued)
}

/// The number of a lane in a database.
pub(super) fn lane_number(lane: Lane) -> i64 {
    match lane {
        Lane::Mail => 0,
        Lane::Webhook => 1,
    }
}

pub(super) const IDEMPOTENCY: u8 = b'k';
pub(super) const REFERENCE: u8 = b'r';

/// A message after an attempt.
pub(super) struct Settled {
    pub state: DeliveryState,
    pub detail: String,
    /// For a queued one: not to be claimed before, in microseconds.
    pub not_before: i64,
}

pub(super) fn settled(settlement: &Settlement) -> Settled {
    match (&settlement.outcome, settlement.retry_at) {
        (Outcome::HandedOver { answer }, _) => {
            Settled { state: DeliveryState::HandedOver, detail: answer.clone(), not_before: 0 }
        }
        (Outcome::Retry { error, .. }, Some(at)) => {
            Settled { state: DeliveryState::Queued, detail: error.clone(), not_before: micros_up(at) }
        }
        (Outcome::Withdrawn { why }, _) => {
            Settled { state: DeliveryState::Withdrawn, detail: why.clone(), not_before: 0 }
        }
        (Outcome::Retry { error, .. } | Outcome::Refused { error }, _) => {
            Settled { state: DeliveryState::Failed, detail: error.clone(), not_before: 0 }
        }
    }
}

/// Microseconds since 1970, the part below cut off: for the present.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.timestamp_micros()
}

/// Microseconds since 1970, rounded up: for what must not happen early.
pub(super) fn micros_up(at: Timestamp) -> i64 {
    at.timestamp_micros() + i64::from(!at.timestamp_subsec_nanos().is_multiple_of(1000))
}

/// The instant of stored microseconds; the nearest there is when the number means none.
pub(super) fn instant_of(micros: i64) -> Timestamp {
    DateTime::from_timestamp_micros(micros).unwrap_or(if micros < 0 {
        DateTime::<chrono::Utc>::MIN_UTC
    } else {
        DateTime::<chrono::Utc>::MAX_UTC
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escalation::{Ask, Asked, Brief, Event, Reason, Target};
    use crate::law::IncidentId;
    use crate::time::Zone;

    fn message() -> Message {
        let at: Timestamp = "2026-06-01T08:00:00Z".parse().expect("RFC 3339");
        let reason = Reason { policy: "p".into(), step: "due".into(), repeat: 2, due_at: at, coalesced: 1 };
        let extra = Extra { after: Some("email:lea failed".into()), overdue_count: 3, drill: true, ..Extra::default() };
        Message {
            key: "inc-1/duty@XX/due".into(),
            event: Event::ReminderDue,
            incident: IncidentId("inc-1".into()),
            obligation: Some("duty@XX".into()),
            target: Target::Webhook { id: "soc".into() },
            reason,
            created_at: at,
            urgent_at: at,
            brief: Brief::about_daemon("Notice".into(), Zone::UTC),
            ack_token: None,
            extra,
        }
    }

    #[test]
    fn messages_of_every_form_are_read() {
        let mut message = message();
        let e = &message.extra;
        let old = (&e.after, &e.quiet, e.internal_target, e.overdue_count, e.copy, e.drill, &e.note);
        let form = |version, extra: &[u8]| {
            let packed = postcard::to_extend(&message, Vec::from([version])).expect("packs");
            [packed, extra.to_vec()].concat()
        };
        let second = form(2, &postcard::to_stdvec(&old).expect("packs"));
        assert_eq!(unpack_message(&second, "second").expect("read"), message);
        let first = unpack_message(&form(1, &[]), "first").expect("read");
        assert_eq!((first.key, first.extra), (message.key.clone(), Extra::default()));
        let what = Asked::NoticeOfDelay { before: message.created_at, law: "Act Art. 5".into() };
        let (obligation, duty_title) = ("duty@XX".to_string(), "Notice".to_string());
        let ask = Ask { obligation, duty_title, recipient_name: "Authority".into(), zone: Zone::UTC, what };
        message.extra.asks = vec![ask];
        let third = pack_message(&message).expect("packs");
        assert_eq!(unpack_message(&third, "third").expect("read"), message);
        let newer = [&[MESSAGE_VERSION + 1], &third[1..]].concat();
        assert!(unpack_message(&newer, "newer").expect_err("refused").to_string().contains("newer version"));
    }
}
