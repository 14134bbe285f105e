//! The types of entries there are: a closed list.
//!
//! Each has the schema of its body in `docs/schemas/entry.json`; `tests/house/entry_types.rs` holds the two lists, what the
//! program writes and what its tests wrote against each other. Logs of earlier or later programs may hold other types:
//! readers pass those over.

/// Sorted.
pub const KINDS: [&str; 78] = [
    "access.refused",
    "account.changed",
    "account.confirmed",
    "account.created",
    "account.factor-set",
    "account.invited",
    "account.password-set",
    "acknowledgement.declined",
    "acknowledgement.link-refused",
    "acknowledgement.recorded",
    "alive.queued",
    "alive.scheduled",
    "attachment.collected",
    "attachment.read",
    "awareness.set",
    "backup.failed",
    "backup.made",
    "backup.missing",
    "calendar.created",
    "clock.stepped",
    "clock.stood-still",
    "clock.suspended",
    "clock.synchronised",
    "clock.unknown",
    "clock.unsynchronised",
    "daemon.started",
    "deadline.computed",
    "decision.not-to-notify",
    "decision.reopened",
    "decision.withdrawn",
    "delay.justified",
    "digest.queued",
    "digest.scheduled",
    "disclosure.erased",
    "disclosure.withheld",
    "entity.named",
    "erasure.refused",
    "export.created",
    "facts.asserted",
    "hold.lifted",
    "hold.set",
    "incident.closed",
    "incident.reopened",
    "incident.reported",
    "key.rotated",
    "log.lost",
    "log.restored",
    "login.failed",
    "mail.unreadable",
    "message.acknowledged",
    "message.attempted",
    "message.bounced",
    "message.delayed",
    "message.delivered",
    "message.disposed",
    "message.relayed",
    "message.replied",
    "message.seen",
    "messages.queued",
    "notification.filed",
    "register.exported",
    "rules.activated",
    "rules.changed",
    "rules.signed-off",
    "self-test.arrived",
    "self-test.missed",
    "self-test.queued",
    "session.closed",
    "session.opened",
    "statistics.exported",
    "timer.evaluated",
    "timestamp.outage",
    "timestamp.restored",
    "token.created",
    "token.revoked",
    "witness.conflict",
    "witness.outage",
    "witness.restored",
];

/// Whether this program may write entries of the type `kind`.
pub fn is_kind(kind: &str) -> bool {
    KINDS.binary_search(&kind).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_closed() {
        assert!(KINDS.is_sorted_by(|one, next| one < next));
        for (kind, known) in [("incident.reported", true), ("witness.restored", true), ("incident", false), ("", false)]
        {
            assert_eq!(is_kind(kind), known, "`{kind}`");
        }
    }
}
