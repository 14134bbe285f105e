//! Addresses of our own pages, as messages give them.

use super::Context;
use crate::escalation::Message;

/// Does anybody serve the pages that links lead to?
fn has_pages(context: &Context) -> bool {
    !context.public_url.is_empty()
}

/// Page of the message's incident.
pub fn incident_url(message: &Message, context: &Context) -> Option<String> {
    let url = || format!("{}/incidents/{}", base(context), escape(&message.incident.0));
    has_pages(context).then(url)
}

/// Page of the message's obligation with its derivation, if it is about one.
pub fn obligation_url(message: &Message, context: &Context) -> Option<String> {
    message.obligation.as_ref().and_then(|id| obligation_page(message, context, id))
}

/// Page of any obligation of the message's incident.
pub fn obligation_page(message: &Message, context: &Context, obligation: &str) -> Option<String> {
    let url = || format!("{}/obligations/{}~{}", base(context), escape(&message.incident.0), escape(obligation));
    has_pages(context).then(url)
}

/// Page behind the acknowledgement link, if the message offers one.
pub fn ack_url(message: &Message, context: &Context) -> Option<String> {
    let token = message.ack_token.as_ref().filter(|_| has_pages(context));
    token.map(|token| format!("{}/a/{}", base(context), escape(token)))
}

fn base(context: &Context) -> &str {
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
