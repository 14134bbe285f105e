//! Entries about files and about decisions that are taken up again: their bodies.

use super::attachments::{Attach, COLLECTED};
use super::{Caller, House};
use crate::entry_body;
use crate::evidence::{Disclosure, Draft, Hash, Id, Made, Personal, Sealer, hex, ids};
use crate::rules::utc;
use crate::store::Store;
use crate::time::Timestamp;

entry_body! {
    struct Collected<'a> {
        kind: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        obligation: Option<Id<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<Personal<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        media_type: Option<Id<'a>>,
        bytes: u64,
        /// The hash of a known document can be looked up for ever: it stands inside a disclosure.
        sha256: Personal<String>,
        by: Personal<String>,
        actor: Id<'a>,
        collected_at: Made,
        #[serde(skip_serializing_if = "Option::is_none")]
        how: Option<Personal<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tool: Option<Personal<String>>,
    }
}

entry_body! {
    struct Read<'a> {
        attachment: u64,
        actor: Id<'a>,
    }
}

entry_body! {
    struct Reopened<'a> {
        obligation: Id<'a>,
        /// Facts that changed and were named for it.
        because: Vec<Id<'a>>,
        actor: Id<'a>,
    }
}

entry_body! {
    struct Withdrawn<'a> {
        obligation: Id<'a>,
        /// withdrawn by who proposed it, refused by another approver, taken-back when it stood already
        how: &'static str,
        reason: Personal<String>,
        actor: Id<'a>,
    }
}

impl<S: Store> House<S> {
    fn salted(&self) -> Sealer<'_> {
        Sealer::new(|| {
            let mut salt = [0u8; 32];
            self.entropy.fill(&mut salt);
            salt
        })
    }

    /// The entry that names a file, and the disclosure that gives its hash.
    pub(super) fn draft_collected(
        &self,
        incident: &str,
        ask: &Attach,
        obligation: Option<&str>,
        digest: &Hash,
        caller: &Caller,
        now: Timestamp,
    ) -> (Draft, Disclosure) {
        let mut sealer = self.salted();
        let sha256 = sealer.seal("/sha256", hex(digest));
        let body = Collected {
            kind: ask.kind.as_str(),
            obligation: obligation.map(Id::known),
            name: ask.name.clone().map(|name| sealer.seal("/name", name)),
            media_type: ask.media_type.as_deref().map(Id::new),
            bytes: ask.bytes.len() as u64,
            sha256,
            by: sealer.seal("/by", ask.by.clone().unwrap_or_else(|| caller.name.clone())),
            actor: Id::new(caller.name.as_str()),
            collected_at: Made::of(utc(ask.at.unwrap_or(now))),
            how: ask.how.clone().map(|how| sealer.seal("/how", how)),
            tool: ask.tool.clone().map(|tool| sealer.seal("/tool", tool)),
        };
        let disclosures = sealer.into_disclosures();
        let named_by = disclosures[0].clone();
        let draft = Draft::new(incident.to_string(), COLLECTED, now, self.nonce(), &body);
        (draft.with_disclosures(disclosures), named_by)
    }

    pub(super) fn draft_read(&self, incident: &str, attachment: u64, caller: &Caller, now: Timestamp) -> Draft {
        let body = Read { attachment, actor: Id::new(caller.name.as_str()) };
        Draft::new(incident.to_string(), "attachment.read", now, self.nonce(), &body)
    }

    /// A decision not to notify ended, because facts it was made to depend on changed.
    pub(super) fn draft_decision_reopened(
        &self,
        incident: &str,
        obligation: &str,
        because: &[String],
        caller: &Caller,
        now: Timestamp,
    ) -> Draft {
        let body =
            Reopened { obligation: Id::known(obligation), because: ids(because), actor: Id::new(caller.name.as_str()) };
        Draft::new(incident.to_string(), "decision.reopened", now, self.nonce(), &body)
    }

    /// A decision not to notify ended, because somebody took it back.
    pub(super) fn draft_decision_withdrawn(
        &self,
        incident: &str,
        obligation: &str,
        how: &'static str,
        reason: &str,
        caller: &Caller,
        now: Timestamp,
    ) -> Draft {
        let mut sealer = self.salted();
        let body = Withdrawn {
            obligation: Id::known(obligation),
            how,
            reason: sealer.seal("/reason", reason.to_string()),
            actor: Id::new(caller.name.as_str()),
        };
        let draft = Draft::new(incident.to_string(), "decision.withdrawn", now, self.nonce(), &body);
        draft.with_disclosures(sealer.into_disclosures())
    }
}
