//! What comes back to the sender's address: bytes to [`Inbound`], which says what kind of news it is and which mail it may
//! be about.
//!
//! Absent here: whether that mail is one of ours, and what follows from the news. Words taken from a mail are text by
//! strangers: one line, cut, never interpreted further. The crate mail-parser is named here and below, nowhere else.

mod answer;
mod report;

use mail_parser::{Message, MessageParser, MimeHeaders, PartType};

/// Longest words kept of a mail, in characters.
const WORDS: usize = 300;

/// One mail that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// Names of mails it may be about, most likely first: Message-IDs without angle brackets, or envelope ids.
    pub about: Vec<String>,
    /// Address of its author in lower case, as the mail claims.
    pub from: Option<String>,
    pub news: News,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It will not arrive.
    Failed(Notice),
    /// A server keeps trying.
    Delayed(Notice),
    /// It reached the recipient's own system.
    Delivered(Notice),
    /// It was passed on to where no notices come from.
    Relayed(Notice),
    /// The recipient's program says that it was displayed.
    Displayed,
    /// The recipient's program says that something else was done with it, in its own word: `deleted`.
    Disposed(String),
    /// A program answered: an absence notice, a mailing list. Holds the subject.
    Automatic(String),
    /// A person answered. `to` are the mails it answers directly: a forwarded mail is named in `about` as well.
    Reply { answer: Answer, to: Vec<String>, words: String },
}

/// What a server says about a delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// `5.1.1`, as in RFC 3463.
    pub status: Option<String>,
    pub words: String,
}

/// What the first line of a person's reply asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// "I have it", for so long if a time is given.
    Take { lease_seconds: Option<i64> },
    /// "I cannot": tell the next person.
    Decline,
    /// Nothing that could be acted on.
    Other,
}

/// Reads a raw mail.
///
/// # Errors
/// What is wrong, when the bytes are no mail.
pub fn read(raw: &[u8]) -> Result<Inbound, String> {
    let nothing = || "these bytes are no mail: there are no headers of one; send the raw message".to_string();
    // the parser breaks on some nestings of parts: a hostile mail must not end whoever reads it
    let parsed = std::panic::catch_unwind(|| MessageParser::default().parse(raw));
    let contradicts = |_| "this mail cannot be read: its parts contradict each other".to_string();
    let mail = parsed.map_err(contradicts)?.ok_or_else(nothing)?;
    let known = ["From", "Date", "Message-ID", "Received", "Subject", "Return-Path"];
    if !known.iter().any(|name| mail.header(*name).is_some()) {
        return Err(nothing());
    }
    let news = match report::read(&mail) {
        Some((about, news)) => return Ok(Inbound { about: with_thread(about, &mail), from: author(&mail), news }),
        None if is_automatic(&mail) => News::Automatic(one_line(mail.subject().unwrap_or_default())),
        None => {
            let line = answer::first_line(&text_of_body(&mail));
            let to = match ids(&mail, "In-Reply-To") {
                named if !named.is_empty() => named,
                _ => ids(&mail, "References").pop().into_iter().collect(),
            };
            News::Reply { answer: answer::read(&line), to, words: one_line(&line) }
        }
    };
    Ok(Inbound { about: with_thread(Vec::new(), &mail), from: author(&mail), news })
}

/// The names found, then those of the mails that this one answers, nearest first; each once.
fn with_thread(mut names: Vec<String>, mail: &Message<'_>) -> Vec<String> {
    names.extend(ids(mail, "In-Reply-To"));
    names.extend(ids(mail, "References").into_iter().rev());
    let mut once: Vec<String> = Vec::new();
    for name in names {
        if !name.is_empty() && !once.contains(&name) {
            once.push(name);
        }
    }
    once
}

fn ids(mail: &Message<'_>, header: &'static str) -> Vec<String> {
    let found = mail.header(header).and_then(|value| value.as_text_list());
    found.unwrap_or_default().iter().map(|id| bare(id)).filter(|id| !id.is_empty()).collect()
}

/// A Message-ID without its brackets.
fn bare(id: &str) -> String {
    id.trim().trim_start_matches('<').trim_end_matches('>').trim().to_string()
}

fn author(mail: &Message<'_>) -> Option<String> {
    mail.from().and_then(|from| from.first()).and_then(|from| from.address()).map(str::to_lowercase)
}

/// The raw text of a header the library gives no form, in one line.
fn raw_header(mail: &Message<'_>, name: &str) -> Option<String> {
    let mut all = mail.headers_raw().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    all.next().map(|(_, value)| one_line(value))
}

fn text_of_body(mail: &Message<'_>) -> String {
    mail.body_text(0).map(|text| text.into_owned()).unwrap_or_default()
}

/// Was it written by a program? RFC 3834, and what older programs do in its place.
fn is_automatic(mail: &Message<'_>) -> bool {
    let header = |name| raw_header(mail, name).map(|value| value.to_lowercase());
    if header("Auto-Submitted").is_some_and(|value| value.split(';').next().is_some_and(|word| word.trim() != "no")) {
        return true;
    }
    const PRESENT: [&str; 7] = [
        "X-Autoreply",
        "X-Autorespond",
        "X-Autoresponder",
        "X-Auto-Reply-From",
        "X-Mail-Autoreply",
        "X-FC-MachineGenerated",
        "X-MS-Exchange-Inbox-Rules-Loop",
    ];
    if PRESENT.iter().any(|name| header(name).is_some_and(|value| value != "no" && value != "false")) {
        return true;
    }
    if header("Precedence").is_some_and(|value| matches!(value.as_str(), "bulk" | "junk" | "list" | "auto_reply")) {
        return true;
    }
    // only programs write without a way back
    if header("Return-Path").is_some_and(|value| value == "<>") {
        return true;
    }
    const SUBJECTS: [&str; 12] = [
        "automatic reply",
        "auto reply",
        "auto-reply",
        "autoreply",
        "auto:",
        "out of office",
        "out of the office",
        "automatische antwort",
        "abwesenheitsnotiz",
        "réponse automatique",
        "respuesta automática",
        "risposta automatica",
    ];
    let subject = mail.subject().unwrap_or_default().to_lowercase();
    SUBJECTS.iter().any(|words| subject.starts_with(words))
}

/// The decoded text of a part, whatever its type.
fn text_of(part: &mail_parser::MessagePart<'_>) -> String {
    match &part.body {
        PartType::Text(text) | PartType::Html(text) => text.to_string(),
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        PartType::Message(_) | PartType::Multipart(_) => String::new(),
    }
}

/// `message/delivery-status`, in lower case.
fn type_of(part: &mail_parser::MessagePart<'_>) -> String {
    let kind = part.content_type();
    kind.map(|k| format!("{}/{}", k.ctype(), k.subtype().unwrap_or_default()).to_lowercase()).unwrap_or_default()
}

/// Words in one line, without control characters, cut.
fn one_line(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let words = text.chars().map(visible).collect::<String>();
    words.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(WORDS).collect()
}
