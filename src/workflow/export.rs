//! One incident as a bundle that a regulator checks without us. What the log shows by itself stands in `log`.

use super::erase::withheld_of;
use super::evidence_of::SYSTEM;
use super::read::value_json;
use super::{Answered, Caller, House, Right, Trouble, rejected};
use crate::evidence::export::{self, ExportCreated, ExportInput, Withheld};
use crate::evidence::report::{
    EntryWords, EventRow, FactRow, LimitRow, ObligationRow, Outcome, ReportModel, StepRow, Words,
};
use crate::evidence::{Disclosure, Happening, Hash, Id, hex};
use crate::law::Standing;
use crate::store::{Change, Changeset, Dossier, Store};
use crate::time::{Timestamp, Zone};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// How often an export is repeated when the stream grew while it was made.
const ATTEMPTS: usize = 5;

/// Kinds of personal fields that an export may leave out, with the ends of the pointers they stand at.
const WITHHOLDABLE: [(&str, &[&str]); 6] = [
    ("privileged", &["/note"]),
    ("people", &["/by", "/second_approver"]),
    ("reasons", &["/reason"]),
    ("third-party", &["/value", "/profile"]),
    ("delivery", &["/answer", "/detail"]),
    // with the hash goes the file
    ("attachments", &["/sha256", "/name", "/how", "/tool"]),
];

/// Why a field is left out that nobody withheld: its value or its key is gone.
const NOT_AT_HAND: &str = "not-at-hand";

/// Who a bundle may be for, and what it leaves out without being asked: notes may be legal advice, and a client need
/// not learn who works here, what others told us or how we weighed it.
const PROFILES: [(&str, &[&str]); 3] = [
    ("authority", &["privileged"]),
    ("client", &["privileged", "people", "reasons", "third-party", "delivery", "attachments"]),
    ("internal", &[]),
];

/// What an export would disclose and withhold, and how many fields of each kind could be withheld.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct Preview {
    #[schemars(extend("enum" = PROFILES.map(|(profile, _)| profile)))]
    pub profile: &'static str,
    /// With the one that the export itself becomes.
    #[schemars(range(min = 1))]
    pub entries: usize,
    pub personal_fields: usize,
    pub erased: usize,
    /// By kind.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub withholdable: Map<String, Value>,
    /// Kinds that are left out.
    pub withheld: Vec<&'static str>,
    pub disclosed_fields: usize,
    /// By kind.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub withheld_fields: Map<String, Value>,
    /// Fields that somebody withheld with a reason.
    pub withheld_one_by_one: usize,
}

/// What somebody wants exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportRequest {
    /// `authority`, `client` or `internal`.
    pub profile: String,
    /// Kinds of personal fields to leave out besides those of the profile.
    pub withhold: Vec<String>,
    /// Of the report's frame text: `en`, `de`, `fr`.
    pub language: String,
    /// IANA name of the reader's zone; the entity's without it.
    pub zone: Option<String>,
}

impl ExportRequest {
    /// What `profile` leaves out and no more, in English and the entity's zone.
    pub fn of(profile: &str) -> ExportRequest {
        ExportRequest { profile: profile.into(), withhold: Vec::new(), language: "en".into(), zone: None }
    }
}

impl<S: Store> House<S> {
    /// The bundle as a ZIP, with its file name. The export is itself an entry, the stream's last one.
    pub async fn bundle(
        &self,
        caller: &Caller,
        id: &str,
        wanted: &ExportRequest,
        now: Timestamp,
    ) -> Answered<(String, Vec<u8>)> {
        self.permit(caller, Right::Export)?;
        let (profile, its_kinds) = profile(&wanted.profile)?;
        let words = words(&wanted.language)?;
        let asked_zone = wanted.zone.as_deref().map(named_zone).transpose()?;
        let kinds = withhold_kinds(its_kinds.iter().copied().chain(wanted.withhold.iter().map(String::as_str)))?;
        for _ in 0..ATTEMPTS {
            let dossier = self.dossier(caller, id).await?;
            let before = self.store.stream(id).await?;
            let mut disclosures = self.store.disclosures(id).await?;
            if profile != "internal" {
                // the log says so already, with the reason
                let standing = withheld_of(&before);
                disclosures.retain(|commitment, _| !standing.contains_key(commitment));
            }
            let lines: Vec<&[u8]> = before.iter().map(|e| e.bytes.as_slice()).collect();
            let (mut withheld, mut disclosed) = partition(&lines, &disclosures, &kinds);
            let (attachments, unavailable) = self.bundled(id, &lines, &disclosed).await?;
            if !unavailable.is_empty() {
                // the entry stays, and says that there was a file
                disclosed.retain(|d| !unavailable.contains(&d.commitment));
                let commitments = unavailable.iter().map(|c| hex(c)).collect();
                withheld.push(Withheld { reason: "unavailable".into(), commitments });
            }
            let body = ExportCreated {
                actor: caller.name.clone().into(),
                profile: profile.to_string().into(),
                entries: before.len() as u64 + 1,
                withheld,
                clk: Some(self.stats.health.clk()),
            };
            let first = self.draft_export(id, &body, now);
            self.commit(Changeset { change: Change::Nothing, first, more: Vec::new() }).await?;
            let checkpoint = self.attest(now).await?.ok_or_else(|| Trouble::NotNow("the log is empty".into()))?;
            let entries = self.store.stream(id).await?;
            if entries.len() != before.len() + 1 {
                // somebody wrote in between: the count in the entry would be wrong
                continue;
            }
            let indices: Vec<u64> = entries.iter().map(|e| e.idx).collect();
            let proofs = self.inclusion_proofs(&indices, checkpoint.size).await?;
            let rules = self.rule_texts(&entries.iter().map(|e| e.bytes.as_slice()).collect::<Vec<_>>());
            let shown = disclosed.iter().map(|d| (d.commitment, d.bytes.clone())).collect();
            let zone = asked_zone.or(dossier.record.incident.entity.zone).unwrap_or(Zone::UTC);
            let timeline = entry_words(self.happenings(entries.iter().map(|e| e.bytes.as_slice()), &shown));
            let input = ExportInput {
                product: concat!("breachclock ", env!("CARGO_PKG_VERSION")),
                entries: entries.into_iter().map(|e| e.bytes).collect(),
                proofs,
                disclosures: disclosed,
                attachments,
                rules,
                checkpoint: self.signed(&checkpoint)?,
                log_key: &self.log_key,
                export_key: &self.export_key,
                exporter: &exporter_name(&self.settings.origin),
                report: ReportModel { timeline, ..self.report_model(&dossier, profile, words, zone, &kinds, now) },
            };
            let stamps = self.stamps(&checkpoint, &indices, now).await?;
            let bundle = self.stamped_bundle(&input, stamps, now).await.map_err(|e| Trouble::NotNow(e.to_string()))?;
            if let Some(why) = &bundle.not_printed {
                tracing::warn!(incident = id, why, "the bundle goes out without its printed report");
            }
            let bundle = bundle.to_zip().map_err(|e| Trouble::NotNow(e.to_string()))?;
            self.announce();
            let name = format!("breachclock-{id}-{profile}-{}.zip", now.format("%Y%m%dT%H%M%SZ"));
            return Ok((name, bundle));
        }
        Err(Trouble::NotNow("the incident keeps changing; export it again in a moment".into()))
    }

    /// What an export would show and leave out, by kind, before it is made.
    pub async fn bundle_preview(
        &self,
        caller: &Caller,
        id: &str,
        profile: &str,
        withhold: &[String],
        _now: Timestamp,
    ) -> Answered<Preview> {
        self.permit(caller, Right::Export)?;
        let (profile, its_kinds) = self::profile(profile)?;
        let left_out = withhold_kinds(its_kinds.iter().copied().chain(withhold.iter().map(String::as_str)))?;
        self.dossier(caller, id).await?;
        let entries = self.store.stream(id).await?;
        let mut disclosures = self.store.disclosures(id).await?;
        let lines: Vec<&[u8]> = entries.iter().map(|e| e.bytes.as_slice()).collect();
        let commitments = export::commitments(lines.iter().copied());
        let erased = commitments.iter().filter(|c| !disclosures.contains_key(*c)).count();
        let mut withholdable = Map::new();
        for (kind, ends) in WITHHOLDABLE {
            let count = disclosures.values().filter(|bytes| stands_at(bytes, ends)).count();
            withholdable.insert(kind.to_string(), json!(count));
        }
        let mut standing = 0;
        if profile != "internal" {
            let withheld = withheld_of(&entries);
            let before = disclosures.len();
            disclosures.retain(|commitment, _| !withheld.contains_key(commitment));
            standing = before - disclosures.len();
        }
        let (withheld, disclosed) = partition(&lines, &disclosures, &left_out);
        let not_at_hand = Id::from(NOT_AT_HAND);
        let withheld_fields: Map<String, Value> = withheld
            .iter()
            .filter(|left| left.reason != not_at_hand)
            .map(|left| (plain(&json!(left.reason)), json!(left.commitments.len())))
            .collect();
        Ok(Preview {
            profile,
            entries: entries.len() + 1,
            personal_fields: commitments.len(),
            erased,
            withholdable,
            withheld: left_out.iter().map(|(kind, _)| *kind).collect(),
            disclosed_fields: disclosed.len(),
            withheld_fields,
            withheld_one_by_one: standing,
        })
    }

    /// The rule texts the entries name: each manifest, the packs that say something about this incident, and those that are
    /// not in every copy of this program: who computes again needs them.
    fn rule_texts(&self, entries: &[&[u8]]) -> Vec<Vec<u8>> {
        // an incident has many computations and few rulebooks
        let mut asked: BTreeMap<Hash, BTreeSet<String>> = BTreeMap::new();
        for entry in entries {
            let entry: Value = serde_json::from_slice(entry).unwrap_or_default();
            let manifest = entry["body"]["rulebook"].as_str().and_then(crate::evidence::unhex32);
            let (true, Some(manifest)) = (entry["type"] == "deadline.computed", manifest) else { continue };
            let duties = asked.entry(manifest).or_default();
            for o in entry["body"]["obligations"].as_array().into_iter().flatten() {
                duties.extend(o["id"].as_str().and_then(|id| id.rsplit_once('@')).map(|(duty, _)| duty.to_string()));
            }
        }
        let mut texts: BTreeMap<Hash, Vec<u8>> = BTreeMap::new();
        for (manifest_hash, duties) in asked {
            let Some(manifest) = (self.archive)(&manifest_hash) else { continue };
            let listing: Value = serde_json::from_slice(&manifest).unwrap_or_default();
            let mut packs: BTreeSet<String> = ["conventions.toml".into(), "places.toml".into()].into();
            // a duty may have gone since, or moved to another pack
            let now = self.book();
            let book = if now.sha256 == manifest_hash { now } else { self.earlier_book(&manifest_hash).unwrap_or(now) };
            for duty in duties.iter().filter_map(|duty| book.duty(duty)) {
                packs.insert(format!("{}.toml", duty.pack.split('@').next().unwrap_or_default()));
            }
            for file in listing["files"].as_array().into_iter().flatten() {
                let Some(hash) = file["sha256"].as_str().and_then(crate::evidence::unhex32) else { continue };
                let named = file["path"].as_str().is_some_and(|path| packs.contains(path));
                if (named || !crate::rules::is_builtin(&hash))
                    && let Some(text) = (self.archive)(&hash)
                {
                    texts.insert(hash, text);
                }
            }
            texts.insert(manifest_hash, manifest);
        }
        texts.into_values().collect()
    }

    /// What the report says besides the entries.
    fn report_model(
        &self,
        dossier: &Dossier,
        profile: &str,
        words: Words,
        zone: Zone,
        kinds: &[Kind],
        now: Timestamp,
    ) -> ReportModel {
        // the report must not tell what the entries keep back
        let mask = |kind: &str, text: String| match kinds.iter().any(|(withheld, _)| *withheld == kind) {
            true => words.get("not_shown").to_string(),
            false => text,
        };
        let (book, plan) = self.plan_of(dossier, now);
        let incident = &dossier.record.incident;
        let obligations = plan
            .obligations
            .iter()
            .map(|o| {
                let view = plan.book_of(&book, o).explain(incident, o, now);
                let limit = o.standing.deadline().map(|d| LimitRow {
                    from: d.counting_from,
                    due: d.due,
                    conservative_due: d.conservative_due,
                    by_hours: view.grid.iter().any(|day| day.counted.parse::<f64>().is_ok_and(|n| n > 1.0)),
                    grid: view.grid,
                });
                let filed = match &o.standing {
                    Standing::Discharged { at, .. } => Some(*at),
                    _ => None,
                };
                let steps = view.steps.into_iter().map(|s| StepRow {
                    text: s.text,
                    result: s.result.unwrap_or_default(),
                    citation: s.citation.unwrap_or_default(),
                });
                ObligationRow {
                    name: format!("{}: {} ({})", view.title, view.recipient_name, view.jurisdiction),
                    citation: format!("{}, {}", view.law, view.citation),
                    source_url: view.source_url,
                    standing: view.standing.into(),
                    zone: o.zone,
                    limit,
                    filed,
                    steps: steps.collect(),
                }
            })
            .collect();
        let facts = incident
            .facts
            .history()
            .iter()
            .map(|f| FactRow {
                name: f.key.clone(),
                value: f.value.as_ref().map(|v| match v {
                    crate::law::Value::Text(_) => mask("third-party", plain(&value_json(v))),
                    _ => plain(&value_json(v)),
                }),
                certainty: f.certainty.as_str().into(),
                asserted_by: mask("people", f.asserted_by.clone()),
                asserted_at: f.asserted_at,
            })
            .collect();
        let messages = dossier
            .sent
            .iter()
            .map(|s| EventRow {
                at: s.message.created_at,
                who: mask("people", s.message.target.name()),
                what: s.message.event.as_str().into(),
                step: Some(s.message.reason.step.clone()).filter(|step| !step.is_empty()),
                outcome: Outcome::Words(s.state.as_str().into()),
            })
            .collect();
        let (mut acknowledgements, mut filings) = (Vec::new(), Vec::new());
        for (obligation, act) in &dossier.record.acts {
            acknowledgements.extend(act.acknowledgements.iter().map(|a| EventRow {
                at: a.at,
                who: mask("people", a.by.clone()),
                what: obligation.clone(),
                step: None,
                outcome: Outcome::Until(a.until),
            }));
            filings.extend(act.filings.iter().map(|f| EventRow {
                at: f.at,
                who: mask("people", f.by.clone()),
                what: obligation.clone(),
                step: None,
                outcome: Outcome::Words(f.reference.clone().unwrap_or_default()),
            }));
        }
        ReportModel {
            words,
            title: incident.title.clone(),
            reference: incident.id.0.clone(),
            basis: String::new(),
            controller: incident.entity.name.clone(),
            contact: String::new(),
            profile: profile.into(),
            made_by: String::new(),
            made_at: now,
            zone,
            opened_at: incident.opened_at,
            opened_by: mask("people", incident.opened_by.clone()),
            packs: book.version.clone(),
            zones: crate::time::tzdb_version().to_string(),
            timeline: BTreeMap::new(),
            obligations,
            facts,
            messages,
            acknowledgements,
            filings,
        }
    }
}

/// The report's timeline: each entry in words; a long one is cut, as its parts stand in the tables.
fn entry_words(happenings: Vec<Happening>) -> BTreeMap<u64, EntryWords> {
    const MOST: usize = 12;
    let mut words: BTreeMap<u64, (Timestamp, Vec<String>)> = BTreeMap::new();
    for h in happenings {
        let by = h.by.map(|by| format!(" (by {by})")).unwrap_or_default();
        words.entry(h.n).or_insert_with(|| (h.at, Vec::new())).1.push(format!("{}{by}", h.text));
    }
    let line = |(n, (at, mut parts)): (u64, (Timestamp, Vec<String>))| {
        let more = parts.len().saturating_sub(MOST);
        parts.truncate(MOST);
        if more > 0 {
            parts.push(format!("and {more} more"));
        }
        (n, EntryWords { at, what: parts.join("; ") })
    };
    words.into_iter().map(line).collect()
}

fn words(language: &str) -> Answered<Words> {
    Words::named(language).ok_or_else(|| {
        let known: Vec<String> = Words::codes().iter().map(|code| format!("`{code}`")).collect();
        rejected("/language", format!("the report does not speak `{language}`; it may be {}", known.join(", ")))
    })
}

fn named_zone(name: &str) -> Answered<Zone> {
    Zone::named(name).map_err(|_| {
        rejected("/zone", format!("`{name}` is no time zone: use a name such as `Europe/Berlin` or `UTC`"))
    })
}

/// A kind of field, and the ends of the pointers it stands at.
type Kind = (&'static str, &'static [&'static str]);

fn profile(wanted: &str) -> Answered<(&'static str, &'static [&'static str])> {
    PROFILES.into_iter().find(|(name, _)| *name == wanted).ok_or_else(|| {
        rejected("/profile", format!("`{wanted}` is no profile; it may be `authority`, `client` or `internal`"))
    })
}

/// Each kind once.
fn withhold_kinds<'a>(wanted: impl Iterator<Item = &'a str>) -> Answered<Vec<Kind>> {
    let mut kinds: Vec<Kind> = Vec::new();
    for wanted in wanted {
        let kind = WITHHOLDABLE.into_iter().find(|(kind, _)| *kind == wanted).ok_or_else(|| {
            let known: Vec<String> = WITHHOLDABLE.iter().map(|(kind, _)| format!("`{kind}`")).collect();
            rejected("/withhold", format!("`{wanted}` cannot be withheld; it may be {}", known.join(", ")))
        })?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}

fn stands_at(disclosure: &[u8], ends: &[&str]) -> bool {
    Disclosure::from_bytes(disclosure.to_vec())
        .read()
        .is_some_and(|(pointer, _)| ends.iter().any(|end| pointer.ends_with(end)))
}

/// Splits the fields of a stream into those left out, by kind, and those shown.
fn partition(entries: &[&[u8]], stored: &BTreeMap<Hash, Vec<u8>>, kinds: &[Kind]) -> (Vec<Withheld>, Vec<Disclosure>) {
    let mut withheld: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut disclosed = Vec::new();
    let erased = export::erased(entries.iter().copied());
    for commitment in export::commitments(entries.iter().copied()) {
        let Some(bytes) = stored.get(&commitment) else {
            // lost without an erasure in this log, as when a backup from before one was restored: the bundle says so, and
            // the rest of the evidence goes out
            if !erased.contains(&commitment) {
                withheld.entry(NOT_AT_HAND).or_default().push(hex(&commitment));
            }
            continue;
        };
        match kinds.iter().find(|(_, ends)| stands_at(bytes, ends)) {
            Some((kind, _)) => withheld.entry(kind).or_default().push(hex(&commitment)),
            None => disclosed.push(Disclosure::from_bytes(bytes.clone())),
        }
    }
    (
        withheld.into_iter().map(|(reason, commitments)| Withheld { reason: reason.into(), commitments }).collect(),
        disclosed,
    )
}

/// A name for the exporter out of the log's: letters, digits, dots, dashes.
fn exporter_name(origin: &str) -> String {
    origin.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '-' }).collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

impl<S: Store> House<S> {
    fn draft_export(&self, stream: &str, body: &ExportCreated, now: Timestamp) -> crate::evidence::Draft {
        debug_assert_ne!(stream, SYSTEM);
        crate::evidence::Draft::new(stream.to_string(), "export.created", now, self.nonce(), body)
    }
}
