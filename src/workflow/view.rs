//! What the verbs answer: the shapes the HTTP interface and the pages show.

use super::Discipline;
use crate::escalation::DeliveryState;
use crate::law::{Certainty, Value};
use crate::rules::{MightAppear, NotCovered, ObligationAnswer, OwedAnswer, Question, RulebookName, Warning};
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// Where the evidence of a commit landed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EvidenceReceipt {
    pub log_index: u64,
    /// Hexadecimal SHA-256.
    pub leaf_hash: String,
    pub entries: usize,
}

#[derive(Clone, Serialize, JsonSchema)]
pub struct FactView {
    pub key: String,
    /// The plain value as in a report; null after a withdrawal.
    #[schemars(with = "Value")]
    pub value: serde_json::Value,
    #[schemars(with = "Certainty")]
    pub certainty: &'static str,
    pub by: String,
    #[schemars(with = "Timestamp")]
    pub at: String,
    pub note: Option<String>,
    pub superseded: bool,
}

#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "Entity")]
pub struct EntityView {
    pub id: Option<String>,
    pub name: String,
    pub roles: Vec<String>,
    pub sectors: Vec<String>,
    pub established_in: Vec<String>,
    pub main_establishment: Option<String>,
    pub operates_in: Vec<String>,
    pub zone: Option<crate::time::Zone>,
}

/// One incident, whole.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "Incident")]
pub struct IncidentView {
    pub id: String,
    /// The number in the ETag.
    pub version: u64,
    pub title: String,
    pub entity: EntityView,
    pub source: Option<String>,
    pub reference: Option<String>,
    #[schemars(with = "Timestamp")]
    pub opened_at: String,
    pub opened_by: String,
    #[schemars(with = "Option<Timestamp>")]
    pub closed_at: Option<String>,
    #[schemars(with = "Timestamp")]
    pub now: String,
    pub rulebook: RulebookName,
    pub facts: Vec<FactView>,
    pub obligations: Vec<ObligationView>,
    /// Notices counterparties owe us under contracts.
    pub they_owe: Vec<OwedAnswer>,
    pub questions: Vec<Question>,
    /// Clocks that do not run yet and might, the fastest first.
    pub might_appear: Vec<MightAppear>,
    /// Limits that stand although the rule packs in force would move them later or drop them.
    pub awaiting_sign_off: Vec<KeptView>,
    pub not_covered: Vec<NotCovered>,
    pub warnings: Vec<Warning>,
}

/// A limit that stands until somebody signs off what the rule packs in force say instead.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "Kept")]
pub struct KeptView {
    /// Full id.
    pub obligation: String,
    #[schemars(with = "Option<Timestamp>")]
    pub due: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub conservative_due: Option<String>,
    #[schemars(with = "Timestamp")]
    pub since: String,
    /// SHA-256 of the rulebook that gave it.
    pub rulebook: String,
    /// The rule packs in force no longer give the obligation at all.
    pub gone: bool,
}

/// An obligation with what people did about it. The id is unique in the installation: `<incident>~<duty>@<place>`.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "Obligation")]
pub struct ObligationView {
    #[serde(flatten)]
    pub law: ObligationAnswer,
    pub incident: String,
    /// Of the incident, for `If-Match`.
    #[schemars(range(min = 1))]
    pub version: u64,
    pub incident_title: String,
    pub entity: String,
    pub holder: Option<Holder>,
    pub reminders: Vec<Reminder>,
    pub next_reminder: Option<NextReminder>,
    pub filings: Vec<FilingView>,
    pub waiver: Option<WaiverView>,
    /// The last proposal not to notify was refused, and there was no other since. Of one obligation, not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RefusalView")]
    pub refusal: Option<RefusalView>,
    pub delays: Vec<DelayView>,
    /// It is past its earliest reading, or was filed past the legal limit, and nobody recorded why.
    pub reasons_missing: bool,
    /// What the caller should know about its own request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

#[derive(Clone, Serialize, JsonSchema)]
pub struct Holder {
    pub name: String,
    pub role: Option<String>,
    #[schemars(with = "Timestamp")]
    pub since: String,
    #[schemars(with = "Timestamp")]
    pub until: String,
}

#[derive(Clone, Serialize, JsonSchema)]
pub struct Reminder {
    #[schemars(with = "Timestamp")]
    pub at: String,
    pub to: String,
    pub channel: String,
    #[schemars(with = "DeliveryState")]
    pub state: &'static str,
    pub step: String,
    pub attempts: u32,
    pub detail: Option<String>,
}

#[derive(Clone, Serialize, JsonSchema)]
pub struct NextReminder {
    #[schemars(with = "Timestamp")]
    pub at: String,
    pub to: Option<String>,
}

#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "Filing")]
pub struct FilingView {
    #[schemars(with = "Timestamp")]
    pub at: String,
    pub by: String,
    pub reference: Option<String>,
    pub proof_sha256: Option<String>,
    pub complete: bool,
    pub note: Option<String>,
}

#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "Waiver")]
pub struct WaiverView {
    /// `pending` until the second approver agrees, then `approved`.
    #[schemars(extend("enum" = ["pending", "approved"]))]
    pub state: &'static str,
    pub reason: String,
    pub by: String,
    #[schemars(with = "Timestamp")]
    pub at: String,
    pub second_approver: Option<String>,
    pub review_on: Option<String>,
    pub reopen_when: Vec<String>,
}

/// Somebody did not agree to a proposal not to notify.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "Refusal")]
pub struct RefusalView {
    /// Empty when it was erased.
    pub reason: String,
    pub by: String,
    #[schemars(with = "Timestamp")]
    pub at: String,
}

#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "Delay")]
pub struct DelayView {
    pub reason: String,
    pub by: String,
    #[schemars(with = "Timestamp")]
    pub at: String,
}

/// The answer to a report: 201 the first time, 200 with the first result afterwards.
#[derive(Serialize, JsonSchema)]
pub struct Reported {
    pub incident: IncidentView,
    pub evidence: Option<EvidenceReceipt>,
    #[serde(skip)]
    pub created: bool,
}

/// What facts changed, each entry with its reason.
#[derive(Clone, Default, Serialize, JsonSchema)]
pub struct Diff {
    pub added: Vec<DiffEntry>,
    pub moved: Vec<DiffEntry>,
    /// Facts that were unknown and are known.
    pub filled: Vec<DiffEntry>,
    pub dropped: Vec<DiffEntry>,
    pub unchanged: Vec<DiffEntry>,
}

#[derive(Clone, Serialize, JsonSchema)]
pub struct DiffEntry {
    pub id: String,
    pub title: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub because: String,
}

/// The answer to asserted facts.
#[derive(Serialize, JsonSchema)]
pub struct Changed {
    pub incident: String,
    pub version: u64,
    /// The incident was closed, and the change makes an obligation run, or possible: it is open again.
    pub reopened: bool,
    #[serde(flatten)]
    pub diff: Diff,
    pub evidence: Option<EvidenceReceipt>,
}

/// One thing that happened or became known, from the evidence log.
#[derive(Clone, Serialize, JsonSchema)]
pub struct TimelineItem {
    /// Number of the entry among those of the incident.
    pub entry: u64,
    /// When it was recorded.
    #[schemars(with = "Timestamp")]
    pub at: String,
    /// incident | fact | clock | message | delivery | acknowledgement | filing | decision | export
    #[schemars(extend("enum" = ["incident", "fact", "clock", "message", "delivery", "acknowledgement", "filing", "decision", "export"]))]
    pub kind: &'static str,
    pub text: String,
    pub obligation: Option<String>,
    pub by: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub until: Option<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Opaque; pass it as `after` for the next page. Null on the last one.
    pub next: Option<String>,
}

/// Filters of the two lists.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub standing: Option<String>,
    pub jurisdiction: Option<String>,
    pub entity: Option<String>,
    pub overdue: bool,
    pub due_before: Option<Timestamp>,
    pub after: Option<String>,
    pub limit: u32,
}

/// An incident in a list.
#[derive(Clone, Serialize, JsonSchema)]
pub struct IncidentSummary {
    pub id: String,
    pub version: u64,
    pub title: String,
    pub entity: EntityView,
    #[schemars(with = "Timestamp")]
    pub opened_at: String,
    #[schemars(with = "Option<Timestamp>")]
    pub closed_at: Option<String>,
    pub open_obligations: usize,
    pub overdue: usize,
    /// Earliest conservative limit.
    #[schemars(with = "Option<Timestamp>")]
    pub next_due: Option<String>,
}

/// Where things stand, for the foot of each page and `/readyz`.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "Status")]
pub struct StatusView {
    #[schemars(with = "Timestamp")]
    pub now: String,
    pub ready: bool,
    pub store: String,
    #[schemars(with = "Option<Timestamp>")]
    pub last_loop: Option<String>,
    pub scheduler_lag_seconds: f64,
    /// The earliest wake-up nobody has handled; in the past when one is late.
    #[schemars(with = "Option<Timestamp>")]
    pub next_wake: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub outbox_next: Option<String>,
    /// Ways out that take nothing at present.
    pub failing: Vec<FailingView>,
    /// When the oldest message that is not settled was decided.
    #[schemars(with = "Option<Timestamp>")]
    pub outbox_waiting_since: Option<String>,
    pub clock: ClockView,
    /// Heartbeats to other machines.
    pub pings: Vec<PingView>,
    pub log_size: u64,
    #[schemars(with = "Option<Timestamp>")]
    pub last_checkpoint: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub last_anchor: Option<String>,
    pub witnesses: Vec<WitnessView>,
    #[schemars(with = "Option<Timestamp>")]
    pub last_verification: Option<String>,
    pub rulebook: RulebookName,
    pub duties: usize,
    pub version: &'static str,
    /// To be mended, and no danger yet.
    pub warnings: Vec<String>,
    pub faults: Vec<String>,
}

/// A witness of the log (C2SP tlog-witness).
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Witness")]
pub struct WitnessView {
    pub name: String,
    /// When it last cosigned, by our clock.
    #[schemars(with = "Option<Timestamp>")]
    pub last_cosignature: Option<String>,
    /// Entries that the last cosignature covers.
    pub size: Option<u64>,
    /// Since when it does not, and why.
    #[schemars(with = "Option<Timestamp>")]
    pub failing_since: Option<String>,
    /// It does not because what it saw before is no beginning of this log.
    pub saw_another_log: bool,
    pub error: Option<String>,
}

/// A way out whose attempts fail.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "FailingWay")]
pub struct FailingView {
    /// `mail`, or `webhook:` and its id.
    pub way: String,
    /// End of the first failed attempt since the last answer.
    #[schemars(with = "Timestamp")]
    pub since: String,
    pub attempts: u64,
    /// Of the last attempt.
    pub error: String,
}

/// The machine's clock, as far as it is known.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "ClockStatus")]
pub struct ClockView {
    /// synchronised | unsynchronised | unknown
    #[schemars(with = "Discipline")]
    pub discipline: &'static str,
    #[schemars(with = "Option<Timestamp>")]
    pub since: Option<String>,
    /// Since start.
    pub steps: u64,
    /// Suspensions and standstills since start.
    pub suspensions: u64,
    pub last_event: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub last_event_at: Option<String>,
}

/// A heartbeat to another machine. Its address is a secret; the place is its host.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "Heartbeat")]
pub struct PingView {
    pub place: String,
    #[schemars(with = "Option<Timestamp>")]
    pub last_success: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub failing_since: Option<String>,
    pub error: Option<String>,
}

/// What a change asks besides what it changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// Of the incident that the caller decides on: another one is refused.
    pub version: Option<u64>,
    /// Under which the same request counts once.
    pub key: Option<&'a str>,
}

impl<'a> From<Option<&'a str>> for Terms<'a> {
    fn from(key: Option<&'a str>) -> Terms<'a> {
        Terms { version: None, key }
    }
}

impl<'a> Terms<'a> {
    /// The key, with the request it stands for.
    pub(super) fn of<'r>(&self, request: &'r str) -> Option<(&'r str, &'r str)>
    where
        'a: 'r,
    {
        self.key.map(|key| (key, request))
    }

    /// # Errors
    /// 412 when the incident is no longer at the version the caller saw.
    pub(super) fn hold(&self, current: u64) -> super::Answered<()> {
        match self.version {
            Some(wanted) if wanted != current => Err(super::Trouble::Stale { current }),
            _ => Ok(()),
        }
    }
}

/// What acknowledging asks for.
#[derive(Clone, Debug, Default)]
pub struct AckRequest {
    /// Seconds the person wants to have it; the policy's lease when absent.
    pub lease_seconds: Option<i64>,
    /// Person id or name, when the token speaks for several people.
    pub by: Option<String>,
    pub role: Option<String>,
    /// Tell the next person now.
    pub decline: bool,
}

#[derive(Clone, Debug, Default)]
pub struct FilingRequest {
    /// When the notice was given; `now` when absent. Not in the future.
    pub at: Option<Timestamp>,
    pub by: Option<String>,
    pub reference: Option<String>,
    /// SHA-256 of the proof, when one was handed in.
    pub proof: Option<[u8; 32]>,
    pub complete: Option<bool>,
    pub note: Option<String>,
    /// The proof itself, to be kept as a file of the incident; `proof` is its hash then.
    pub proof_bytes: Option<Vec<u8>>,
    /// Entries of the incident that name files which show the filing: proof, receipt, mail, transcript.
    pub documents: Vec<u64>,
}

#[derive(Clone, Debug, Default)]
pub struct WaiverRequest {
    pub reason: String,
    pub by: Option<String>,
    pub second_approver: Option<String>,
    pub review_on: Option<String>,
    /// Facts: when one of them changes, the decision ends.
    pub reopen_when: Vec<String>,
    /// Structured reasons, words of the operator's own list.
    pub grounds: Vec<String>,
    /// Facts the decision rests on; their values at this moment are recorded with it.
    pub inputs: Vec<String>,
    pub score: Option<Score>,
}

/// A severity score that a decision rests on. Words: entries hold no fractions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Score {
    pub method: String,
    pub value: String,
    pub band: Option<String>,
}

/// What the page behind a link in a message shows before it acts.
#[derive(Clone, Serialize, JsonSchema)]
pub struct AckOffer {
    pub person: String,
    pub obligations: Vec<ObligationView>,
    /// Seconds; those that leave time for another person.
    pub lease_options: Vec<i64>,
    #[schemars(with = "Option<Timestamp>")]
    pub latest_lease: Option<String>,
    #[schemars(with = "Timestamp")]
    pub expires: String,
}
