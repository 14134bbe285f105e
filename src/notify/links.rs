//! Addresses of our own pages, as messages give them.

use super::Context;
use crate::escalation::{Message, Target};
use crate::law::IncidentId;

/// Is the message about the house itself? It has no incident, no obligation and nothing to acknowledge.
pub fn is_about_the_house(message: &Message) -> bool {
    message.incident.0 == IncidentId::HOUSE
}

/// Does anybody serve the pages that links lead to?
fn has_pages(context: &Context) -> bool {
    !context.public_url.is_empty()
}

/// Page of the message's incident, if it is about one.
pub fn incident_url(message: &Message, context: &Context) -> Option<String> {
    let url = || format!("{}/incidents/{}", base(context), escape(&message.incident.0));
    (has_pages(context) && !is_about_the_house(message)).then(url)
}

/// Page of the message's obligation with its derivation, if it is about one.
pub fn obligation_url(message: &Message, context: &Context) -> Option<String> {
    let obligation = message.obligation.as_ref().filter(|_| !is_about_the_house(message));
    obligation.and_then(|id| obligation_page(message, context, id))
}

/// Page of any obligation of the message's incident.
pub fn obligation_page(message: &Message, context: &Context, obligation: &str) -> Option<String> {
    let url = || format!("{}/obligations/{}~{}", base(context), escape(&message.incident.0), escape(obligation));
    has_pages(context).then(url)
}

/// Page behind the acknowledgement link, if the message offers one. A room never gets one: the link is a person's own.
pub fn ack_url(message: &Message, context: &Context) -> Option<String> {
    let room = matches!(message.target, Target::Channel { person: None, .. });
    let token = message.ack_token.as_ref().filter(|_| !room && has_pages(context) && !is_about_the_house(message));
    token.map(|token| format!("{}/a/{}", base(context), escape(token)))
}

/// Base of all links, without a slash at its end.
pub(super) fn base(context: &Context) -> &str {
    context.public_url.trim_end_matches('/')
}

/// Percent-encodes what may not stand in a path segment or fragment (RFC 3986 §3.3).
pub fn escape(segment: &str) -> String {
    segment.bytes().fold(String::with_capacity(segment.len()), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' | b':' => out.push(byte as char),
            other => out.push_str(&format!("%{other:02X}")),
        }
        out
    })
}
