//! One incident as a bundle of plain files that somebody without our software, account or network can check.
//!
//! Absent: asking for time stamps ([`super::stamps`] are handed in), and the choice of what to withhold.

use super::zipfile::is_name;
use super::{
    Checkpoint, Clk, Disclosure, EvidenceError, Hash, Id, ReportModel, SigningKey, Stamps, certification, check_stream,
    hex, leaf_hash, merkle, report, sha256, sshsig, unhex32, zipfile,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Namespace of the signature over `SHA256SUMS`.
pub const EXPORT_NAMESPACE: &str = "breachclock-export-v1";
/// Namespace of the signature over `checkpoint.txt`.
pub const CHECKPOINT_NAMESPACE: &str = "breachclock-checkpoint-v1";

const VERIFY_SH: &str = include_str!("bundle/verify.sh");
const VERIFY_PY: &str = include_str!("bundle/verify.py");
const README: &str = include_str!("bundle/README.txt");

/// Body of an `export.created` entry, which must be the stream's last one: member order is part of the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportCreated {
    /// Name of the token or role that asked; nothing personal.
    pub actor: Id<'static>,
    /// `authority`, `client` or `internal`.
    pub profile: Id<'static>,
    /// Entries of the stream, this one included.
    pub entries: u64,
    pub withheld: Vec<Withheld>,
    /// What was known of the clock; entries of earlier programs do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clk: Option<Clk>,
}

/// Fields left out of one export for one reason; each could be handed in later and checked against its commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Withheld {
    /// A word such as `privileged`.
    pub reason: Id<'static>,
    /// 64 lower-case hexadecimal digits each.
    pub commitments: Vec<String>,
}

/// Everything a bundle is made of.
#[derive(Clone, Debug)]
pub struct ExportInput<'a> {
    /// Name and version of the program, e.g. `breachclock 0.1.0`.
    pub product: &'a str,
    /// The stream's entries, exact bytes, first to last. The last one is `export.created`.
    pub entries: Vec<Vec<u8>>,
    /// For each entry the inclusion proof under `checkpoint` ([`merkle::inclusion`]).
    pub proofs: Vec<Vec<Hash>>,
    /// The values disclosed. Each commitment of the entries is here, erased, or withheld by the log.
    pub disclosures: Vec<Disclosure>,
    /// Raw files named by a disclosure: pointer ends in `/proof`, `/attachment` or `/sha256`, value is their SHA-256.
    pub attachments: Vec<Vec<u8>>,
    /// JSON texts; those named `"rulebook"` by `deadline.computed` entries, and those that such a text names.
    pub rules: Vec<Vec<u8>>,
    pub checkpoint: Checkpoint,
    pub log_key: &'a SigningKey,
    pub export_key: &'a SigningKey,
    /// Name under which the export key is published, e.g. `acme-breachclock`: letters, digits, `._-`.
    pub exporter: &'a str,
    pub report: ReportModel,
}

/// A finished bundle: file name to content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    pub files: BTreeMap<String, Vec<u8>>,
    /// Why there is no `report.pdf` although this program can print: the evidence goes out without it.
    pub not_printed: Option<String>,
}

impl Bundle {
    /// Packs the files. The same bundle gives the same bytes.
    ///
    /// # Errors
    /// Only for names that [`build`] does not make.
    pub fn to_zip(&self) -> Result<Vec<u8>, EvidenceError> {
        zipfile::write(&self.files)
    }
}

/// What the builder needs to know of one entry.
struct Row {
    n: u64,
    idx: u64,
    ts: String,
    kind: String,
    sha256: String,
    body: Value,
}

/// Makes the bundle. Deterministic: no clock, no randomness; `generated_at` is the time of `export.created`.
///
/// # Errors
/// When the parts do not fit together: a field neither disclosed nor erased nor withheld, a rule text or attachment
/// that an entry names and nobody gave, a proof that does not lead to the checkpoint.
pub fn build(input: ExportInput<'_>) -> Result<Bundle, EvidenceError> {
    build_stamped(&input, &Stamps::default())
}

/// The same with time stamps.
///
/// # Errors
/// As [`build`].
pub fn build_stamped(input: &ExportInput<'_>, stamps: &Stamps) -> Result<Bundle, EvidenceError> {
    let rows = input.entries.iter().map(|bytes| row(bytes)).collect::<Result<Vec<Row>, _>>()?;
    let stream = stream_of(input, &rows)?;
    let fields = fields(input, &rows)?;
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let checkpoint = &input.checkpoint.clone().cosigned(&stamps.cosignatures);
    for ((row, bytes), proof) in rows.iter().zip(&input.entries).zip(&input.proofs) {
        if !merkle::verify_inclusion(&leaf_hash(bytes), row.idx, checkpoint.size, proof, &checkpoint.root) {
            return refuse(format!(
                "entry {} is not under the checkpoint: make the checkpoint after the entry",
                row.idx
            ));
        }
        files.insert(format!("entries/{:06}.json", row.n), bytes.clone());
        files.insert(format!("proofs/{:06}.tlog-proof", row.n), tlog_proof(row.idx, proof, checkpoint).into_bytes());
    }
    for disclosure in &input.disclosures {
        files.insert(disclosure.file_name(), disclosure.bytes.clone());
    }
    let rules = rules(input, &rows)?;
    rules
        .iter()
        .zip(&input.rules)
        .for_each(|(name, text)| drop(files.insert(format!("rules/{name}.json"), text.clone())));
    let attachments = attachments(input)?;
    for (name, bytes) in attachments.iter().zip(&input.attachments) {
        files.insert(format!("attachments/{name}"), bytes.clone());
    }
    let note = checkpoint.note.clone().into_bytes();
    files.insert("checkpoint.txt.sig".into(), sshsig::sign(input.log_key, CHECKPOINT_NAMESPACE, &note).into_bytes());
    files.insert("checkpoint.txt".into(), note);
    files.extend(stamps.files(&input.checkpoint));
    keys(input, &mut files);
    files
        .insert("bundle.json".into(), index(input, stamps, &stream, &rows, &fields, &rules, &attachments).into_bytes());
    let counts = report::Counts {
        disclosed: input.disclosures.len(),
        erased: fields.erased.len(),
        withheld: fields.withheld.values().map(Vec::len).sum(),
    };
    let not_printed = reports(input, stamps, &rows, counts, &mut files);
    let made_at = &rows[rows.len() - 1].ts;
    let certification = certification::text(input, &stream, made_at, counts, &files);
    files.insert("certification.txt".into(), certification.into_bytes());
    files.insert("verify.sh".into(), VERIFY_SH.into());
    files.insert("verify.py".into(), VERIFY_PY.into());
    files.insert("README.txt".into(), readme(input, stamps, &stream, &rows).into_bytes());
    seal_sums(&mut files, input.export_key);
    Ok(Bundle { files, not_printed })
}

/// The bundle for people: the page, and the printed report where this program has a printer. Answers why it could not print.
fn reports(
    input: &ExportInput<'_>,
    stamps: &Stamps,
    rows: &[Row],
    counts: report::Counts,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Option<String> {
    let hashes: Vec<report::EntryLine<'_>> = rows
        .iter()
        .map(|row| report::EntryLine { n: row.n, idx: row.idx, ts: &row.ts, kind: &row.kind, sha256: &row.sha256 })
        .collect();
    let reported = rows.iter().find(|row| row.kind == "incident.reported");
    let clock = [reported, rows.last()].map(|row| row.map_or(&Value::Null, |row| &row.body["clk"]));
    let frame = report::Frame {
        entries: &hashes,
        clock,
        counts,
        checkpoint: &input.checkpoint,
        stamped: report::Stamped {
            any: stamps.checkpoint.is_some() || stamps.earlier.iter().any(|earlier| earlier.token.is_some()),
            configured: stamps.configured,
            summary: stamps.summary(&rows.iter().map(|row| row.idx).collect::<Vec<_>>()),
            witnesses: stamps.witnesses(),
        },
        exporter: input.exporter,
        product: input.product,
    };
    let document = report::document(&input.report, &frame);
    files.insert("report.html".into(), report::html(&document).into_bytes());
    let attached: Vec<(&str, &[u8])> = ["bundle.json", "checkpoint.txt"]
        .iter()
        .filter_map(|name| Some((*name, files.get(*name)?.as_slice())))
        .collect();
    match report::pdf(&document, &attached)? {
        Ok(printed) => {
            files.insert("report.pdf".into(), printed);
            None
        }
        Err(why) => Some(why),
    }
}

/// Writes `SHA256SUMS` over every other file and signs it, replacing what is there.
pub fn seal_sums(files: &mut BTreeMap<String, Vec<u8>>, export_key: &SigningKey) {
    files.remove("SHA256SUMS");
    files.remove("SHA256SUMS.sig");
    let mut sums = String::new();
    for (name, bytes) in files.iter() {
        writeln!(sums, "{}  {name}", hex(&sha256(bytes))).expect("writing to a string succeeds");
    }
    let signature = sshsig::sign(export_key, EXPORT_NAMESPACE, sums.as_bytes());
    files.insert("SHA256SUMS".into(), sums.into_bytes());
    files.insert("SHA256SUMS.sig".into(), signature.into_bytes());
}

/// C2SP tlog-proof@v1: index, path, checkpoint verbatim.
pub fn tlog_proof(idx: u64, proof: &[Hash], checkpoint: &Checkpoint) -> String {
    let path: String = proof.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
    format!("c2sp.org/tlog-proof@v1\nindex {idx}\n{path}\n{}", checkpoint.note)
}

/// Commitments named by the entries of a stream, in order, each once: what an export has to account for.
pub fn commitments<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Vec<Hash> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for bytes in entries {
        let entry: Value = serde_json::from_slice(bytes).unwrap_or_default();
        members(&entry["body"], &mut |name, value| {
            if let Some(hash) = (name == "$c").then(|| value.as_str().and_then(unhex32)).flatten()
                && seen.insert(hash)
            {
                found.push(hash);
            }
        });
    }
    found
}

/// Commitments that entries of the stream say were erased.
pub fn erased<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> BTreeSet<Hash> {
    let mut found = BTreeSet::new();
    for bytes in entries {
        let entry: Value = serde_json::from_slice(bytes).unwrap_or_default();
        if entry["type"] == "disclosure.erased" {
            listed(&entry["body"], &mut |hash, _| found.extend(unhex32(hash)));
        }
    }
    found
}

/// Fields that are not disclosed, and why.
struct Fields {
    erased: BTreeSet<String>,
    /// By reason.
    withheld: BTreeMap<String, Vec<String>>,
}

fn row(bytes: &[u8]) -> Result<Row, EvidenceError> {
    let read = || {
        let mut entry: Value = serde_json::from_slice(bytes).ok()?;
        Some(Row {
            n: entry["n"].as_u64()?,
            idx: entry["idx"].as_u64()?,
            ts: entry["ts"].as_str()?.to_string(),
            kind: entry["type"].as_str()?.to_string(),
            sha256: hex(&sha256(bytes)),
            body: entry["body"].take(),
        })
    };
    read().ok_or_else(|| EvidenceError::Export("an entry cannot be read: run `breachclock evidence fsck`".into()))
}

fn stream_of(input: &ExportInput<'_>, rows: &[Row]) -> Result<String, EvidenceError> {
    let Some(last) = rows.last() else { return refuse("there are no entries to export") };
    if last.kind != "export.created" || last.body["entries"].as_u64() != Some(rows.len() as u64) {
        return refuse("the last entry must be `export.created` and state the number of entries, itself included");
    }
    if rows.iter().zip(1..).any(|(row, n)| row.n != n) || input.proofs.len() != rows.len() {
        return refuse("entries and proofs must be all of the stream, in order");
    }
    if !is_name(input.exporter) || input.exporter.contains('/') {
        return refuse(format!("`{}` cannot name the exporter: use letters, digits and `._-`", input.exporter));
    }
    let first: Value = serde_json::from_slice(&input.entries[0]).unwrap_or_default();
    let stream = first["stream"].as_str().unwrap_or_default().to_string();
    if first["log"].as_str() != Some(&input.checkpoint.origin) || !check_stream(&stream) {
        return refuse("the entries are not of the checkpoint's log");
    }
    Ok(stream)
}

fn fields(input: &ExportInput<'_>, rows: &[Row]) -> Result<Fields, EvidenceError> {
    let named: BTreeSet<String> =
        commitments(input.entries.iter().map(Vec::as_slice)).iter().map(|hash| hex(hash)).collect();
    let disclosed: BTreeSet<String> = input.disclosures.iter().map(|d| hex(&d.commitment)).collect();
    if let Some(foreign) = disclosed.difference(&named).next() {
        return refuse(format!("disclosure `{foreign}` belongs to no entry of this incident"));
    }
    let mut fields = Fields { erased: BTreeSet::new(), withheld: BTreeMap::new() };
    let mut reasons: BTreeMap<String, String> = BTreeMap::new();
    for (row, at) in rows.iter().zip(1..) {
        let withheld = row.kind == "disclosure.withheld" || (row.kind == "export.created" && at == rows.len());
        match row.kind.as_str() {
            "disclosure.erased" => listed(&row.body, &mut |hash, _| _ = fields.erased.insert(hash.to_string())),
            _ if withheld => listed(&row.body, &mut |hash, reason| drop(reasons.insert(hash.into(), reason.into()))),
            _ => {}
        }
    }
    if let Some(back) = fields.erased.intersection(&disclosed).next() {
        return refuse(format!("field `{back}` was erased and must not be disclosed"));
    }
    fields.erased.retain(|hash| named.contains(hash));
    for hash in named.difference(&disclosed).filter(|hash| !fields.erased.contains(*hash)) {
        let Some(reason) = reasons.get(hash) else {
            return refuse(format!(
                "field `{hash}` is neither disclosed, erased nor withheld: name it in `export.created`"
            ));
        };
        fields.withheld.entry(reason.clone()).or_default().push(hash.clone());
    }
    Ok(fields)
}

/// Names of the rule texts in the order given; each must be named, and each named one given.
fn rules(input: &ExportInput<'_>, rows: &[Row]) -> Result<Vec<String>, EvidenceError> {
    let mut wanted = BTreeSet::new();
    for row in rows.iter().filter(|row| row.kind == "deadline.computed") {
        members(&row.body, &mut |name, value| {
            if let Some(hash) = (name == "rulebook").then(|| value.as_str()).flatten() {
                wanted.insert(hash.to_string());
            }
        });
    }
    let given: Vec<String> = input.rules.iter().map(|text| hex(&sha256(text))).collect();
    if let Some(missing) = wanted.iter().find(|hash| !given.contains(hash)) {
        return refuse(format!("rule text `{missing}` is named by a deadline and was not given"));
    }
    let direct: Vec<&Vec<u8>> =
        given.iter().zip(&input.rules).filter(|(n, _)| wanted.contains(*n)).map(|(_, t)| t).collect();
    let named = |hash: &String| {
        wanted.contains(hash)
            || direct.iter().any(|text| String::from_utf8_lossy(text).contains(&format!("\"{hash}\"")))
    };
    match given.iter().find(|hash| !named(hash)) {
        Some(extra) => refuse(format!("rule text `{extra}` is named by no deadline of this incident")),
        None => Ok(given),
    }
}

/// Names of the attachments in the order given; each must be named by a disclosure, and each named one given.
fn attachments(input: &ExportInput<'_>) -> Result<Vec<String>, EvidenceError> {
    let mut wanted = BTreeSet::new();
    for (pointer, value) in input.disclosures.iter().filter_map(Disclosure::read) {
        let names_file = ["/proof", "/attachment", "/sha256"].iter().any(|end| pointer.ends_with(end));
        if let Some(hash) = value.as_str().filter(|text| names_file && unhex32(text).is_some()) {
            wanted.insert(hash.to_string());
        }
    }
    let given: Vec<String> = input.attachments.iter().map(|bytes| hex(&sha256(bytes))).collect();
    if let Some(missing) = wanted.iter().find(|hash| !given.contains(hash)) {
        return refuse(format!(
            "attachment `{missing}` is named by a disclosure and was not given: withhold that field"
        ));
    }
    match given.iter().find(|hash| !wanted.contains(*hash)) {
        Some(extra) => refuse(format!("attachment `{extra}` is named by no disclosure of this incident")),
        None => Ok(given),
    }
}

fn keys(input: &ExportInput<'_>, files: &mut BTreeMap<String, Vec<u8>>) {
    let (log, export, origin) = (input.log_key.public(), input.export_key.public(), &input.checkpoint.origin);
    let signers = format!(
        "{} namespaces=\"{EXPORT_NAMESPACE}\" {}\n{origin} namespaces=\"{CHECKPOINT_NAMESPACE}\" {}\n",
        input.exporter,
        export.ssh_line(),
        log.ssh_line()
    );
    files.insert("keys/allowed_signers".into(), signers.into_bytes());
    files.insert("keys/log.pub.pem".into(), log.to_pem().into_bytes());
    files.insert("keys/log.vkey".into(), format!("{}\n", log.to_vkey(origin)).into_bytes());
}

/// `bundle.json`: one fact a line, so that `grep` reads it too.
fn index(
    input: &ExportInput<'_>,
    stamps: &Stamps,
    stream: &str,
    rows: &[Row],
    fields: &Fields,
    rules: &[String],
    files: &[String],
) -> String {
    let text = |value: &str| serde_json::to_string(value).expect("a string has a JSON form");
    let list = |lines: Vec<String>| if lines.is_empty() { "[]".into() } else { format!("[\n{}\n]", lines.join(",\n")) };
    let sorted = |names: &[String]| list(names.iter().collect::<BTreeSet<_>>().iter().map(|name| text(name)).collect());
    let last = &rows[rows.len() - 1];
    let entries = rows.iter().map(|row| {
        format!(
            r#"{{"n":{},"idx":{},"ts":"{}","type":"{}","sha256":"{}"}}"#,
            row.n, row.idx, row.ts, row.kind, row.sha256
        )
    });
    let withheld = fields.withheld.iter().map(|(reason, hashes)| {
        let hashes: Vec<String> = hashes.iter().map(|hash| text(hash)).collect();
        format!(r#"{{"reason":{},"commitments":[{}]}}"#, text(reason), hashes.join(","))
    });
    let witnesses = stamps.witness_index(&input.checkpoint);
    let mut members = vec![
        ("format", text("breachclock-bundle-v1")),
        ("product", text(input.product)),
        ("exporter", text(input.exporter)),
        ("origin", text(&input.checkpoint.origin)),
        ("stream", text(stream)),
        ("tree_size", input.checkpoint.size.to_string()),
        ("root", text(&input.checkpoint.root_base64())),
        ("profile", text(last.body["profile"].as_str().unwrap_or_default())),
        ("generated_at", text(&last.ts)),
        ("entries", list(entries.collect())),
        ("rules", sorted(rules)),
        ("attachments", sorted(files)),
        ("anchors", list(stamps.index(&input.checkpoint))),
        ("erased", list(fields.erased.iter().map(|hash| text(hash)).collect())),
        ("withheld", list(withheld.collect())),
    ];
    if !witnesses.is_empty() {
        let at = members.iter().position(|(name, _)| *name == "erased").unwrap_or(0);
        members.insert(at, ("witnesses", list(witnesses)));
    }
    let lines: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

fn readme(input: &ExportInput<'_>, stamps: &Stamps, stream: &str, rows: &[Row]) -> String {
    let indices: Vec<u64> = rows.iter().map(|row| row.idx).collect();
    // the hand-made proof shows the first entry: its path is a real one as soon as the log has two
    README
        .replace("{shown}", &stamps.shown(&input.checkpoint, &indices))
        .replace("{not_shown}", &stamps.not_shown(&indices))
        .replace("{other_logs}", stamps.other_logs())
        .replace("{witness_argument}", stamps.witness_argument())
        .replace("{stamp_steps}", &stamps.steps(&input.checkpoint))
        .replace("{product}", input.product)
        .replace("{exporter}", input.exporter)
        .replace("{origin}", &input.checkpoint.origin)
        .replace("{stream}", stream)
        .replace("{entries}", &rows.len().to_string())
        .replace("{size}", &input.checkpoint.size.to_string())
        .replace("{root}", &input.checkpoint.root_base64())
        .replace("{export_fingerprint}", &input.export_key.public().fingerprint())
        .replace("{log_fingerprint}", &input.log_key.public().fingerprint())
        .replace("{vkey}", &input.log_key.public().to_vkey(&input.checkpoint.origin))
        .replace("{proof_steps}", &proof_steps(&rows[0], &input.proofs[0], input.checkpoint.size))
}

/// Shell lines that lead from the first entry to the root.
fn proof_steps(row: &Row, proof: &[Hash], size: u64) -> String {
    let mut out =
        format!("{{ printf '\\000'; cat entries/{:06}.json; }} | openssl dgst -sha256 -binary > ../check/h\n", row.n);
    let (mut node, mut last) = (row.idx, size - 1);
    for sibling in proof {
        let sibling = format!("echo {} | openssl base64 -d", STANDARD.encode(sibling));
        let (left, right) = if node & 1 == 1 || node == last {
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
            (sibling.as_str(), "cat ../check/h")
        } else {
            ("cat ../check/h", sibling.as_str())
        };
        (node, last) = (node >> 1, last >> 1);
        out.push_str(&format!("{{ printf '\\001'; {left}; {right}; }} | openssl dgst -sha256 -binary > ../check/i; mv ../check/i ../check/h\n"));
    }
    out.push_str("openssl base64 < ../check/h");
    out
}

/// Calls `visit` with each member of each object in `value`.
fn members(value: &Value, visit: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| members(item, visit)),
        Value::Object(object) => object.iter().for_each(|(name, value)| {
            visit(name, value);
            members(value, visit);
        }),
        _ => {}
    }
}

/// Calls `visit` with each commitment of each `commitments` list in `value`, and the `reason` beside that list.
fn listed(value: &Value, visit: &mut impl FnMut(&str, &str)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| listed(item, visit)),
        Value::Object(object) => {
            let reason = object.get("reason").and_then(Value::as_str).unwrap_or("not stated");
            for hash in object.get("commitments").and_then(Value::as_array).into_iter().flatten() {
                hash.as_str().filter(|hash| unhex32(hash).is_some()).into_iter().for_each(|hash| visit(hash, reason));
            }
            object.values().for_each(|value| listed(value, visit));
        }
        _ => {}
    }
}

fn refuse<T>(text: impl Into<String>) -> Result<T, EvidenceError> {
    Err(EvidenceError::Export(text.into()))
}
