//! `report.html`: the bundle for people. One file, no script, nothing loaded, prints on A4.
//!
//! Absent: wording of law and local time. The model's texts come finished from the caller; each is escaped here.

use super::{Checkpoint, Timestamp};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// An instant as shown: UTC, and the local text with its zone, e.g. `Mon 30 Mar 2026, 11:48 CEST`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    pub utc: Timestamp,
    pub local: String,
}

/// What the report says besides the entries. Empty parts are left out of the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportModel {
    pub title: String,
    /// The incident's number or id.
    pub reference: String,
    /// E.g. `Documentation under Article 33(5) GDPR`.
    pub basis: String,
    /// Who reports, and the contact point.
    pub controller: String,
    pub contact: String,
    /// Who the bundle is for.
    pub addressee: String,
    pub made_by: String,
    pub made_at: Moment,
    /// Sentence on the zone of local times.
    pub zone_note: String,
    /// Up to four figures under the title.
    pub highlights: Vec<Highlight>,
    /// Paragraphs of section 1.
    pub summary: Vec<String>,
    /// Local time and one line of words for an entry, by its number in the stream.
    pub timeline: BTreeMap<u64, EntryWords>,
    pub obligations: Vec<ObligationRow>,
    pub facts: Vec<FactRow>,
    pub messages: Vec<EventRow>,
    pub acknowledgements: Vec<EventRow>,
    pub filings: Vec<EventRow>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Highlight {
    pub label: String,
    pub value: String,
    pub note: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryWords {
    pub local: String,
    pub what: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObligationRow {
    /// Recipient, and what it is owed.
    pub name: String,
    pub citation: String,
    pub source_url: String,
    pub standing: String,
    /// First instant at which it is too late.
    pub due: Option<Moment>,
    /// Earliest defensible reading.
    pub conservative_due: Option<Moment>,
    pub filed: Option<Moment>,
    /// E.g. `6 h 50 m before`.
    pub difference: String,
    pub steps: Vec<StepRow>,
}

/// One step of a derivation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepRow {
    pub text: String,
    pub result: String,
    pub citation: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FactRow {
    pub name: String,
    pub value: String,
    pub certainty: String,
    /// Who asserted it, when, in which entry.
    pub asserted: String,
}

/// A message, an acknowledgement or a filing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventRow {
    pub at: Moment,
    /// To or by whom.
    pub who: String,
    pub what: String,
    pub outcome: String,
}

/// How many personal-data fields the bundle shows and does not show; and since when its entries exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub disclosed: usize,
    pub erased: usize,
    pub withheld: usize,
    /// One line on the time stamps.
    pub stamped: String,
}

pub(super) struct EntryLine<'a> {
    pub n: u64,
    pub idx: u64,
    pub ts: &'a str,
    pub kind: &'a str,
    pub sha256: &'a str,
}

const CSS: &str = include_str!("bundle/report.css");

/// The page. Every value of the model is escaped.
pub(super) fn html(
    model: &ReportModel,
    entries: &[EntryLine<'_>],
    counts: &Counts,
    checkpoint: &Checkpoint,
    exporter: &str,
    product: &str,
) -> String {
    let mut page = Page::default();
    page.cover(model, counts);
    page.section("What happened");
    model.summary.iter().for_each(|text| page.paragraph(text));
    page.timeline(model, entries);
    page.obligations(&model.obligations);
    page.derivations(&model.obligations);
    let facts = model.facts.iter().map(|f| vec![esc(&f.name), esc(&f.value), esc(&f.certainty), esc(&f.asserted)]);
    page.table("Facts and how they changed", &["Fact", "Value", "Certainty", "Who, when, entry"], facts.collect());
    page.events("Messages sent", "To", &model.messages);
    page.events("Acknowledgements", "By", &model.acknowledgements);
    page.events("Filings", "To", &model.filings);
    page.disclosure(counts);
    page.entries(entries);
    page.check(checkpoint, exporter, &counts.stamped);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"generator\" content=\"{}\">\n<title>{}, {}</title>\n<style>\n{CSS}</style>\n</head>\n\
         <body>\n<main>\n{}</main>\n</body>\n</html>\n",
        esc(product),
        esc(&model.reference),
        esc(&model.basis),
        page.out
    )
}

#[derive(Default)]
struct Page {
    out: String,
    sections: u32,
}

impl Page {
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("writing to a string succeeds");
    }

    fn section(&mut self, title: &str) {
        self.sections += 1;
        let number = self.sections;
        self.put(format_args!("<h2>{number}. {}</h2>\n", esc(title)));
    }

    fn paragraph(&mut self, text: &str) {
        self.put(format_args!("<p>{}</p>\n", esc(text)));
    }

    fn cover(&mut self, model: &ReportModel, counts: &Counts) {
        let line =
            |label: &str, value: &str| if value.is_empty() { String::new() } else { format!("{label}{}", esc(value)) };
        self.put(format_args!(
            "<div class=\"cover\"><div><p class=\"soft\">{}</p><h1>{}</h1><p class=\"soft\">{}{}{}</p></div>\n\
             <p class=\"small soft\">{}<br>{}<br>{}</p></div>\n",
            esc(&model.basis),
            esc(&model.title),
            esc(&model.reference),
            line(". Reported by: ", &model.controller),
            line(". Contact: ", &model.contact),
            line("For: ", &model.addressee),
            line("Made ", &model.made_at.local),
            line("by ", &model.made_by),
        ));
        self.put(format_args!("<dl class=\"facts4\">"));
        for figure in &model.highlights {
            let (label, value, note) = (esc(&figure.label), esc(&figure.value), esc(&figure.note));
            self.put(format_args!("<div><dt>{label}</dt><dd>{value}<small>{note}</small></dd></div>"));
        }
        let (hidden, erased) = (counts.withheld, counts.erased);
        self.put(format_args!(
            "<div><dt>Withheld here</dt><dd>{hidden} fields<small>{erased} erased</small></dd></div></dl>\n"
        ));
    }

    fn timeline(&mut self, model: &ReportModel, entries: &[EntryLine<'_>]) {
        let rows = entries.iter().map(|entry| {
            let words = model.timeline.get(&entry.n).cloned().unwrap_or_default();
            let at = format!("<time datetime=\"{0}\">{1}</time>", esc(entry.ts), esc(&seconds(entry.ts)));
            vec![
                at,
                esc(&words.local),
                format!("{}<br><span class=\"faint\">{}</span>", esc(&words.what), esc(entry.kind)),
            ]
        });
        self.table("Timeline", &["UTC", "Local", "What was recorded"], rows.collect());
        if !model.zone_note.is_empty() {
            self.put(format_args!("<p class=\"small soft\">{}</p>\n", esc(&model.zone_note)));
        }
    }

    fn obligations(&mut self, rows: &[ObligationRow]) {
        let rows = rows.iter().map(|row| {
            let due = row.due.as_ref().map_or_else(|| "without a number".to_string(), moment);
            let earliest = row.conservative_due.as_ref().map_or_else(String::new, |at| {
                format!("<br><span class=\"faint\">earliest reading: {}</span>", esc(&at.local))
            });
            let filed = row.filed.as_ref().map_or_else(|| esc(&row.standing), moment);
            let name = format!("{}<br><span class=\"faint\">{}</span>", esc(&row.name), esc(&row.citation));
            vec![name, due + &earliest, filed, esc(&row.difference)]
        });
        self.table("Obligations and their limits", &["Recipient", "Limit", "Filed", "Difference"], rows.collect());
    }

    fn derivations(&mut self, rows: &[ObligationRow]) {
        if rows.iter().all(|row| row.steps.is_empty()) {
            return;
        }
        self.section("How each limit was computed");
        for row in rows.iter().filter(|row| !row.steps.is_empty()) {
            self.put(format_args!("<h3>{}</h3>\n", esc(&row.name)));
            let source = if row.source_url.is_empty() { String::new() } else { format!(", {}", row.source_url) };
            self.put(format_args!("<p class=\"small soft\">{}</p>\n", esc(&format!("{}{source}", row.citation))));
            let steps = row.steps.iter().map(|s| vec![esc(&s.text), esc(&s.result), esc(&s.citation)]);
            self.rows(&["Step", "Result", "Source"], steps.collect(), "");
        }
    }

    fn events(&mut self, title: &str, who: &str, rows: &[EventRow]) {
        let rows = rows.iter().map(|row| vec![moment(&row.at), esc(&row.who), esc(&row.what), esc(&row.outcome)]);
        self.table(title, &["When", who, "What", "Outcome"], rows.collect());
    }

    fn disclosure(&mut self, counts: &Counts) {
        self.section("What is shown and what is not");
        let Counts { disclosed, erased, withheld, .. } = *counts;
        self.paragraph(&format!(
            "Personal data stands in the log only as salted hashes. This bundle discloses {disclosed} such fields, \
             {erased} were erased and {withheld} are withheld; each of the latter is named by the log and can be handed \
             in later and checked against its hash."
        ));
    }

    fn entries(&mut self, entries: &[EntryLine<'_>]) {
        self.section("Log entries");
        self.put(format_args!(
            "<p class=\"small soft\">All {} entries of this incident. Each names the hash of the one before it.</p>\n",
            entries.len()
        ));
        let rows = entries.iter().map(|entry| {
            let hash = format!("<span class=\"hash\">{}</span>", esc(entry.sha256));
            vec![entry.n.to_string(), entry.idx.to_string(), esc(&seconds(entry.ts)), esc(entry.kind), hash]
        });
        self.rows(&["No.", "In the log", "UTC", "Entry", "SHA-256 of the entry"], rows.collect(), "loglist");
    }

    fn check(&mut self, checkpoint: &Checkpoint, exporter: &str, stamped: &str) {
        self.section("Check it yourself");
        self.paragraph(
            "No account, no network and no trust in the sender is needed. Take the fingerprints from the first \
             notification letter or the sender's web site, not from this bundle. README.txt holds all steps by hand.",
        );
        self.put(format_args!(
            "<pre>sha256sum --strict -c SHA256SUMS\n\
             ssh-keygen -Y verify -f ../check/allowed_signers -I {} -n breachclock-export-v1 -s SHA256SUMS.sig &lt; SHA256SUMS\n\
             sh verify.sh ../check/allowed_signers</pre>\n\
             <dl class=\"kv\"><dt>Log</dt><dd><code>{}</code></dd><dt>Size, root</dt><dd class=\"hash\">{}, {}</dd>\
             <dt>Outside stamp</dt><dd>{}</dd></dl>\n",
            esc(exporter),
            esc(&checkpoint.origin),
            checkpoint.size,
            esc(&checkpoint.root_base64()),
            esc(stamped),
        ));
        self.put(format_args!(
            "<h3>Shown by this bundle</h3><p>The bytes are unchanged since export. The entries are in the log in this \
             order, without a gap, and none was left out as of the export.</p>\n<h3>Not shown by this bundle</h3>\
             <p>That a statement was true when it was written. That an entry is not younger than it says: a time stamp \
             says \"no later than\". Whether a duty existed or was met: that is for the reader to judge.</p>\n"
        ));
    }

    /// A section with one table; nothing when there are no rows. Cells are HTML.
    fn table(&mut self, title: &str, heads: &[&str], rows: Vec<Vec<String>>) {
        if !rows.is_empty() {
            self.section(title);
            self.rows(heads, rows, "");
        }
    }

    fn rows(&mut self, heads: &[&str], rows: Vec<Vec<String>>, class: &str) {
        self.put(format_args!("<div class=\"tw\"><table class=\"{class}\"><thead><tr>"));
        heads.iter().for_each(|head| self.put(format_args!("<th scope=\"col\">{}</th>", esc(head))));
        self.put(format_args!("</tr></thead><tbody>\n"));
        for row in rows {
            self.put(format_args!("<tr>"));
            row.iter().for_each(|cell| self.put(format_args!("<td>{cell}</td>")));
            self.put(format_args!("</tr>\n"));
        }
        self.put(format_args!("</tbody></table></div>\n"));
    }
}

fn moment(at: &Moment) -> String {
    let utc = at.utc.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    format!(
        "<time datetime=\"{utc}\">{}</time><br><span class=\"faint\">{}</span>",
        esc(&at.local),
        at.utc.format("%Y-%m-%d %H:%M:%S UTC")
    )
}

/// `2026-03-02T09:20:00.000000Z` without `T`, fraction and `Z`.
fn seconds(ts: &str) -> String {
    ts.get(..19).unwrap_or(ts).replace('T', " ")
}

/// HTML-escapes text for content and double-quoted attributes.
fn esc(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
