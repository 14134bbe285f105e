//! Addresses of our own pages, as messages give them.

use super::Context;
use crate::escalation::Message;

/// Page of the message's incident; the board for a message about the daemon itself.
pub fn incident_url(message: &Message, context: &Context) -> String {
    if message.event.is_about_daemon() {
        return format!("{}/", base(context));
    }
    format!("{}/incidents/{}", base(context), escape(&message.incident.0))
}

/// Page of the message's obligation with its derivation, if it is about one.
pub fn obligation_url(message: &Message, context: &Context) -> Option<String> {
    message.obligation.as_ref().map(|id| obligation_page(message, context, id))
}

/// Page of any obligation of the message's incident.
pub fn obligation_page(message: &Message, context: &Context, obligation: &str) -> String {
    format!("{}/obligations/{}~{}", base(context), escape(&message.incident.0), escape(obligation))
}

/// Page behind the acknowledgement link, if the message offers one.
pub fn ack_url(message: &Message, context: &Context) -> Option<String> {
    message.ack_token.as_ref().map(|token| format!("{}/a/{}", base(context), escape(token)))
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
