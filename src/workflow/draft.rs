//! The draft of the notice that an obligation asks for. It only reads: nothing is saved, nothing is sent, no entry is written.

use super::read::{find_obligation, split_obligation};
use super::{Answered, Caller, House, Right, Trouble};
use crate::draft::{self, Asked, Block, Case, Contact, Earlier, Form, Forms, Notice, NoticeField, Told};
use crate::ingest::Rejection;
use crate::law::{ContentItem, FactBook, Incident, Obligation, RecipientKind, Stage};
use crate::rules::{ObligationAnswer, Plan, Rulebook};
use crate::store::{Dossier, Store};
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

/// A draft, with the other forms there are for the obligation.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "Draft")]
pub struct Drafted {
    /// Full id.
    pub obligation: String,
    /// Every form that serves it, the closest first.
    pub forms: Vec<FormChoice>,
    #[serde(flatten)]
    pub notice: Notice,
    /// What the law asks for, item by item, whatever the form.
    pub checklist: Vec<NoticeField>,
    /// What every renderer draws.
    #[serde(skip)]
    pub blocks: Vec<Block>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FormChoice {
    pub id: String,
    pub title: String,
    pub language: String,
}

/// What of an obligation a case borrows.
struct Duty {
    law: ObligationAnswer,
    content: Vec<ContentItem>,
}

/// A filing of the incident, with the obligation it was for.
struct Given<'d> {
    told: Told,
    /// The pack without its date, and the place of the obligation.
    pack: String,
    place: &'d str,
    stage: Stage,
    as_of: Timestamp,
}

impl<S: Store> House<S> {
    /// The forms in force.
    pub fn forms(&self) -> Arc<Forms> {
        self.forms.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Puts other forms into force. No date follows from a form, so nothing is planned anew and nothing recorded.
    pub fn replace_forms(&self, forms: Forms) {
        *self.forms.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Arc::new(forms);
    }

    /// The draft of an obligation's notice in `form`, or in the closest form there is.
    pub async fn draft_notice(
        &self,
        caller: &Caller,
        id: &str,
        form: Option<&str>,
        now: Timestamp,
    ) -> Answered<Drafted> {
        let (incident, local) = split_obligation(id)?;
        let dossier = self.dossier(caller, incident).await?;
        let (book, plan) = self.plan_of(&dossier, now);
        let o = find_obligation(&plan, local).ok_or_else(|| Trouble::NotFound(format!("obligation `{id}`")))?;
        let duty = duty_of(&book, &plan, &dossier.record.incident, o, now);
        let forms = self.forms();
        let serving = forms.serving(&asked(o, &duty.law));
        let form = choose(&serving, form)?;

        let mut given = given(&book, &plan, &dossier);
        let before = notices_before(&given, o, &duty.law);
        for at in &before {
            given[*at].told.is_earlier = true;
        }
        let told: Vec<Told> = given.iter().map(|g| g.told.clone()).collect();
        let sees = Sees { house: self, caller };
        let case = sees.case(&dossier, &dossier.record.incident.facts, o, &duty, form, &told, now);

        let facts: Vec<FactBook> =
            before.iter().map(|at| facts_at(&dossier.record.incident.facts, given[*at].as_of)).collect();
        let earlier: Vec<Earlier<'_>> = before
            .iter()
            .zip(&facts)
            .map(|(at, facts)| {
                let (then, told_then) = (&given[*at], &told[..*at]);
                let same = sees.case(&dossier, facts, o, &duty, form, told_then, then.as_of);
                // what it told is what its own form asked for
                let keys = match find_obligation(&plan, &then.told.obligation) {
                    Some(was) => {
                        let its = duty_of(&book, &plan, &dossier.record.incident, was, now);
                        let form = forms.serving(&asked(was, &its.law)).first().copied().unwrap_or(form);
                        let case = sees.case(&dossier, facts, was, &its, form, told_then, then.as_of);
                        draft::make(&forms, form, &case, &[]).told()
                    }
                    None => draft::make(&forms, form, &same, &[]).told(),
                };
                Earlier {
                    case: same,
                    told: keys,
                    obligation: format!("{incident}~{}", then.told.obligation),
                    title: then.told.title.clone(),
                    at: then.told.at,
                    reference: then.told.reference.clone(),
                }
            })
            .collect();
        let notice = draft::make(&forms, form, &case, &earlier);
        let checklist = draft::checklist(&forms, &case, &earlier);
        let mut blocks = draft::blocks(&forms, form, &notice);
        if self.settings.drill.is_some() {
            blocks.insert(0, Block::Mark(forms.words(form).drill.clone()));
        }
        let choice =
            |f: &&Form| FormChoice { id: f.id.clone(), title: f.title_of(case.title), language: f.language.clone() };
        Ok(Drafted {
            obligation: id.to_string(),
            forms: serving.iter().map(choice).collect(),
            notice,
            checklist,
            blocks,
        })
    }
}

fn asked<'a>(o: &'a Obligation, law: &'a ObligationAnswer) -> Asked<'a> {
    let languages = o.channel.as_ref().map_or(&[][..], |channel| channel.languages.as_slice());
    Asked { duty: &o.duty.0, pack: &law.pack, stage: o.stage, recipient: o.recipient, languages }
}

fn choose<'f>(serving: &[&'f Form], wanted: Option<&str>) -> Answered<&'f Form> {
    let Some(wanted) = wanted else {
        let none = || Trouble::NotFound("form for this obligation; put the form `generic` back".to_string());
        return serving.first().copied().ok_or_else(none);
    };
    serving.iter().find(|form| form.id == wanted).copied().ok_or_else(|| {
        let known: Vec<String> = serving.iter().map(|form| format!("`{}`", form.id)).collect();
        let text = format!("`form` is `{wanted}`, which is not for this obligation; it may be {}", known.join(", "));
        Trouble::Rejected(vec![Rejection { pointer: "/form".into(), line: None, text }])
    })
}

fn duty_of(book: &Rulebook, plan: &Plan, incident: &Incident, o: &Obligation, now: Timestamp) -> Duty {
    let law = plan.book_of(book, o).explain(incident, o, now);
    let item = |c: &crate::rules::Content| ContentItem {
        item: c.item.clone(),
        from: c.from.clone(),
        may_follow: c.may_follow,
    };
    Duty { content: law.content.iter().map(item).collect(), law }
}

/// The notices of the incident that were given, in order.
fn given<'d>(book: &Rulebook, plan: &Plan, dossier: &'d Dossier) -> Vec<Given<'d>> {
    let mut given = Vec::new();
    for (local, act) in &dossier.record.acts {
        let Some((id, place)) = local.rsplit_once('@') else { continue };
        let planned = find_obligation(plan, local);
        let duty = book.duty(id);
        let recipient = planned.map(|o| o.recipient).or(duty.map(|d| d.recipient)).unwrap_or(RecipientKind::Other);
        let name = planned.map(|o| o.recipient_name.clone()).or_else(|| duty.map(|d| d.recipient_name.clone()));
        let stage = planned.map(|o| o.stage).or(duty.map(|d| d.stage)).unwrap_or(Stage::Single);
        for filing in &act.filings {
            let told = Told {
                obligation: local.clone(),
                title: duty.map_or_else(|| id.to_string(), |d| d.title.clone()),
                recipient,
                recipient_name: name.clone().unwrap_or_else(|| id.to_string()),
                at: filing.at,
                reference: filing.reference.clone(),
                is_earlier: false,
            };
            let pack = duty.map_or_else(String::new, |d| bare(&d.pack).to_string());
            let as_of = filing.at.min(filing.recorded_at);
            given.push(Given { told, pack, place, stage, as_of });
        }
    }
    given.sort_by(|a, b| a.told.at.cmp(&b.told.at).then_with(|| a.told.obligation.cmp(&b.told.obligation)));
    given
}

/// The notices this one takes over from, the newest first: those to the same recipient under the same law that are no later
/// stage; of letters to people only earlier ones of the same duty, as each law asks them for something else.
fn notices_before(given: &[Given<'_>], o: &Obligation, law: &ObligationAnswer) -> Vec<usize> {
    const MOST: usize = 20;
    let public = o.recipient.is_public_body();
    let is_before = |g: &Given<'_>| {
        let same_law = !g.pack.is_empty()
            && g.pack == bare(&law.pack)
            && g.place == o.jurisdiction
            && g.told.recipient == o.recipient
            && rank(g.stage) <= rank(o.stage);
        g.told.obligation == o.id || (public && same_law)
    };
    (0..given.len()).rev().filter(|at| is_before(&given[*at])).take(MOST).collect()
}

fn bare(pack: &str) -> &str {
    pack.split('@').next().unwrap_or(pack)
}

fn rank(stage: Stage) -> u8 {
    match stage {
        Stage::Single | Stage::Initial => 0,
        Stage::Intermediate => 1,
        Stage::Update => 2,
        Stage::Final => 3,
    }
}

/// What had been asserted at `at`.
fn facts_at(facts: &FactBook, at: Timestamp) -> FactBook {
    let mut then = FactBook::default();
    facts.history().iter().filter(|fact| fact.asserted_at <= at).for_each(|fact| then.assert(fact.clone()));
    then
}

/// What the caller may see of the configuration.
struct Sees<'h, S> {
    house: &'h House<S>,
    caller: &'h Caller,
}

impl<S: Store> Sees<'_, S> {
    #[expect(clippy::too_many_arguments, reason = "everything a draft is made of")]
    fn case<'a>(
        &self,
        dossier: &'a Dossier,
        facts: &'a FactBook,
        o: &'a Obligation,
        duty: &'a Duty,
        form: &Form,
        told: &'a [Told],
        now: Timestamp,
    ) -> Case<'a> {
        Case {
            incident: &dossier.record.incident,
            facts,
            obligation: o,
            title: &duty.law.title,
            law: &duty.law.law,
            citation: &duty.law.citation,
            content: &duty.content,
            stage: o.stage,
            contact: self.contact(form),
            delays: dossier.record.acts.get(&o.id).map_or(&[], |act| act.delays.as_slice()),
            told,
            now,
            erased: super::erase::ERASED,
        }
    }

    /// The first of the form's roles that somebody has. Addresses are for those who give or check notices.
    fn contact(&self, form: &Form) -> Contact {
        let people = &self.house.settings.directory.people;
        let mut roles = form.contact.iter();
        let found = roles.find_map(|role| Some((people.iter().find(|p| p.roles.contains(role))?, role)));
        let Some((person, role)) = found else { return Contact::Nobody };
        let may = |right| self.caller.role.may(right);
        if !may(Right::Respond) && !may(Right::Export) {
            return Contact::Withheld;
        }
        let email = person.email.as_ref().map(|email| format!(", {email}")).unwrap_or_default();
        Contact::Person(format!("{} ({role}){email}", person.name))
    }
}
