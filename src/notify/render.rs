//! A message as a mail: subject, plain text, HTML. What it says is decided here; how it looks, in `templates/`.
//! [`short`] gives the same words to ways out that have their own looks.

mod rows;
mod short;

pub use short::{DRILL, Short, Urgency, cut, short};

use super::links::{ack_url, escape, incident_url, is_about_the_house, obligation_url};
use super::words::{self, one_line};
use super::{Context, LogHead, is_drill};
use crate::escalation::{Asked, Brief, DELAY_NOTICE, Event, Message, Quiet, REASONS_FOR_DELAY, Target};
use crate::law::Phase;
use crate::time::Timestamp;
use askama::Template;
use rows::{NO_BREAK, Row, also, hang, rows, told};

/// A mail without its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Late, or less than six hours to the conservative limit, and still open.
    pub urgent: bool,
}

/// Under this many seconds to the conservative limit a mail is marked important.
const SOON_SECONDS: i64 = 6 * 3600;
/// A mail that leaves later than this after its step was due says so.
const BEHIND_SECONDS: i64 = 120;

#[derive(Template)]
#[template(path = "mail.txt")]
struct Text<'a> {
    mail: &'a Mail,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct Html<'a> {
    mail: &'a Mail,
}

/// Everything the two templates say, in words.
struct Mail {
    subject: String,
    drill: bool,
    heading: String,
    /// What happened, when it is not simply a reminder.
    event: Option<&'static str>,
    /// Plain words of a message that is not about an obligation, line by line.
    note: Vec<String>,
    /// `2 h 10 m left`; shown strong.
    standing: String,
    /// Words between the standing and the holder.
    joint: &'static str,
    /// `nobody has it`, for open obligations.
    holder: Option<String>,
    tone: &'static str,
    bar: Option<Bar>,
    rows: Vec<Row>,
    ack_url: Option<String>,
    how_url: Option<String>,
    incident_url: Option<String>,
    also: Vec<Row>,
    told: Vec<Row>,
    why: String,
    log: Option<LogHead>,
}

/// How much of the window is used.
struct Bar {
    percent: i64,
    used: String,
    color: &'static str,
}

const INK: &str = "#14191f";
const SOON: &str = "#8d4600";
const LATE: &str = "#b0151d";
const MAYBE: &str = "#6238a0";
const DONE: &str = "#17653a";

/// Renders `message` for the instant `context.now`. Cannot fail: the templates are compiled in and write into memory.
pub fn render(message: &Message, context: &Context) -> Rendered {
    let mail = mail(message, context);
    let text = Text { mail: &mail }.render().expect("writing into a String cannot fail");
    let html = Html { mail: &mail }.render().expect("writing into a String cannot fail");
    Rendered { urgent: is_urgent(&message.brief, context.now), subject: mail.subject, text, html }
}

/// Is there still something to do? Messages about a whole incident have no standing and count as open.
fn is_open(brief: &Brief) -> bool {
    !matches!(brief.standing.as_str(), "discharged" | "waived" | "withdrawn" | "not-applicable")
}

/// Both limits, when the message knows any.
fn limits(brief: &Brief) -> Option<(Timestamp, Timestamp)> {
    let conservative = brief.conservative_due.or(brief.due)?;
    Some((conservative, brief.due.unwrap_or(conservative)))
}

fn is_urgent(brief: &Brief, now: Timestamp) -> bool {
    is_open(brief) && limits(brief).is_some_and(|(conservative, _)| (conservative - now).num_seconds() < SOON_SECONDS)
}

fn mail(message: &Message, context: &Context) -> Mail {
    let (brief, now) = (&message.brief, context.now);
    let heading = heading(message);
    let open = is_open(brief);
    let (standing, tone) = standing(message, now);
    let holder = (open && message.obligation.is_some()).then(|| holder(brief, now));
    let obligation_url = obligation_url(message, context);
    let incident_url = incident_url(message, context).map(|url| match &message.obligation {
        Some(obligation) => format!("{url}#{}", escape(obligation)),
        None => url,
    });
    Mail {
        subject: subject(message, context, &heading, holder.as_deref()),
        drill: is_drill(message, context),
        note: note(message),
        event: event_sentence(message.event).or_else(|| delay_sentence(message)),
        joint: if standing.is_empty() { "" } else { ", and " },
        standing,
        holder,
        tone,
        bar: bar(brief, now),
        rows: rows(message, now),
        ack_url: ack_url(message, context),
        how_url: obligation_url,
        incident_url,
        also: also(message, context),
        told: told(message, now),
        why: why(message, context, open),
        log: context.checkpoint.clone(),
        heading,
    }
}

fn heading(message: &Message) -> String {
    let duty = one_line(&message.brief.duty_title, 160);
    let title = one_line(&message.brief.incident_title, 160);
    match (duty.is_empty(), event_heading(message.event)) {
        (false, _) => duty,
        (true, words) if title.is_empty() => words.to_string(),
        (true, words) => format!("{words}: {title}"),
    }
}

fn event_heading(event: Event) -> &'static str {
    match event {
        Event::IncidentOpened => "Incident opened",
        Event::IncidentUpdated => "Incident updated",
        Event::ObligationAdded => "New obligation",
        Event::ObligationMoved => "A date moved",
        Event::ObligationDischarged => "Filing recorded",
        Event::ObligationOverdue => "A limit has passed",
        Event::ReminderDue => "Reminder",
        Event::EscalationRaised => "Escalation",
        Event::DeliveryFailed => "A message was not delivered",
        Event::EvidenceCheckpoint => "Evidence log checkpoint",
        Event::DaemonAlive => "breachclock is alive",
        Event::DaemonSelfTest => "Self-test, nothing to act on",
        Event::DaemonAlarm => "Alarm about breachclock itself",
        Event::DigestDue => "Digest",
    }
}

/// The event in a sentence where heading and standing do not say it.
fn event_sentence(event: Event) -> Option<&'static str> {
    match event {
        Event::IncidentOpened => Some("An incident was opened. Its clocks are listed on its page."),
        Event::IncidentUpdated => Some("What is known about the incident changed. Dates may have moved."),
        Event::ObligationAdded => Some("This obligation is new."),
        Event::ObligationMoved => Some("The date of this obligation moved: a fact was added or corrected."),
        Event::ObligationDischarged => None,
        Event::ObligationOverdue | Event::ReminderDue | Event::EscalationRaised => None,
        Event::DeliveryFailed => {
            Some("A message about this was not delivered. Do not rely on somebody having read it.")
        }
        Event::EvidenceCheckpoint => Some("The evidence log has a new checkpoint; its lines stand below."),
        Event::DaemonAlive => Some("A sign of life. If it stays away, look after the server: dates run on without it."),
        Event::DaemonSelfTest => {
            Some("A test of the whole chain, sent by itself every day. Its arrival is watched for.")
        }
        Event::DigestDue => None,
        Event::DaemonAlarm => Some("Look after this now: dates run on without it."),
    }
}

/// The step's own reason, where it is one of those that no policy states.
fn delay_sentence(message: &Message) -> Option<&'static str> {
    match message.reason.step.as_str() {
        DELAY_NOTICE => Some("If the limit cannot be met, the law wants the recipient to be told before it passes."),
        REASONS_FOR_DELAY => Some("They are asked for until somebody records them."),
        _ => None,
    }
}

/// Filed late, and the message asks why.
fn asks_why(message: &Message) -> bool {
    message.brief.standing == "discharged"
        && message
            .extra
            .asks
            .iter()
            .any(|ask| message.obligation.as_deref() == Some(&ask.obligation) && ask.what == Asked::ReasonsForDelay)
}

/// The note without what could disturb a reader's screen. Lines stay lines.
fn note(message: &Message) -> Vec<String> {
    let note = message.extra.note.as_deref().unwrap_or_default();
    note.trim().lines().take(60).map(|line| one_line(line, 400)).collect()
}

/// The policy's own date, where the law has none.
fn target(message: &Message) -> Option<Timestamp> {
    message.extra.internal_target.filter(|_| is_open(&message.brief) && limits(&message.brief).is_none())
}

/// What is left, or how late it is, and the colour that goes with it. No countdown where nothing counts.
fn standing(message: &Message, now: Timestamp) -> (String, &'static str) {
    let brief = &message.brief;
    match (brief.standing.as_str(), limits(brief)) {
        ("discharged", _) if asks_why(message) => {
            ("filed late, and the reasons for the delay are missing".to_string(), SOON)
        }
        ("discharged", _) => ("a filing is recorded".to_string(), DONE),
        ("waived", _) => ("recorded as not to be notified".to_string(), INK),
        ("withdrawn" | "not-applicable", _) => ("a later fact ended it".to_string(), INK),
        (word, Some((conservative, due))) => {
            let possible = word == "possible";
            let whole = |duration: String| duration.replace(' ', NO_BREAK);
            let (said, tone) = match Phase::at(due, conservative, now) {
                Phase::InTime if (conservative - now).num_seconds() < SOON_SECONDS => {
                    (format!("{} left", whole(words::left(conservative, now))), SOON)
                }
                Phase::InTime => (format!("{} left", whole(words::left(conservative, now))), INK),
                Phase::PastConservative => {
                    (format!("past the earliest reading, legal limit in {}", whole(words::left(due, now))), SOON)
                }
                Phase::Late => (format!("{} late", whole(words::late(due, now))), LATE),
            };
            let applies = if possible { format!("possible, {said} if it applies") } else { said };
            (applies, if possible && tone == INK { MAYBE } else { tone })
        }
        ("awaiting", None) => ("waits for the act that starts its clock".to_string(), INK),
        ("possible", None) => ("possible, a missing fact decides".to_string(), MAYBE),
        _ if brief.promptly.is_some() => {
            let until = match target(message) {
                Some(target) if now < target => {
                    format!(", {} left to the internal target", words::left(target, now).replace(' ', NO_BREAK))
                }
                Some(_) => ", the internal target has passed".to_string(),
                None => String::new(),
            };
            (format!("promptly, no number in the law{until}"), SOON)
        }
        _ => (String::new(), INK),
    }
}

fn holder(brief: &Brief, now: Timestamp) -> String {
    match &brief.holder {
        Some(holder) => {
            format!("{} has it until {}", one_line(&holder.name, 80), words::near_label(holder.at, brief.zone, now))
        }
        None => "nobody has it".to_string(),
    }
}

/// `[act before 04:05 CET] Early warning to BSI: nobody has it`. Says instants, not times left: it is read later.
fn subject(message: &Message, context: &Context, heading: &str, holder: Option<&str>) -> String {
    let (brief, now, zone) = (&message.brief, context.now, message.brief.zone);
    let tag = match (is_open(brief), limits(brief), target(message)) {
        (true, Some((conservative, due)), _) => match Phase::at(due, conservative, now) {
            Phase::InTime => format!("[act {}] ", near_limit(conservative, brief, now)),
            Phase::PastConservative => format!("[legal limit {}] ", near_limit(due, brief, now)),
            Phase::Late => format!("[late since {}] ", words::near_label(due, zone, now)),
        },
        (true, None, Some(target)) if now < target => format!("[target {}] ", near_limit(target, brief, now)),
        (true, None, Some(target)) => format!("[past the target of {}] ", words::near_label(target, zone, now)),
        (true, None, None) if brief.standing == "awaiting" => "[waiting] ".to_string(),
        (true, None, None) if brief.promptly.is_some() => "[promptly] ".to_string(),
        (false, ..) if asks_why(message) => "[filed late] ".to_string(),
        _ => String::new(),
    };
    let after = match message.event {
        Event::ObligationAdded => Some("new"),
        Event::ObligationMoved => Some("the date moved"),
        Event::ObligationDischarged => Some("a filing is recorded"),
        Event::DeliveryFailed => Some("a message was not delivered"),
        _ if message.reason.step == DELAY_NOTICE => Some("send a notice of delay if it cannot be met"),
        _ if asks_why(message) => Some("the reasons for the delay are missing"),
        _ => holder,
    };
    let drill = if is_drill(message, context) { "DRILL " } else { "" };
    let possible = if brief.standing == "possible" { "Possible: " } else { "" };
    let after = after.map(|words| format!(": {words}")).unwrap_or_default();
    let more = match brief.also.len() {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    format!("{drill}{tag}{possible}{heading}{after}{more}")
}

fn near_limit(due: Timestamp, brief: &Brief, now: Timestamp) -> String {
    let today = !words::ends_day(due, brief.zone) && brief.zone.local(due).date() == brief.zone.local(now).date();
    if today { format!("before {}", words::time_label(due, brief.zone)) } else { words::before_label(due, brief.zone) }
}

fn bar(brief: &Brief, now: Timestamp) -> Option<Bar> {
    let (conservative, due) = limits(brief)?;
    let started = brief.started_at.filter(|_| is_open(brief))?;
    let (used, whole) = ((now - started).num_seconds(), (conservative - started).num_seconds());
    if whole <= 0 || used < 0 {
        return None;
    }
    let color = match Phase::at(due, conservative, now) {
        Phase::Late => LATE,
        _ if whole - used < SOON_SECONDS => "#d97a06",
        _ => "#4a5866",
    };
    let said = match used < whole {
        true => format!("{} of {} used", words::duration(used), words::duration(whole)),
        false => format!("all of {} used", words::duration(whole)),
    };
    Some(Bar { percent: (used * 100 / whole).clamp(1, 100), used: said, color })
}

fn why(message: &Message, context: &Context, open: bool) -> String {
    let (reason, extra, now, zone) = (&message.reason, &message.extra, context.now, message.brief.zone);
    let receive = match message.target {
        Target::Channel { person: None, .. } => "This is",
        _ => "You receive this as",
    };
    let (step, policy) = (one_line(&reason.step, 60), one_line(&reason.policy, 60));
    let mut why = match is_about_the_house(message) {
        true if message.event == Event::DigestDue => {
            format!("You receive this because [[digest]] “{step}” in the configuration names you")
        }
        true => "You receive this because [watchdog] in the configuration names you".to_string(),
        false => format!("{receive} step “{step}” of the policy “{policy}”"),
    };
    if open && message.obligation.is_some() && message.brief.holder.is_none() {
        why.push_str(", because nobody holds the obligation");
    }
    why.push('.');
    if let Some(after) = &extra.after {
        why.push_str(&format!(" It comes this way because {}.", one_line(after, 160)));
    }
    match &extra.quiet {
        Some(Quiet::Deferred { from, until }) => why.push_str(&format!(
            " It was held back for quiet hours, from {} until {}: the limit left time for that.",
            words::short_label(*from, zone),
            words::short_label(*until, zone)
        )),
        Some(Quiet::Overridden { until }) => why.push_str(&format!(
            " It comes during quiet hours, because waiting until {} would have left too little time.",
            words::short_label(*until, zone)
        )),
        None => {}
    }
    if extra.overdue_count > 0 {
        why.push_str(&format!(
            " It is the {} reminder past the limit; they go on until a filing is recorded.",
            words::ordinal(extra.overdue_count)
        ));
    } else if reason.repeat > 0 {
        why.push_str(&format!(
            " It is sent for the {} time and repeats until {}.",
            words::ordinal(reason.repeat + 1),
            if asks_why(message) { "they are recorded" } else { "somebody acknowledges" }
        ));
    }
    match reason.coalesced {
        0 => {}
        1 => why.push_str(" It also stands for 1 step missed while breachclock was not running."),
        n => why.push_str(&format!(" It also stands for {n} steps missed while breachclock was not running.")),
    }
    if (now - reason.due_at).num_seconds() > BEHIND_SECONDS && !matches!(extra.quiet, Some(Quiet::Deferred { .. })) {
        let (at, behind) = (words::short_label(reason.due_at, zone), words::late(reason.due_at, now));
        why.push_str(&format!(" The step was due {at}; this message is {behind} behind."));
    }
    if ack_url(message, context).is_some() {
        why.push_str(" Please do not forward: the link is yours.");
    }
    why
}

impl Mail {
    fn lead(&self) -> String {
        hang("", &self.lead_sentence(), 0)
    }

    fn lead_sentence(&self) -> String {
        let holder = self.holder.as_deref().unwrap_or_default();
        let sentence = format!("{}{}{holder}", self.standing, if holder.is_empty() { "" } else { self.joint });
        match sentence.is_empty() {
            true => self.heading.clone(),
            false => format!("{}: {sentence}.", self.heading),
        }
    }

    fn note_text(&self) -> String {
        self.note.iter().map(|line| hang("", line, 0)).collect::<Vec<_>>().join("\n")
    }

    fn event_text(&self) -> String {
        hang("", self.event.unwrap_or_default(), 0)
    }

    fn why_text(&self) -> String {
        let ack = if self.ack_url.is_some() { "Acknowledging is not filing. " } else { "" };
        hang("", &format!("{ack}{}", self.why), 0)
    }
}
