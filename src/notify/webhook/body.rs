//! The body of a webhook: thin, so that nothing confidential waits in a receiver's queue.

use crate::escalation::{Asked, Message};
use crate::notify::links::{ack_url, incident_url, obligation_url};
use crate::notify::words::one_line;
use crate::notify::{Context, is_drill, key_hash};
use crate::time::Timestamp;
use serde_json::{Value, json};

/// The specification's limit for the body.
const BODY_BYTES: usize = 20_000;
/// Members of the body are cut at this many characters, so that the limit holds.
const MEMBER_CHARS: usize = 300;

/// Stable over retries: receivers use it to recognise what they have seen. A dot would end it, hence the hash.
pub fn webhook_id(message: &Message) -> String {
    format!("msg_{}", key_hash(&message.key))
}

/// The body: what the obligation is and when it is due; nobody's name.
pub(super) fn body(message: &Message, context: &Context) -> String {
    let brief = &message.brief;
    let word = |text: &str| one_line(text, MEMBER_CHARS);
    let local = |at: Option<Timestamp>| at.map(|at| brief.zone.rfc3339(at));
    let utc = |at: Timestamp| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    let obligation = message.obligation.as_ref().map(|id| {
        json!({
            "id": format!("{}~{id}", message.incident), "duty": brief.duty.as_ref().map(|duty| duty.0.clone()),
            "title": word(&brief.duty_title), "jurisdiction": word(&brief.jurisdiction),
            "recipient_name": word(&brief.recipient_name), "law": word(&brief.law), "citation": word(&brief.citation),
            "standing": brief.standing, "promptly": brief.promptly.as_deref().map(word),
            "due": brief.due.map(utc), "due_local": local(brief.due),
            "conservative_due": brief.conservative_due.map(utc), "conservative_due_local": local(brief.conservative_due),
            "missing": brief.missing.iter().take(12).map(|key| word(key)).collect::<Vec<_>>(),
            "acknowledged": brief.holder.is_some(), "url": obligation_url(message, context),
        })
    });
    let reason = &message.reason;
    let data = json!({
        "incident": message.incident.0, "url": incident_url(message, context), "obligation": obligation,
        "reason": { "policy": word(&reason.policy), "step": word(&reason.step), "repeat": reason.repeat,
                    "due_at": utc(reason.due_at), "coalesced": reason.coalesced },
        "ack_url": ack_url(message, context),
        "drill": is_drill(message, context), "note": message.extra.note.as_deref().map(word),
        "checkpoint": context.checkpoint.as_ref()
            .map(|log| json!({ "origin": word(&log.origin), "size": log.size, "root": word(&log.root) })),
    });
    let mut whole = json!({ "type": message.event.as_str(), "timestamp": utc(message.created_at), "data": data });
    if !message.extra.asks.is_empty() {
        let asks = message.extra.asks.iter().take(12).map(|ask| {
            let mut one = json!({
                "obligation": format!("{}~{}", message.incident, ask.obligation), "what": ask.what.as_str(),
            });
            if let Asked::NoticeOfDelay { before, law } = &ask.what {
                one["before"] = utc(*before).into();
                one["citation"] = word(law).into();
            }
            one
        });
        whole["data"]["asks"] = asks.collect::<Vec<_>>().into();
    }
    let also = brief.also.iter().map(|also| {
        json!({
            "id": format!("{}~{}", message.incident, also.obligation), "title": word(&also.duty_title),
            "recipient_name": word(&also.recipient_name), "standing": also.standing,
            "conservative_due": also.conservative_due.map(utc),
        })
    });
    let mut also: Vec<Value> = also.collect();
    loop {
        // nearest limit first: what is left out is what can wait
        whole["data"]["also"] = also.clone().into();
        whole["data"]["also_left_out"] = (brief.also.len() - also.len()).into();
        let text = whole.to_string();
        if text.len() < BODY_BYTES || also.is_empty() {
            return text;
        }
        also.truncate(also.len() * 3 / 4);
    }
}
