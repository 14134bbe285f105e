//! Writes iCalendar (RFC 5545): escaped, folded, every instant in UTC. The same content gives the same bytes.

use crate::time::Timestamp;

/// Octets of a line without its end.
const WIDTH: usize = 75;

/// One VEVENT.
pub(super) struct Event<'a> {
    /// Stable for the life of what it stands for.
    pub uid: &'a str,
    /// Grows with each change.
    pub sequence: u64,
    pub modified: Timestamp,
    pub start: Timestamp,
    /// `None`: an instant.
    pub end: Option<Timestamp>,
    pub summary: &'a str,
    pub description: &'a str,
    pub url: Option<&'a str>,
    /// `CONFIRMED`, `TENTATIVE` or `CANCELLED`.
    pub status: &'static str,
    /// Minutes before the start.
    pub alarms: &'a [i64],
}

/// A calendar under construction.
pub(super) struct Writer(String);

impl Writer {
    pub fn new(name: &str) -> Writer {
        let mut writer = Writer(String::new());
        writer.line("BEGIN:VCALENDAR");
        writer.line("VERSION:2.0");
        writer.line("PRODID:-//breachclock//breachclock//EN");
        writer.line("CALSCALE:GREGORIAN");
        writer.line("METHOD:PUBLISH");
        writer.line(&format!("X-WR-CALNAME:{}", escape(name)));
        // how often to look again, for those who ask: the standard's way and the one that programs know
        writer.line("REFRESH-INTERVAL;VALUE=DURATION:PT15M");
        writer.line("X-PUBLISHED-TTL:PT15M");
        writer
    }

    /// A sentence about the whole calendar, before its first event.
    pub fn describe(&mut self, text: &str) {
        self.line(&format!("X-WR-CALDESC:{}", escape(text)));
    }

    pub fn event(&mut self, event: &Event<'_>) {
        self.line("BEGIN:VEVENT");
        self.line(&format!("UID:{}", escape(event.uid)));
        // of a published event the stamp is when it was last revised (RFC 5545 §3.8.7.2)
        self.line(&format!("DTSTAMP:{}", instant(event.modified)));
        self.line(&format!("LAST-MODIFIED:{}", instant(event.modified)));
        self.line(&format!("SEQUENCE:{}", event.sequence));
        self.line(&format!("DTSTART:{}", instant(event.start)));
        if let Some(end) = event.end {
            self.line(&format!("DTEND:{}", instant(end)));
        }
        self.line(&format!("SUMMARY:{}", escape(event.summary)));
        if !event.description.is_empty() {
            self.line(&format!("DESCRIPTION:{}", escape(event.description)));
        }
        if let Some(url) = event.url {
            self.line(&format!("URL:{url}"));
        }
        self.line(&format!("STATUS:{}", event.status));
        self.line("TRANSP:TRANSPARENT");
        for minutes in event.alarms {
            self.line("BEGIN:VALARM");
            self.line("ACTION:DISPLAY");
            self.line(&format!("DESCRIPTION:{}", escape(event.summary)));
            self.line(&format!("TRIGGER:-PT{minutes}M"));
            self.line("END:VALARM");
        }
        self.line("END:VEVENT");
    }

    pub fn finish(mut self) -> String {
        self.line("END:VCALENDAR");
        self.0
    }

    /// Folds after 75 octets, never inside a character.
    fn line(&mut self, line: &str) {
        let mut column = 0;
        for c in line.chars() {
            if column + c.len_utf8() > WIDTH {
                self.0.push_str("\r\n ");
                column = 1;
            }
            self.0.push(c);
            column += c.len_utf8();
        }
        self.0.push_str("\r\n");
    }
}

/// To the second, rounded down: an alarm may be early, never late.
fn instant(at: Timestamp) -> String {
    at.format("%Y%m%dT%H%M%SZ").to_string()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ';' | ',' => escaped.extend(['\\', c]),
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push(' '),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fold_between_characters_and_text_cannot_break_out() {
        let mut writer = Writer::new("x");
        let hostile = format!("a,b;c\\d\r\nEND:VCALENDAR\u{0}{}", "ü漢".repeat(60));
        let at = "2026-03-30T15:20:00.9Z".parse().expect("an instant");
        writer.event(&Event {
            uid: "u",
            sequence: 3,
            modified: at,
            start: at,
            end: None,
            summary: &hostile,
            description: "",
            url: None,
            status: "CONFIRMED",
            alarms: &[60],
        });
        let text = writer.finish();
        assert!(text.split("\r\n").all(|line| line.len() <= WIDTH), "{text}");
        let unfolded = text.replace("\r\n ", "");
        assert!(unfolded.contains("SUMMARY:a\\,b\\;c\\\\d\\nEND:VCALENDARü漢"), "{unfolded}");
        assert_eq!(unfolded.matches("\r\nEND:VCALENDAR").count(), 1);
        assert!(unfolded.contains("DTSTART:20260330T152000Z\r\n") && unfolded.contains("TRIGGER:-PT60M\r\n"));
    }
}
