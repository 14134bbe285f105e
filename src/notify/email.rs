//! Mail: a message becomes RFC 5322 bytes and goes to a mail server or into a maildir.
//!
//! One envelope per recipient, always: a server that refuses one address must not cost another person the mail.
//! `HandedOver` means that the next server took it, which is not proof that anybody read it; the acknowledgement link is.
//! lettre is named here and in `email/smtp.rs`, nowhere else.

mod smtp;

pub use smtp::Timeouts;

use super::mail_id::MailId;
use super::maildir::Maildir;
use super::render::{Rendered, render};
use super::words::one_line;
use super::{BoxFuture, Context, Notifier, Secret, SettingsError, key_hash};
use crate::escalation::{Message, Outcome, Target};
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message as Mail};
use serde::Deserialize;
use smtp::Security;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// The `[smtp]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `smtp://HOST[:25]`, `smtp+starttls://HOST[:587]`, `smtps://HOST[:465]` or `maildir:DIR`.
    pub url: String,
    /// `Breach desk <breach@example.org>`; its domain also ends every Message-ID.
    pub from: String,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub password: Option<Secret>,
    /// Certificates trusted besides the system's, PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The name said in EHLO; default: this machine's host name.
    #[serde(default)]
    pub hello: Option<String>,
    /// Connections to the server at once, 1 to 32.
    #[serde(default = "default_connections")]
    pub connections: usize,
    /// Ask the servers on the way to confirm delivery (RFC 3461 `NOTIFY=SUCCESS`). Failures and delays are always asked for.
    #[serde(default)]
    pub receipts: bool,
    /// Ask the person's mail program to confirm that the mail was displayed (RFC 8098); most ask the person first.
    #[serde(default)]
    pub read_receipts: bool,
}

fn default_connections() -> usize {
    4
}

/// Mail as the way out.
pub struct Email {
    from: Mailbox,
    read_receipts: bool,
    route: Route,
}

enum Route {
    Smtp(Box<smtp::Smtp>),
    Maildir(Maildir),
}

impl Email {
    /// Checks the settings; connects to nobody.
    pub fn from_settings(settings: &Settings) -> Result<Email, SettingsError> {
        Email::with_timeouts(settings, Timeouts::default())
    }

    /// As [`Email::from_settings`], with other time limits.
    pub fn with_timeouts(settings: &Settings, timeouts: Timeouts) -> Result<Email, SettingsError> {
        let fault = |key: &str, problem: String| SettingsError { at: format!("smtp.{key}"), problem };
        let from: Mailbox = settings.from.parse().map_err(|error| {
            let form = "write `Breach desk <breach@example.org>`";
            fault("from", format!("`{}` is not a mail address ({error}); {form}", settings.from))
        })?;
        let route = match settings.url.strip_prefix("maildir:") {
            Some("") => {
                return Err(fault(
                    "url",
                    "`maildir:` names no directory; write `maildir:/var/lib/breachclock/mail`".into(),
                ));
            }
            Some(dir) => Route::Maildir(Maildir::new(dir)),
            None => {
                let server = Server::parse(&settings.url).map_err(|problem| fault("url", problem))?;
                Route::Smtp(Box::new(smtp::Smtp::new(server, settings, timeouts)?))
            }
        };
        Ok(Email { from, read_receipts: settings.read_receipts, route })
    }

    async fn attempt(&self, message: &Message, context: &Context) -> Outcome {
        let mail = match compose(message, context, &self.from, self.read_receipts) {
            Ok(mail) => mail,
            Err(error) => return Outcome::Refused { error },
        };
        match &self.route {
            Route::Smtp(smtp) => smtp.send(&mail, &MailId::of(message).to_string(), context.wall).await,
            Route::Maildir(maildir) => {
                let maildir = maildir.clone();
                let name = format!("{}.{}.breachclock", context.wall.timestamp_millis(), key_hash(&message.key));
                let written = tokio::task::spawn_blocking(move || {
                    let stored = maildir.store(&name, &mail.formatted());
                    stored.map_err(|error| format!("cannot write below `{}`: {error}", maildir.dir().display()))
                });
                match written.await {
                    Ok(Ok(path)) => Outcome::HandedOver { answer: format!("maildir {path}") },
                    Ok(Err(error)) => Outcome::Retry { error, after_seconds: None },
                    Err(_) => {
                        Outcome::Retry { error: "writing to the maildir was interrupted".into(), after_seconds: None }
                    }
                }
            }
        }
    }
}

impl Notifier for Email {
    fn deliver<'a>(&'a self, message: &'a Message, context: &'a Context) -> BoxFuture<'a, Outcome> {
        Box::pin(self.attempt(message, context))
    }
}

/// Where the mail server is, from `smtp.url`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    security: Security,
    host: String,
    port: u16,
}

impl Server {
    fn parse(url: &str) -> Result<Server, String> {
        let forms = "write `smtp://HOST`, `smtp+starttls://HOST`, `smtps://HOST` or `maildir:DIR`";
        let (scheme, rest) = url.split_once("://").ok_or_else(|| format!("`{url}` is not a mail server; {forms}"))?;
        let (security, default_port) = match scheme {
            "smtp" => (Security::None, 25),
            "smtp+starttls" => (Security::StartTls, 587),
            "smtps" => (Security::Tls, 465),
            other => return Err(format!("`{other}` is not a scheme for mail; {forms}")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err("holds a user name; set `username` and `password` beside `url`".to_string());
        }
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, port)) => (address, port.strip_prefix(':')),
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None => default_port,
            Some(text) => {
                text.parse().ok().filter(|p| *p > 0).ok_or_else(|| format!("`{text}` is not a port; {forms}"))?
            }
        };
        if host.is_empty() || host.contains(['/', '?', '#', ' ', ':']) && host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(format!("`{url}` names no host; {forms}"));
        }
        Ok(Server { security, host: host.to_string(), port })
    }
}

/// Builds the mail. The only failures are addresses: the error is for people and names the person, not the address.
fn compose(message: &Message, context: &Context, from: &Mailbox, read_receipt: bool) -> Result<Mail, String> {
    let Target::Email { person, name, address } = &message.target else {
        return Err(format!("`{}` is not a mail target", message.target.label()));
    };
    let address: Address = address.trim().parse().map_err(|error| {
        format!("the `email` of `{person}` is not a mail address ({error}); correct it in the configuration")
    })?;
    let name = Some(one_line(name, 100)).filter(|name| !name.is_empty());
    let Rendered { subject, text, html, urgent } = render(message, context);
    let domain = from.email.domain();
    let own = MailId::of(message).to_string();
    let id = format!("<{own}@{domain}>");
    let root = format!("<{}@{domain}>", local_part(&format!("incident-{}", message.incident)));
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(context.wall.timestamp().max(0).unsigned_abs());
    let mut mail = Mail::builder()
        .from(from.clone())
        .to(Mailbox::new(name, address))
        .subject(one_line(&subject, 250))
        .date(date)
        .message_id(Some(id))
        .in_reply_to(root.clone())
        .references(root)
        .raw_header(header("Auto-Submitted", "auto-generated".into()))
        .raw_header(header("X-Auto-Response-Suppress", "All".into()))
        .raw_header(header("X-Breachclock-Id", own));
    if read_receipt {
        mail = mail.raw_header(header("Disposition-Notification-To", from.email.to_string()));
    }
    if urgent {
        mail = mail.raw_header(header("Importance", "high".into())).raw_header(header("X-Priority", "1".into()));
    }
    // "=_" cannot occur in quoted-printable text, and the key makes the boundary the same for every attempt
    let parts = MultiPart::alternative()
        .boundary(format!("=_{}", key_hash(&message.key)))
        .singlepart(quoted(ContentType::TEXT_PLAIN, &text))
        .singlepart(quoted(ContentType::TEXT_HTML, &html));
    mail.multipart(parts).map_err(|error| format!("the mail to `{person}` cannot be built: {error}"))
}

fn quoted(kind: ContentType, text: &str) -> SinglePart {
    let body = Body::dangerous_pre_encoded(quoted_printable(text), ContentTransferEncoding::QuotedPrintable);
    SinglePart::builder().header(kind).body(body)
}

/// Quoted-printable after RFC 2045 §6.7. lettre's encoder took most of the time of a mail.
fn quoted_printable(text: &str) -> Vec<u8> {
    const WIDTH: usize = 75;
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(text.len() * 5 / 4);
    for line in text.lines() {
        let mut column = 0;
        for (at, &byte) in line.as_bytes().iter().enumerate() {
            let blank = matches!(byte, b' ' | b'\t') && at + 1 < line.len();
            let plain = blank || (byte.is_ascii_graphic() && byte != b'=');
            let width = if plain { 1 } else { 3 };
            if column + width > WIDTH {
                out.extend_from_slice(b"=\r\n");
                column = 0;
            }
            match plain {
                true => out.push(byte),
                false => out.extend_from_slice(&[b'=', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
            }
            column += width;
        }
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn header(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

/// A key as the left side of a Message-ID: itself when it is a plain word, else its hash.
fn local_part(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+');
    let dots = key.starts_with('.') || key.ends_with('.') || key.contains("..");
    let fits = (1..=64).contains(&key.len()) && key.bytes().all(plain) && !dots;
    if fits { key.to_string() } else { key_hash(key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let server = |security, host: &str, port| Ok(Server { security, host: host.into(), port });
        let cases = [
            ("smtp://localhost", server(Security::None, "localhost", 25)),
            ("smtp://127.0.0.1:2525/", server(Security::None, "127.0.0.1", 2525)),
            ("smtp+starttls://mail.example.org", server(Security::StartTls, "mail.example.org", 587)),
            ("smtps://mail.example.org", server(Security::Tls, "mail.example.org", 465)),
            ("smtps://[2001:db8::1]:4650", server(Security::Tls, "2001:db8::1", 4650)),
        ];
        for (url, wanted) in cases {
            assert_eq!(Server::parse(url), wanted, "{url}");
        }
        let wrong = [
            "mail.example.org",
            "http://x",
            "smtp://",
            "smtp://u:p@host",
            "smtp://host:0",
            "smtp://host:x",
            "smtp://a/b",
        ];
        for url in wrong {
            assert!(Server::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn quoted_printable_keeps_lines_short_and_bytes_plain() {
        let cases = [
            ("a=b \nc\td\n", "a=3Db=20\r\nc\td\r\n"),
            ("ü", "=C3=BC\r\n"),
            (".\r\n\r\nx", ".\r\n\r\nx\r\n"),
            ("a\rb", "a=0Db\r\n"),
        ];
        for (text, wanted) in cases {
            assert_eq!(String::from_utf8(quoted_printable(text)).expect("ascii"), wanted);
        }
        let long = String::from_utf8(quoted_printable(&"ä §".repeat(200))).expect("ascii");
        assert!(long.split("\r\n").all(|line| line.len() <= 76));
    }

    #[test]
    fn keys_become_words_of_a_message_id() {
        assert_eq!(local_part("inc-01.due-4h.2"), "inc-01.due-4h.2");
        assert_eq!(local_part("a|b@c").len(), 32);
        assert_eq!(local_part("a..b").len(), 32);
        assert_eq!(local_part(&"a".repeat(65)).len(), 32);
    }
}
