//! Drafts of notices: facts in, fields with their gaps out; `tests/vectors/draft/*.toml`. Also what every form must keep to.

use crate::support::{at, caller, house, settings};
use crate::web::Server;
use breachclock::daemon::packs;
use breachclock::draft::{Asked, Block, Case, Contact, FormText, Forms, OWN, Run, docx, make, text};
use breachclock::law::{ContentItem, FactBook, Incident, Stage};
use breachclock::rules::{FileKind, Rulebook, SourceFile, builtin, builtin_files, builtin_packs, kind_of};
use breachclock::store::{MemoryStore, Store};
use breachclock::workflow::check_law::incidents_of_cases;
use breachclock::workflow::erase::EraseRequest;
use breachclock::workflow::{Drafted, Exercise, FilingRequest, Role, Settings};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    why: String,
    start: String,
    report: toml::Table,
    #[serde(default)]
    then: Vec<Act>,
    /// Of which a draft is asked, by whom, in which form.
    obligation: String,
    #[serde(default = "responder")]
    role: String,
    form: Option<String>,
    want: Want,
}

fn responder() -> String {
    "responder".to_string()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Act {
    at: String,
    assert: Option<toml::Table>,
    /// Facts that are unknown again.
    #[serde(default)]
    withdraw: Vec<String>,
    file: Option<String>,
    reference: Option<String>,
    delay: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Want {
    form: String,
    /// The obligation of the notice before.
    follows: Option<String>,
    #[serde(default)]
    field: Vec<WantField>,
    /// Labels that are not asked.
    #[serde(default)]
    without: Vec<String>,
    /// Stand in the text.
    #[serde(default)]
    says: Vec<String>,
    /// Stand nowhere in the notice, as data or text.
    #[serde(default)]
    never: Vec<String>,
    /// Nor in what stands beside it.
    #[serde(default)]
    hidden: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantField {
    label: String,
    state: String,
    value: Option<String>,
    #[serde(default)]
    gaps: Vec<String>,
    from: Option<Vec<String>>,
    previous: Option<String>,
}

#[tokio::test]
async fn every_vector() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/draft");
    let mut files: Vec<_> = std::fs::read_dir(dir).expect("the folder").map(|f| f.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() >= 10, "{files:?}");
    let mut faults = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("text");
        let vector: Vector = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        if let Err(fault) = check(&vector).await {
            faults.push(format!("{}: {}: {fault}", file.display(), vector.why));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

async fn check(vector: &Vector) -> Result<(), String> {
    let house = house(MemoryStore::new("test.example/log"), settings(Vec::new()));
    let admin = caller(Role::Admin);
    let mut now = at(&vector.start);
    let said = |e: breachclock::workflow::Trouble| e.to_string();
    let report = toml::to_string(&vector.report).map_err(|e| e.to_string())?;
    let id = house.report(&admin, &report, None, now).await.map_err(said)?.incident.id;
    let full = |local: &str| format!("{id}~{local}");
    for act in &vector.then {
        now = at(&act.at);
        if let Some(facts) = &act.assert {
            let text = toml::to_string(facts).map_err(|e| e.to_string())?;
            house.assert_facts(&admin, &id, &text, None, None, now).await.map_err(said)?;
        }
        if !act.withdraw.is_empty() {
            let nothing = act.withdraw.iter().map(|key| (key.clone(), serde_json::Value::Null));
            let text = serde_json::Value::Object(nothing.collect()).to_string();
            house.assert_facts(&admin, &id, &text, None, None, now).await.map_err(said)?;
        }
        if let Some(obligation) = &act.file {
            let ask = FilingRequest { reference: act.reference.clone(), ..FilingRequest::default() };
            house.file(&admin, &full(obligation), ask, None, now).await.map_err(said)?;
        }
        if let Some(reason) = &act.delay {
            house.delay(&admin, &full(&vector.obligation), reason, None, now).await.map_err(said)?;
        }
    }
    let role = Role::parse(&vector.role).ok_or("no such role")?;
    let before = house.store.entries(0..u64::MAX).await.map_err(|e| e.to_string())?.len();
    let form = vector.form.as_deref();
    let drafted = house.draft_notice(&caller(role), &full(&vector.obligation), form, now).await.map_err(said)?;
    let after = house.store.entries(0..u64::MAX).await.map_err(|e| e.to_string())?.len();
    if before != after {
        return Err(format!("drafting wrote {} entries", after - before));
    }
    named(&drafted)?;
    compare(&vector.want, &drafted, &full)
}

/// Every value names what it is from, and every gap says so.
fn named(drafted: &Drafted) -> Result<(), String> {
    for field in &drafted.notice.fields {
        for part in &field.parts {
            match (&part.value, &part.gap) {
                (Some(value), None) if part.from.is_empty() => return Err(format!("`{value}` is from nowhere")),
                (Some(_), None) => {}
                (None, Some(gap)) if !gap.is_empty() => {}
                other => return Err(format!("{}: {other:?}", field.label)),
            }
        }
        if field.value.is_some() && field.from.is_empty() {
            return Err(format!("{} has a value and no source", field.label));
        }
    }
    Ok(())
}

fn compare(want: &Want, drafted: &Drafted, full: &dyn Fn(&str) -> String) -> Result<(), String> {
    let notice = &drafted.notice;
    let text = text(&drafted.blocks);
    let mut faults = Vec::new();
    if notice.form.id != want.form {
        faults.push(format!("form {} instead of {}", notice.form.id, want.form));
    }
    let follows = notice.follows.as_ref().map(|f| f.obligation.clone());
    if follows != want.follows.as_deref().map(full) {
        faults.push(format!("follows {follows:?}"));
    }
    for wanted in &want.field {
        let Some(field) = notice.fields.iter().find(|f| f.label == wanted.label) else {
            let labels: Vec<&str> = notice.fields.iter().map(|f| f.label.as_str()).collect();
            faults.push(format!("no field `{}` among {labels:?}", wanted.label));
            continue;
        };
        let gaps: Vec<String> = field.parts.iter().filter_map(|p| p.gap.clone()).collect();
        let same = field.state.as_str() == wanted.state
            && field.value == wanted.value
            && gaps == wanted.gaps
            && field.previous == wanted.previous
            && wanted.from.as_ref().is_none_or(|from| *from == field.from);
        if !same {
            faults.push(format!(
                "`{}` is {} value {:?} gaps {gaps:?} previous {:?} from {:?}",
                field.label,
                field.state.as_str(),
                field.value,
                field.previous,
                field.from
            ));
        }
    }
    let asked = |label: &String| notice.fields.iter().any(|f| f.label == *label);
    faults.extend(want.without.iter().filter(|l| asked(l)).map(|l| format!("`{l}` is asked")));
    faults.extend(want.says.iter().filter(|w| !text.contains(w.as_str())).map(|w| format!("`{w}` is not in:\n{text}")));
    let stands = |data: String, words: &[String]| {
        let found = words.iter().filter(|w| text.contains(w.as_str()) || data.contains(w.as_str()));
        found.map(|w| format!("`{w}` is in it")).collect::<Vec<_>>()
    };
    faults.extend(stands(serde_json::to_string(notice).expect("data"), &want.never));
    faults.extend(stands(serde_json::to_string(drafted).expect("data"), &want.hidden));
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n  ")) }
}

fn book() -> &'static Rulebook {
    static BOOK: OnceLock<Rulebook> = OnceLock::new();
    BOOK.get_or_init(|| builtin().expect("the built-in packs load"))
}

/// The built-in forms, held to the built-in packs as those of an operator are.
fn forms() -> &'static Forms {
    static FORMS: OnceLock<Forms> = OnceLock::new();
    FORMS.get_or_init(|| {
        let files: Vec<_> = builtin_packs().into_iter().filter(|f| kind_of(&f.path) == FileKind::Forms).collect();
        let texts: Vec<FormText<'_>> =
            files.iter().map(|f| FormText { path: &f.path, text: &f.text, strict: true }).collect();
        packs::read_forms(book(), &texts).unwrap_or_else(|faults| panic!("{faults:#?}"))
    })
}

fn asked(duty: &breachclock::law::Duty<breachclock::rules::Condition>) -> Asked<'_> {
    Asked { duty: &duty.id.0, pack: &duty.pack, stage: duty.stage, recipient: duty.recipient, languages: &[] }
}

#[test]
fn every_duty_has_a_form_and_every_form_its_duties() {
    let mut used = BTreeSet::new();
    for duty in book().duties() {
        let serving = forms().serving(&asked(duty));
        assert!(!serving.is_empty(), "{} has no form", duty.id);
        assert!(serving.iter().any(|f| f.id.starts_with("generic")), "{} has no generic form", duty.id);
        used.extend(serving.iter().map(|f| f.id.clone()));
    }
    for form in forms().iter() {
        assert!(used.contains(&form.id), "{} serves no duty", form.id);
        assert!(!form.source.is_empty() && form.source_url.starts_with("http"), "{} names no source", form.id);
    }
    let first = |duty: &str| forms().serving(&asked(book().duty(duty).expect(duty)))[0].id.as_str();
    for (duty, form) in [
        ("eu-gdpr-33-authority", "gdpr-33"),
        ("eu-gdpr-34-individuals", "gdpr-34-en"),
        ("eu-dora-19-final", "dora-major-incident"),
        ("eu-nis2-23-early-warning", "nis2-stages"),
        ("us-sec-8k-1.05", "sec-8k-105"),
        ("us-hipaa-164.408-hhs-500", "hhs-breach-portal"),
        ("us-hipaa-164.404-individuals", "hipaa-letter"),
        ("us-ca-1798.82-individuals", "us-ca-letter"),
        ("in-certin-6h", "cert-in"),
        ("us-ny-899aa-individuals", "generic-letter"),
    ] {
        if book().duty(duty).is_some() {
            assert_eq!(first(duty), form, "{duty}");
        }
    }
}

/// For each worked case and every obligation in it: what is said is from facts that were asserted, and an incident of which
/// nothing is known says nothing but what is our own.
#[test]
fn nothing_is_said_that_nobody_asserted() {
    let (empty, mut drafts) = (FactBook::default(), 0);
    for told in incidents_of_cases(book(), &builtin_files()).iter().step_by(9) {
        let plan = book().plan(&told.incident, told.now, told.options);
        for o in plan.obligations.iter().take(4) {
            let answer = book().explain(&told.incident, o, told.now);
            let content: Vec<ContentItem> = answer
                .content
                .iter()
                .map(|c| ContentItem { item: c.item.clone(), from: c.from.clone(), may_follow: c.may_follow })
                .collect();
            let ask =
                Asked { duty: &o.duty.0, pack: &answer.pack, stage: o.stage, recipient: o.recipient, languages: &[] };
            for form in forms().serving(&ask) {
                for facts in [&told.incident.facts, &empty] {
                    let case = case(&told.incident, facts, o, &content, told.now);
                    let notice = make(forms(), form, &case, &[]);
                    for part in notice.fields.iter().flat_map(|f| &f.parts).filter(|p| p.value.is_some()) {
                        assert!(!part.from.is_empty(), "{} {}: {part:?}", o.id, form.id);
                        for key in &part.from {
                            let own = OWN.iter().any(|(name, _)| name == key);
                            assert!(own || facts.get(key).is_some(), "{} {}: {part:?}", o.id, form.id);
                        }
                    }
                    drafts += 1;
                }
            }
        }
    }
    assert!(drafts > 500, "{drafts}");
}

fn case<'a>(
    incident: &'a Incident,
    facts: &'a FactBook,
    obligation: &'a breachclock::law::Obligation,
    content: &'a [ContentItem],
    now: breachclock::time::Timestamp,
) -> Case<'a> {
    Case {
        incident,
        facts,
        obligation,
        title: "title",
        law: "law",
        citation: "citation",
        content,
        stage: Stage::Initial,
        contact: Contact::Nobody,
        delays: &[],
        told: &[],
        now,
        erased: "erased",
    }
}

#[test]
fn faults_name_file_line_and_what_to_do() {
    const HEAD: &str = "id = \"x\"\ntitle = \"T\"\nkind = \"form\"\nlanguage = \"en\"\nsource = \"S\"\n\
        source_url = \"https://example.org\"\nchecked = 2026-11-29\n";
    let cases: [(&str, usize, &str); 11] = [
        ("[[serves]]\nduties = [\"eu-gdpr-33-authorty\"]\n[[section]]\n", 9, "did you mean `eu-gdpr-33-authority`"),
        ("[[serves]]\nstages = [\"middle\"]\n[[section]]\n", 9, "`middle` is no stage; it may be single, initial"),
        ("[[serves]]\nrecipients = [\"king\"]\n[[section]]\n", 9, "`king` is no recipient; it may be authority"),
        (
            "[[serves]]\npacks = [\"eu/gdpr\"]\nrecipients = [\"insurer\"]\n[[section]]\n",
            8,
            "this `[[serves]]` fits no duty",
        ),
        (
            "[[serves]]\n[[section]]\n[[section.field]]\nlabel = \"L\"\nfrom = [\"times.awre\"]\n",
            12,
            "no pack declares the fact `times.awre`; did you mean `times.aware`?",
        ),
        (
            "[[serves]]\n[[section]]\n[[section.field]]\nlabel = \"L\"\nfrom = [\"own.entty\"]\n",
            12,
            "did you mean `own.entity`",
        ),
        (
            "[[serves]]\n[[section]]\n[[section.field]]\nlabel = \"L\"\nfrom = [\"risk\"]\nrender = \"date\"\n",
            11,
            "`render = \"date\"` is for a fact of type `instant`",
        ),
        (
            "[[serves]]\n[[section]]\n[[section.field]]\nlabel = \"L\"\nfrom = [\"risk\"]\nranges = [{ says = \"r\" }]\n",
            11,
            "`ranges` is for a fact of type `count`",
        ),
        (
            "[[serves]]\n[[section]]\n[[section.field]]\nlabel = \"L\"\nsentence = \"no place\"\n",
            12,
            "`no place` has 0 places `{}`; it needs one",
        ),
        ("[[serves]]\n[[section]]\nheading = \"H\"\n", 10, "unknown field `heading`"),
        ("serves = []\n[[section]]\n[[section.field]]\nlable = \"L\"\n", 11, "unknown field `lable`"),
    ];
    let words = builtin_packs().into_iter().find(|f| f.path == "forms/words.toml").expect("words");
    let words = FormText { path: "forms/words.toml", text: &words.text, strict: true };
    for (body, line, say) in cases {
        let body = format!("{HEAD}{body}");
        let form = FormText { path: "forms/x.toml", text: &body, strict: true };
        let faults = packs::read_forms(book(), &[words, form]).expect_err(&body);
        let found = faults.iter().any(|f| f.file == "forms/x.toml" && f.line == line && f.text.contains(say));
        assert!(found, "line {line} `{say}`: {faults:?}\n{body}");
    }
    let german = format!("{HEAD}[[serves]]\n[[section]]\n").replace("\"en\"", "\"xx\"");
    let form = FormText { path: "forms/x.toml", text: &german, strict: true };
    let faults = packs::read_forms(book(), &[words, form]).expect_err("no words of that language");
    assert_eq!((faults[0].line, faults[0].text.contains("has no words of the language `xx`")), (4, true), "{faults:?}");
}

#[test]
fn a_word_document_holds_any_text_and_is_the_same_each_time() {
    let hostile = "</w:t><w:p>&amp; \"quoted\" 'x' \u{0}\u{8}\u{b} ]]> <!-- \u{fffe} é 漢 \u{1F600}\nnext\tline";
    let blocks = vec![
        Block::Mark(hostile.into()),
        Block::Title(hostile.into()),
        Block::About(hostile.into(), hostile.into()),
        Block::Heading(hostile.into()),
        Block::Paragraph(vec![Run::Text(hostile.into()), Run::Gap(hostile.into())]),
        Block::Field {
            head: hostile.into(),
            question: hostile.into(),
            answer: vec![vec![Run::Gap(hostile.into())]],
            notes: vec![hostile.into()],
        },
        Block::Aside(hostile.into()),
        Block::Note(hostile.into()),
    ];
    let bytes = docx(&blocks, "en\"><x/>");
    assert_eq!(bytes, docx(&blocks, "en\"><x/>"));
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).expect("a ZIP file");
    let names: Vec<String> =
        (0..zip.len()).map(|at| zip.by_index(at).expect("a file").name().expect("UTF-8").to_string()).collect();
    assert_eq!(names[0], "[Content_Types].xml");
    for name in &names {
        let mut xml = String::new();
        zip.by_name(name).expect("a file").read_to_string(&mut xml).expect("UTF-8");
        well_formed(&xml).unwrap_or_else(|e| panic!("{name}: {e}"));
        // what the list of types names is there
        for part in xml.split("PartName=\"/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(names.iter().any(|n| n == part), "{part}");
        }
    }
    let mut document = String::new();
    zip.by_name("word/document.xml").expect("the document").read_to_string(&mut document).expect("UTF-8");
    assert_eq!(document.matches("&lt;/w:t&gt;&lt;w:p&gt;&amp;amp; &quot;quoted&quot;").count(), 13, "{document}");
    assert_eq!(document.matches("w:highlight").count(), 3, "the mark and both gaps");
}

/// Tags open and close in order, and no character stands in the text that XML 1.0 forbids.
fn well_formed(xml: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml;
    while let Some(start) = rest.find('<') {
        let (text, tag) = rest.split_at(start);
        if let Some(bad) = text.chars().find(|c| matches!(c, '\u{0}'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{fffe}')) {
            return Err(format!("{bad:?} in {text:?}"));
        }
        for entity in text.split('&').skip(1) {
            if !["amp;", "lt;", "gt;", "quot;"].iter().any(|known| entity.starts_with(known)) {
                return Err(format!("`&{entity}`"));
            }
        }
        let end = tag.find('>').ok_or("a tag does not end")?;
        let inside = &tag[1..end];
        match (inside.strip_prefix('/'), inside.ends_with('/'), inside.starts_with('?')) {
            (_, _, true) | (_, true, _) => {}
            (Some(name), ..) => {
                let last = open.pop();
                if last != Some(name) {
                    return Err(format!("`{name}` closes {last:?}"));
                }
            }
            (None, ..) => open.push(inside.split(' ').next().unwrap_or(inside)),
        }
        rest = &tag[end + 1..];
    }
    if open.is_empty() { Ok(()) } else { Err(format!("{open:?} stay open")) }
}

#[tokio::test]
async fn the_page_marks_gaps_and_links_the_files() {
    let server = Server::start().await;
    let (incident, id) = server.breach("Draft <script>alert(1)</script> & co").await;
    let facts = r#"{"facts":{"record.effects":"Fraud \"<b>possible</b>\" & more"}}"#;
    let path = format!("/api/v1/incidents/{incident}/facts");
    assert_eq!(server.post(Role::Responder, &path, &[], facts).await.status, 200);
    let page = server.page(Role::Responder, &format!("/obligations/{id}")).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let draft = page.body.split("id=\"draft\"").nth(1).expect("the draft").split("</section>").next().expect("its end");
    for part in
        ["<mark>not known</mark>", "<mark>not known: ", "1,200", "Fraud", "/draft?format=docx", "/draft?format=text"]
    {
        assert!(draft.contains(part), "{part}: {draft}");
    }
    for raw in ["<script>alert", "<b>possible"] {
        assert!(!draft.contains(raw), "{raw}: {draft}");
    }
    let needs = page.body.split("What the notice needs").nth(1).expect("the checklist");
    for part in ["loss of confidentiality", "record.effects", "Missing", "add it later"] {
        assert!(needs.contains(part), "{part}: {needs}");
    }
    let other = server.page(Role::Responder, &format!("/obligations/{id}?form=generic")).await;
    assert!(other.body.contains("What the law asks for"), "{}", other.body);

    let get = async |query: &str| server.get(Role::Responder, &format!("/api/v1/obligations/{id}/draft{query}")).await;
    let json = get("").await;
    assert_eq!((json.status, json.json()["form"]["id"].as_str()), (200, Some("gdpr-33")), "{}", json.body);
    let text = get("?format=text&form=generic").await;
    assert_eq!((text.status, text.header("content-type")), (200, "text/plain; charset=utf-8"));
    assert!(text.body.contains("[[") && text.body.contains("never sends it"), "{}", text.body);
    let word = get("?format=docx").await;
    assert!(word.header("content-disposition").ends_with(".docx\""), "{}", word.header("content-disposition"));
    for (query, status) in [("?format=odt", 400), ("?form=hhs-breach-portal", 422), ("?from=x", 400)] {
        assert_eq!(get(query).await.status, status, "{query}");
    }
    let unknown = server.get(Role::Responder, &format!("/api/v1/obligations/{incident}~none@FR/draft")).await;
    assert_eq!(unknown.status, 404, "{}", unknown.body);
}

#[tokio::test]
async fn an_erased_text_is_a_gap_in_every_draft() {
    let house = house(MemoryStore::new("test.example/log"), settings(Vec::new()));
    let (now, admin) = (at("2026-03-27T15:41:00Z"), caller(Role::Admin));
    let report = r#"{"title":"Jane Roe lost a laptop","entity":"acme-fr","facts":{"times.aware":"2026-03-27T16:20:00+01:00",
        "personal_data":true,"risk":"high","record.what_happened":"Jane Roe's laptop was stolen","record.effects":"Fraud"}}"#;
    let id = house.report(&admin, report, None, now).await.expect("reported").incident.id;
    let ask = EraseRequest {
        subjects: vec!["Jane Roe".into()],
        basis: "Art. 17".into(),
        request: "r-1".into(),
        ..EraseRequest::default()
    };
    house.erase(&admin, &id, ask, None, now).await.expect("erased");
    for (obligation, label) in [
        ("eu-gdpr-33-authority@FR", "Description of the breach"),
        ("eu-gdpr-34-individuals@FR", "nature of the breach"),
    ] {
        let drafted = house.draft_notice(&admin, &format!("{id}~{obligation}"), None, now).await.expect("a draft");
        let field = drafted.notice.fields.iter().find(|f| f.label == label).expect(label);
        assert_eq!((field.value.as_deref(), field.parts[0].gap.as_deref()), (None, Some("erased")), "{obligation}");
        assert!(!text(&drafted.blocks).contains("Jane"), "{obligation}");
        assert!(text(&drafted.blocks).contains("Fraud"), "{obligation}");
    }
}

#[test]
fn forms_of_an_operator_come_beside_the_built_in_ones_or_replace_them() {
    let form = |id: &str, rest: &str| {
        format!(
            "id = \"{id}\"\ntitle = \"Ours\"\nkind = \"form\"\nlanguage = \"en\"\nsource = \"S\"\n\
             source_url = \"https://example.org\"\nchecked = 2026-11-29\n{rest}\n[[section]]\n[[section.field]]\nlabel = \"L\"\n"
        )
    };
    let own = SourceFile {
        path: "forms/ours.toml".into(),
        text: form("ours", "[[serves]]\nduties = [\"eu-gdpr-33-authority\"]"),
    };
    let replacing =
        SourceFile { path: "forms/gdpr-33.toml".into(), text: form("mine", "[[serves]]\npacks = [\"eu/gdpr\"]") };
    let duty = book().duty("eu-gdpr-33-authority").expect("the duty");
    let first = |files: &[SourceFile]| {
        let forms = packs::forms(book(), files).expect("read");
        forms.serving(&asked(duty)).iter().map(|f| f.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(first(std::slice::from_ref(&own)), ["gdpr-33", "ours", "generic"]);
    assert_eq!(first(&[own, replacing]), ["ours", "mine", "generic"]);
    let faulty = SourceFile { path: "forms/f.toml".into(), text: form("f", "[[serves]]\nduties = [\"none\"]") };
    let faults = packs::forms(book(), &[faulty]).expect_err("no such duty");
    assert_eq!((faults[0].file.as_str(), faults[0].line), ("forms/f.toml", 9), "{faults:?}");
}

#[tokio::test]
async fn a_draft_of_an_exercise_says_so_first() {
    let drill = Some(Exercise { wall: |now| now });
    let house = house(MemoryStore::new("test.example/log"), Settings { drill, ..settings(Vec::new()) });
    let (now, admin) = (at("2026-03-27T15:41:00Z"), caller(Role::Admin));
    let report =
        r#"{"title":"T","entity":"acme-fr","facts":{"times.aware":"2026-03-27T16:20:00+01:00","personal_data":true}}"#;
    let id = house.report(&admin, report, None, now).await.expect("reported").incident.id;
    let id = format!("{id}~eu-gdpr-33-authority@FR");
    let drafted = house.draft_notice(&admin, &id, None, now).await.expect("a draft");
    assert!(text(&drafted.blocks).starts_with("*** DRILL."), "{}", text(&drafted.blocks));
}

#[test]
fn forms_are_listed_by_the_command_line() {
    let run = |args: &[&str]| {
        let done = Command::new(env!("CARGO_BIN_EXE_breachclock")).args(args).output().expect("runs");
        (done.status.code(), String::from_utf8(done.stdout).expect("text"))
    };
    let (code, listed) = run(&["law", "forms", "--duty", "eu-gdpr-34-individuals", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let ids: Vec<&str> = listed["forms"].as_array().expect("forms").iter().filter_map(|f| f["id"].as_str()).collect();
    assert_eq!((code, ids), (Some(0), vec!["gdpr-34-en", "gdpr-34-de", "gdpr-34-fr", "generic-letter", "generic"]));
    assert_eq!(run(&["law", "forms", "--duty", "none"]).0, Some(1));
    assert!(run(&["law", "forms"]).1.lines().count() > 20);
}

#[test]
fn the_readme_names_all_of_our_own_data() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("jurisdictions/README.md"));
    let readme = readme.expect("the readme");
    for (name, what) in OWN {
        assert!(readme.contains(&format!("`{name}`")), "{name}: {what}");
    }
}

#[test]
fn a_form_changes_no_rulebook() {
    let mut files = builtin_packs();
    files.push(SourceFile { path: "forms/other.toml".into(), text: "not even TOML = = =".into() });
    let calendars = std::sync::Arc::new(breachclock::time::Calendars::builtin().clone());
    assert_eq!(breachclock::rules::load(&files, calendars).expect("loads").sha256, book().sha256);
}
