//! The name of a mail of ours: found again in whatever comes back about it, and not to be guessed.
//!
//! `INCIDENT.HASH.TAG` stands left of the `@` of the Message-ID, in `X-Breachclock-Id` and in the SMTP envelope. HASH is
//! that of the message's key; TAG is derived from its acknowledgement token, which only its recipient has. Stable over
//! retries, as both are.

use super::key_hash;
use crate::escalation::Message;
use crate::law::IncidentId;
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

const HASH: usize = 32;
const TAG: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailId {
    pub incident: IncidentId,
    hash: String,
    tag: Option<String>,
}

/// How well a name fits a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Another message.
    No,
    /// This message, but the secret of its recipient is missing.
    WithoutTag,
    /// This message, and a tag that is not its own: somebody guesses.
    WrongTag,
    /// This message, written by somebody who had it; or one that has no secret.
    Exact,
}

impl MailId {
    pub fn of(message: &Message) -> MailId {
        MailId {
            incident: message.incident.clone(),
            hash: key_hash(&message.key),
            tag: message.ack_token.as_deref().map(tag),
        }
    }

    /// Reads a Message-ID with or without its angle brackets, or only what stands left of the `@`; `None` when it is not
    /// one of ours. The domain is not compared: it may have been another when the mail was sent.
    pub fn parse(text: &str) -> Option<MailId> {
        let text = text.trim().trim_start_matches('<').trim_end_matches('>');
        let local = text.split('@').next()?;
        let hexadecimal = |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit());
        let (rest, last) = local.rsplit_once('.')?;
        let (incident, hash, tag) = match rest.rsplit_once('.') {
            Some((incident, hash)) if hexadecimal(last, TAG) && hexadecimal(hash, HASH) => (incident, hash, Some(last)),
            _ if hexadecimal(last, HASH) => (rest, last, None),
            _ => return None,
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if incident.is_empty() || incident.len() > 64 || !incident.bytes().all(plain) {
            return None;
        }
        Some(MailId {
            incident: IncidentId(incident.to_string()),
            // a relay may change the case of what it takes for an address
            hash: hash.to_ascii_lowercase(),
            tag: tag.map(str::to_ascii_lowercase),
        })
    }

    pub fn fit(&self, message: &Message) -> Fit {
        let own = MailId::of(message);
        if own.incident != self.incident || own.hash != self.hash {
            return Fit::No;
        }
        match (&own.tag, &self.tag) {
            (None, None) => Fit::Exact,
            (Some(own), Some(given)) if bool::from(own.as_bytes().ct_eq(given.as_bytes())) => Fit::Exact,
            (Some(_), None) => Fit::WithoutTag,
            (_, Some(_)) => Fit::WrongTag,
        }
    }
}

impl fmt::Display for MailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.incident, self.hash)?;
        self.tag.as_ref().map_or(Ok(()), |tag| write!(f, ".{tag}"))
    }
}

fn tag(token: &str) -> String {
    Sha256::digest(token.as_bytes())[..TAG / 2].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH_TEXT: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn names_of_ours_are_told_from_others() {
        let ours = [
            format!("<inc-01jq.{HASH_TEXT}.00112233445566aa@x.example>"),
            format!("inc-01jq.{HASH_TEXT}@x.example"),
            format!("_system.{}.00112233445566AA", HASH_TEXT.to_uppercase()),
        ];
        for text in &ours {
            let id = MailId::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(MailId::parse(&id.to_string()), Some(id));
        }
        let others = [
            String::new(),
            "<incident-inc-01jq@x.example>".into(),
            "CAF=abc.def@mail.gmail.com".into(),
            format!("{HASH_TEXT}@x.example"),
            format!(".{HASH_TEXT}@x.example"),
            format!("inc-01jq.{HASH_TEXT}.0011223344556677.@x.example"),
            format!("inc/../01jq.{HASH_TEXT}@x.example"),
            format!("inc-01jq.{}@x.example", &HASH_TEXT[1..]),
        ];
        for text in &others {
            assert_eq!(MailId::parse(text), None, "{text}");
        }
    }
}
