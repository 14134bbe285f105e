//! `law`: what the rule packs say, and whether they hold.

use super::exit;
use crate::draft::{Asked, Form};
use crate::rules::Rulebook;
use crate::workflow::check_law::run_cases;
use std::collections::BTreeSet;
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Every duty
    List {
        #[arg(long)]
        json: bool,
        /// Only this jurisdiction, e.g. `FR` or `US-CA`
        #[arg(long)]
        jurisdiction: Option<String>,
        #[arg(long, value_name = "DIR")]
        rules: Option<PathBuf>,
    },
    /// One duty with citation, history and condition
    Show {
        duty: String,
        #[arg(long)]
        json: bool,
        #[arg(long, value_name = "DIR")]
        rules: Option<PathBuf>,
    },
    /// Lint, and run every worked case
    Check {
        /// Folder of rule packs; the built-in ones when left out
        dir: Option<PathBuf>,
        #[arg(long)]
        json: bool,
    },
    /// What each duty must be told before it shows itself: one line per duty and fact, as `jurisdictions/SILENCES.txt`
    Silences {
        /// Folder of rule packs; the built-in ones when left out
        dir: Option<PathBuf>,
    },
    /// A duty in its own worked case with one thing otherwise at a time: which facts decide it, and what each answer makes of it
    Vary {
        duty: String,
        #[arg(long)]
        json: bool,
        #[arg(long, value_name = "DIR")]
        rules: Option<PathBuf>,
    },
    /// Forms of notices: id, language, kind, title, source
    Forms {
        #[arg(long)]
        json: bool,
        /// Only those that serve this duty, the closest first
        #[arg(long, value_name = "ID")]
        duty: Option<String>,
        #[arg(long, value_name = "DIR")]
        rules: Option<PathBuf>,
    },
    /// What another set of rule packs changes: duties, the dates of the worked cases, and of a server's open incidents
    Diff(super::law_diff::Args),
    /// JSON Schema of a rule pack, for editors
    Schema {
        /// Of a file of worked cases instead
        #[arg(long)]
        cases: bool,
    },
    /// What is covered, and what is not
    Coverage {
        #[arg(long)]
        json: bool,
        /// Print the page that stands beside the packs as COVERAGE.md
        #[arg(long, conflicts_with = "json")]
        markdown: bool,
        #[arg(long, value_name = "DIR")]
        rules: Option<PathBuf>,
    },
}

pub fn run(command: Command) -> i32 {
    match command {
        Command::List { json, jurisdiction, rules } => {
            let (book, _) = match super::rulebook(rules.as_deref()) {
                Ok(loaded) => loaded,
                Err(code) => return code,
            };
            let listing = book.listing(|d| jurisdiction.as_ref().is_none_or(|j| *j == d.jurisdiction));
            if json {
                super::print_json(&listing);
            } else {
                let mut text = String::new();
                for d in &listing.duties {
                    text.push_str(&format!("{:<40} {:<8} {:<28} {}\n", d.id, d.jurisdiction, d.status, d.title));
                }
                super::print(&text);
            }
            exit::DONE
        }
        Command::Show { duty, json, rules } => {
            let (book, _) = match super::rulebook(rules.as_deref()) {
                Ok(loaded) => loaded,
                Err(code) => return code,
            };
            let listing = book.listing(|d| d.id.0 == duty);
            let Some(d) = listing.duties.first() else {
                return unknown(&book, &duty);
            };
            if json {
                super::print_json(&listing);
                return exit::DONE;
            }
            let mut text =
                format!("{}  {}\n{}\n{}, {}\n{}\n\n", d.id, d.title, d.recipient_name, d.law, d.citation, d.source_url);
            text.push_str(&format!("who        {}\n", d.roles.join(", ")));
            text.push_str(&format!("starts     {}\n", d.starts));
            text.push_str(&format!("when       {}\n", if d.when.is_empty() { "always" } else { &d.when }));
            if !d.unless.is_empty() {
                text.push_str(&format!("unless     {}\n", d.unless));
            }
            for p in &d.periods {
                let amount = match (p.n, p.unit) {
                    (Some(n), Some(unit)) => format!("{n} {unit}(s), {}", p.convention.as_deref().unwrap_or("")),
                    _ => p.promptly.clone().unwrap_or_else(|| "no period".into()),
                };
                text.push_str(&format!(
                    "text       {} to {}: {amount}\n",
                    p.from.as_deref().unwrap_or("the beginning"),
                    p.until.as_deref().unwrap_or("today")
                ));
            }
            text.push_str(&format!(
                "status     {} (confidence {}, reviewed {})\n",
                d.status,
                d.confidence,
                d.reviewed.as_deref().unwrap_or("never")
            ));
            text.push_str(&format!("basis      {}\n", d.basis));
            if !d.notes.is_empty() {
                text.push_str(&format!("notes      {}\n", d.notes));
            }
            for item in &d.content {
                text.push_str(&format!("content    {item}\n"));
            }
            super::print(&text);
            exit::DONE
        }
        Command::Check { dir, json } => check(dir, json),
        Command::Silences { dir } => match super::rulebook(dir.as_deref()) {
            Ok((book, files)) => {
                super::print(&crate::workflow::silences::page(&book, &files));
                exit::DONE
            }
            Err(code) => code,
        },
        Command::Vary { duty, json, rules } => vary(&duty, json, rules),
        Command::Forms { json, duty, rules } => forms(json, duty.as_deref(), rules),
        Command::Diff(args) => super::law_diff::run(args),
        Command::Schema { cases } => {
            super::print_json(&if cases { crate::rules::cases_schema() } else { crate::rules::pack_schema() });
            exit::DONE
        }
        Command::Coverage { json, markdown, rules } => {
            let (book, _) = match super::rulebook(rules.as_deref()) {
                Ok(loaded) => loaded,
                Err(code) => return code,
            };
            if markdown {
                super::print(&book.coverage_page());
                return exit::DONE;
            }
            let rows = book.coverage();
            if json {
                super::print_json(
                    &serde_json::json!({ "rulebook": book.name(), "covered": rows, "not_modelled": book.not_modelled(), "not_covered": book.uncovered() }),
                );
                return exit::DONE;
            }
            let mut text = format!(
                "{} duties in {} jurisdictions; {} rule packs\n\n",
                book.duties().len(),
                rows.len(),
                book.packs().len()
            );
            for row in &rows {
                match &row.no_duty {
                    Some(why) if row.duties == 0 => {
                        text.push_str(&format!("{:<10} no duty: {why}\n", row.jurisdiction))
                    }
                    _ => text.push_str(&format!(
                        "{:<10} {:>3} duties, {:>3} in force, {:>2} unverified  {}\n",
                        row.jurisdiction, row.duties, row.in_force, row.unverified, row.name
                    )),
                }
            }
            text.push_str("\nEvery other place is not covered: ask counsel there.\n");
            super::print(&text);
            exit::DONE
        }
    }
}

/// Says that no pack has the duty, and which it may have been.
fn unknown(book: &Rulebook, duty: &str) -> i32 {
    let near = crate::rules::did_you_mean(&book.nearest_duties(duty));
    eprintln!("error: no rule pack has the duty `{duty}`{near}");
    exit::NEGATIVE
}

fn vary(duty: &str, json: bool, rules: Option<PathBuf>) -> i32 {
    let (book, files) = match super::rulebook(rules.as_deref()) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if book.duty(duty).is_none() {
        return unknown(&book, duty);
    }
    let Some(varied) = crate::workflow::vary::vary(&book, &files, duty) else {
        eprintln!("error: no worked case wants the duty `{duty}`; add one to the `.cases.toml` beside its pack");
        return exit::NEGATIVE;
    };
    if json {
        super::print_json(&varied);
        return exit::DONE;
    }
    let mut text = format!("{}:{} `{}`\n", varied.file, varied.line, varied.case);
    let lines = |stands: &[String]| match stands {
        [] => "    not shown\n".to_string(),
        _ => stands.iter().map(|line| format!("    {line}\n")).collect(),
    };
    text.push_str(&lines(&varied.stands));
    let (same, other): (Vec<_>, Vec<_>) = varied.variations.iter().partition(|v| v.stands == varied.stands);
    for variation in other {
        text.push_str(&format!("{}\n{}", variation.what, lines(&variation.stands)));
    }
    let same: Vec<&str> = same.iter().map(|v| v.what.as_str()).collect();
    if !same.is_empty() {
        text.push_str(&format!("no change: {}\n", same.join("; ")));
    }
    super::print(&text);
    exit::DONE
}

fn forms(json: bool, duty: Option<&str>, rules: Option<PathBuf>) -> i32 {
    let (book, files) = match super::rulebook(rules.as_deref()) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let forms = match super::forms_of(&book, &files) {
        Ok(forms) => forms,
        Err(code) => return code,
    };
    let listed: Vec<&Form> = match duty.map(|id| (id, book.duty(id))) {
        None => forms.iter().collect(),
        Some((_, Some(d))) => forms.serving(&Asked {
            duty: &d.id.0,
            pack: &d.pack,
            stage: d.stage,
            recipient: d.recipient,
            languages: &[],
        }),
        Some((id, None)) => return unknown(&book, id),
    };
    let name = duty.and_then(|id| book.duty(id)).map_or("…", |d| d.title.as_str());
    let title = |form: &Form| form.title_of(name);
    let kind = |form: &Form| if form.is_prose() { "prose" } else { "form" };
    if json {
        let row = |form: &&Form| {
            serde_json::json!({
                "id": form.id, "title": title(form), "kind": kind(form), "language": form.language,
                "source": form.source, "source_url": form.source_url, "checked": form.checked,
            })
        };
        super::print_json(&serde_json::json!({ "forms": listed.iter().map(row).collect::<Vec<_>>() }));
        return exit::DONE;
    }
    for form in listed {
        super::print(&format!(
            "{:<28} {:<3} {:<7} {}\n{:<40} {}\n",
            form.id,
            form.language,
            kind(form),
            title(form),
            "",
            form.source_url
        ));
    }
    exit::DONE
}

fn check(dir: Option<PathBuf>, json: bool) -> i32 {
    let (book, files) = match super::rulebook(dir.as_deref()) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if let Err(code) = super::forms_of(&book, &files) {
        return code;
    }
    let findings = crate::rules::lint(&book, crate::daemon::clock::now().date_naive());
    let outcomes = run_cases(&book, &files);
    let failed: Vec<_> = outcomes.iter().filter(|o| !o.faults.is_empty()).collect();
    let shown: BTreeSet<&str> = outcomes.iter().flat_map(|o| o.duties.iter().map(String::as_str)).collect();
    let unproven: Vec<&str> = book
        .duties()
        .iter()
        .filter(|d| d.status != crate::law::DutyStatus::NoDuty)
        .map(|d| d.id.0.as_str())
        .filter(|id| !shown.contains(id))
        .collect();
    if json {
        super::print_json(&serde_json::json!({
            "rulebook": book.name(),
            "duties": book.duties().len(),
            "findings": findings,
            "cases": outcomes.len(),
            "failed": failed.iter().map(|o| serde_json::json!({"file": o.file, "line": o.line, "name": o.name, "faults": o.faults})).collect::<Vec<_>>(),
            "without_case": unproven,
        }));
    } else {
        for finding in &findings {
            eprintln!("{finding}");
        }
        for outcome in &failed {
            for fault in &outcome.faults {
                eprintln!("{}:{}: case `{}`: {fault}", outcome.file, outcome.line, outcome.name);
            }
        }
        for id in &unproven {
            eprintln!("duty `{id}` has no worked case");
        }
        super::print(&format!(
            "{} duties in {} packs, {} cases: {} failed, {} findings, {} duties without a case\n",
            book.duties().len(),
            book.packs().len(),
            outcomes.len(),
            failed.len(),
            findings.len(),
            unproven.len()
        ));
    }
    if failed.is_empty() && findings.is_empty() && unproven.is_empty() { exit::DONE } else { exit::NEGATIVE }
}
