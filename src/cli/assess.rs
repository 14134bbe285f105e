//! `assess`: facts in, obligations out. Stateless.

use super::exit;
use crate::ingest::{self, EntityRef, Reading};
use crate::law::{Entity, FactBook, Incident, IncidentId};
use crate::rules::{Answer, ObligationAnswer, Options, OwedAnswer};

#[derive(clap::Args)]
pub struct Args {
    /// Report or facts, JSON or TOML; `-` is standard input
    file: String,
    /// Assess as of this instant (RFC 3339 with offset) instead of the present
    #[arg(long)]
    now: Option<String>,
    /// Also list duties that do not apply, with the reason
    #[arg(long)]
    all: bool,
    /// Also show what proposed law would ask
    #[arg(long)]
    include_proposed: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Folder of rule packs instead of the built-in ones
    #[arg(long, value_name = "DIR")]
    rules: Option<std::path::PathBuf>,
}

pub fn run(args: Args) -> i32 {
    let now = match args.now.as_deref().map(|t| ingest::instant(t, None)) {
        None => crate::daemon::clock::now(),
        Some(Ok(now)) => now,
        Some(Err(error)) => {
            eprintln!("error: --now: {error}");
            return exit::USAGE;
        }
    };
    let text = match super::read_input(&args.file) {
        Ok(text) => text,
        Err(code) => return code,
    };
    let (book, _) = match super::rulebook(args.rules.as_deref()) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let reading = Reading { catalogue: book.catalogue(), now, by: "assess" };
    let report = match ingest::report(&text, &reading, false) {
        Ok(report) => report,
        Err(rejections) => {
            for rejection in &rejections {
                eprintln!("error: {}: {rejection}", args.file);
            }
            return exit::REJECTED;
        }
    };
    let entity = match report.entity {
        EntityRef::Inline(entity) => *entity,
        EntityRef::Unstated => Entity { name: "the entity".into(), ..Entity::default() },
        EntityRef::Id(id) => {
            eprintln!(
                "error: {}: /entity: `{id}` is an id, but `assess` has no configuration; give the entity inline",
                args.file
            );
            return exit::REJECTED;
        }
    };
    let faults = crate::rules::entity_faults(&book, &entity);
    if !faults.is_empty() {
        for fault in faults {
            eprintln!("error: {}: /entity{}: {fault}", args.file, fault.pointer);
        }
        return exit::REJECTED;
    }
    let known: Vec<&str> = entity.contracts.iter().map(|c| c.id.as_str()).collect();
    let faults = crate::rules::contract_fact_faults(&book, &known, &report.facts);
    if !faults.is_empty() {
        for (key, fault) in faults {
            let (pointer, line) = ingest::locate(&text, &key);
            eprintln!("error: {}: {}", args.file, ingest::Rejection { pointer: pointer.0, line, text: fault });
        }
        return exit::REJECTED;
    }
    let mut facts = FactBook::default();
    for fact in report.facts {
        facts.assert(fact);
    }
    let incident = Incident {
        id: IncidentId("assess".into()),
        title: report.title,
        entity,
        source: report.source,
        reference: report.reference,
        opened_at: now,
        opened_by: "assess".into(),
        closed_at: None,
        facts,
    };
    let plan = book.plan(&incident, now, Options { all: args.all, include_proposed: args.include_proposed });
    let answer = book.answer(&incident, &plan, now);
    if args.json {
        super::print_json(&answer);
    } else {
        super::print(&text_of(&answer));
    }
    exit::DONE
}

/// Rows of a list that a person reads at night.
const SHOWN: usize = 20;

fn text_of(answer: &Answer) -> String {
    let mut text =
        format!("As of {}, rule packs {} (tzdb {})\n", answer.now, answer.rulebook.version, answer.rulebook.tzdb);
    if answer.obligations.is_empty() {
        text.push_str("\nNo duty of the rule packs arises from these facts. That is not advice that none exists.\n");
    }
    // what nobody knows anything about yet stands below as a clock that might appear, not here as a wall of text
    let (known, unknown): (Vec<_>, Vec<_>) = answer
        .obligations
        .iter()
        .partition(|o| o.standing != "possible" || o.due.is_some() || answer.obligations.len() <= SHOWN);
    for o in &known {
        text.push_str(&obligation_text(o));
    }
    if !unknown.is_empty() {
        text.push_str(&format!("\n{} more duties are possible and have no date yet.\n", unknown.len()));
    }
    if !answer.might_appear.is_empty() {
        text.push_str("\nClocks that might still appear, the fastest first (time left if they started now):\n");
        for m in answer.might_appear.iter().take(SHOWN) {
            text.push_str(&format!("  {:<9} {}: {} ({})\n", m.left, m.title, m.recipient_name, m.id));
        }
        if answer.might_appear.len() > SHOWN {
            text.push_str(&format!("  and {} more; --json lists them\n", answer.might_appear.len() - SHOWN));
        }
    }
    for owed in &answer.they_owe {
        text.push_str(&owed_text(owed));
    }
    if let Some(first) = answer.questions.first() {
        text.push_str(&format!("\nAsk first: {} (`{}`)\n", first.text, first.key));
        for a in first.answers.iter().filter(|_| first.answers.iter().any(|a| a.earliest.is_some())) {
            text.push_str(&format!("  {:<14} earliest date {}\n", a.label, a.earliest.as_deref().unwrap_or("none")));
        }
        for q in answer.questions[1..].iter().take(SHOWN) {
            text.push_str(&format!("  then: {} (`{}`)\n", q.text, q.key));
        }
        if answer.questions.len() > SHOWN + 1 {
            text.push_str(&format!("  and {} more; --json lists them\n", answer.questions.len() - SHOWN - 1));
        }
    }
    for n in &answer.not_covered {
        text.push_str(&format!("\nNot covered: {}: {}\n", n.jurisdiction, n.why));
    }
    for w in &answer.warnings {
        text.push_str(&format!("\nWarning: {}\n", w.text));
    }
    text
}

fn obligation_text(o: &ObligationAnswer) -> String {
    let mut text = format!("\n{}: {} ({}) [{}]\n", o.title, o.recipient_name, o.jurisdiction, o.standing);
    match (&o.conservative_due, &o.due) {
        (Some(conservative), Some(due)) => {
            text.push_str(&format!(
                "  act before  {conservative}\n  legal limit {due}, {}\n",
                o.due_label.as_deref().unwrap_or("")
            ));
        }
        _ if o.period.is_some() && o.projected_due.is_none() => text.push_str(&format!(
            "  {}, once its clock starts{}\n",
            o.period.as_deref().unwrap_or_default(),
            o.norm.as_ref().map_or(String::new(), |norm| format!("; besides, {norm}"))
        )),
        _ if o.promptly => {
            let place = if o.binding == "contract" { "the contract" } else { "law" };
            text.push_str(&format!("  {}; no number in {place}\n", o.norm.as_deref().unwrap_or("promptly")));
        }
        _ => match &o.projected_due {
            Some(projected) => {
                text.push_str(&format!("  would be due {projected} if the awaited act happens at its own limit\n"))
            }
            None => text.push_str("  no date yet\n"),
        },
    }
    if let Some(target) = &o.internal_target {
        text.push_str(&format!("  our target  {target}\n"));
    }
    if let Some(late) = &o.late_by {
        text.push_str(&format!("  LATE by {late}\n"));
    }
    text.push_str(&format!("  {}, {} ({})\n", o.law, o.citation, o.duty));
    for sentence in &o.because {
        text.push_str(&format!("  - {sentence}\n"));
    }
    text
}

/// A notice a counterparty owes us.
fn owed_text(owed: &OwedAnswer) -> String {
    let mut text = format!("\n{} owes us notice ({}) [{}]\n", owed.name, owed.contract, owed.standing);
    if let (Some(due), Some(label)) = (&owed.due, &owed.due_label) {
        text.push_str(&format!("  was due to us before {due}, {label}\n"));
    }
    for sentence in &owed.because {
        text.push_str(&format!("  - {sentence}\n"));
    }
    text
}
