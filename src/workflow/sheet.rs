//! The sheet for the wall: every open clock with its dates, who has it and whom to call, for when this server is gone.

use super::{Answered, Caller, House, Right};
use crate::escalation::Person;
use crate::law::{Channel, Obligation, Standing};
use crate::notify::words::limit;
use crate::rules::{Rulebook, due_label, utc};
use crate::store::{Dossier, Query, Store};
use crate::time::{Timestamp, Zone};
use serde::Serialize;

const BATCH: u32 = 200;

#[derive(Clone, Debug, Serialize)]
pub struct Sheet {
    pub now: String,
    pub origin: String,
    pub public_url: String,
    pub incidents: Vec<SheetIncident>,
    pub people: Vec<SheetPerson>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SheetIncident {
    pub id: String,
    pub title: String,
    pub entity: String,
    /// Nearest first; those without a date at the end.
    pub clocks: Vec<Clock>,
    /// People of the policy's steps, in the order in which it tells them.
    pub call: Vec<String>,
}

/// An open obligation.
#[derive(Clone, Debug, Serialize)]
pub struct Clock {
    pub id: String,
    pub title: String,
    pub recipient: String,
    pub law: String,
    pub standing: &'static str,
    /// The careful limit: act before it.
    pub act_before: Option<Moment>,
    pub legal_limit: Option<Moment>,
    /// Where there is no date: the open norm, or what the clock waits for.
    pub otherwise: Option<String>,
    pub channel: Option<Channel>,
    pub holder: Option<String>,
    pub holder_until: Option<Moment>,
}

/// An instant on the recipient's clock and in UTC.
#[derive(Clone, Debug, Serialize)]
pub struct Moment {
    pub local: String,
    pub utc: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct SheetPerson {
    pub id: String,
    pub name: String,
    pub roles: Vec<String>,
    /// How the person is reached, as configured.
    pub reach: Vec<String>,
    /// Rotas whose turn it is.
    pub on_duty: Vec<String>,
}

impl<S: Store> House<S> {
    /// Every open clock the caller may see, of all incidents or of one.
    pub async fn sheet(&self, caller: &Caller, incident: Option<&str>, now: Timestamp) -> Answered<Sheet> {
        self.permit(caller, Right::Read)?;
        let book = self.book();
        let incidents = match incident {
            Some(id) => vec![self.sheet_of(&book, &self.dossier(caller, id).await?, now)],
            None => self.sheets(caller, &book, now).await?,
        };
        Ok(Sheet {
            now: utc(now),
            origin: self.settings.origin.clone(),
            public_url: self.settings.public_url.clone(),
            incidents,
            people: self.settings.directory.people.iter().map(|p| self.sheet_person(p, now)).collect(),
        })
    }

    async fn sheets(&self, caller: &Caller, book: &Rulebook, now: Timestamp) -> Answered<Vec<SheetIncident>> {
        let mut sheets = Vec::new();
        let mut after = None;
        loop {
            let batch = self
                .store
                .list(Query { open_only: true, entity: None, after, limit: BATCH, ..Query::default() })
                .await?;
            let (full, last) = (batch.len() == BATCH as usize, batch.last().map(|d| d.record.incident.id.clone()));
            let visible = batch.iter().filter(|d| caller.may_see(&d.record.incident.entity));
            sheets.extend(visible.map(|dossier| self.sheet_of(book, dossier, now)));
            if !full {
                return Ok(sheets);
            }
            after = last;
        }
    }

    fn sheet_of(&self, book: &Rulebook, dossier: &Dossier, now: Timestamp) -> SheetIncident {
        let incident = &dossier.record.incident;
        let plan = self.plan_record(book, &dossier.record, now);
        let mut clocks: Vec<(Option<Timestamp>, Clock)> =
            plan.obligations.iter().filter_map(|o| clock(book, dossier, o, now)).collect();
        clocks.sort_by(|(a, x), (b, y)| (a.is_none(), a, &x.id).cmp(&(b.is_none(), b, &y.id)));
        let directory = &self.settings.directory;
        let open = plan.obligations.iter().filter(|o| o.standing.is_open());
        let told = open.flat_map(|o| &self.policy_for(incident, &o.duty).steps).flat_map(|step| &step.notify);
        let mut call: Vec<String> = Vec::new();
        for ladder in told.flat_map(|who| directory.ladders(who, &[], now)) {
            let name = ladder.first().person().and_then(|id| directory.person(id)).map(|p| p.name.clone());
            call.extend(name.filter(|name| !call.contains(name)));
        }
        SheetIncident {
            id: incident.id.0.clone(),
            title: incident.title.clone(),
            entity: incident.entity.name.clone(),
            clocks: clocks.into_iter().map(|(_, clock)| clock).collect(),
            call,
        }
    }

    fn sheet_person(&self, person: &Person, now: Timestamp) -> SheetPerson {
        let directory = &self.settings.directory;
        let on_duty = directory.rotas.iter().filter(|rota| rota.on_duty(now) == Some(&person.id));
        SheetPerson {
            id: person.id.clone(),
            name: person.name.clone(),
            roles: person.roles.clone(),
            reach: person.email.iter().chain(person.addresses.values()).cloned().collect(),
            on_duty: on_duty.map(|rota| rota.id.clone()).collect(),
        }
    }
}

/// What is open and has a date, a norm or a known trigger; with the instant it is sorted by. What is merely possible and
/// undated would bury it.
fn clock(book: &Rulebook, dossier: &Dossier, o: &Obligation, now: Timestamp) -> Option<(Option<Timestamp>, Clock)> {
    let incident = &dossier.record.incident;
    let deadline = o.limits();
    let projected = match &o.standing {
        Standing::Awaiting { projected_conservative, .. } => *projected_conservative,
        _ => None,
    };
    let worth = match &o.standing {
        Standing::Running(_) | Standing::Awaiting { .. } => true,
        Standing::Possible(_) => deadline.is_some() && !o.unverified,
        _ => false,
    };
    if !worth {
        return None;
    }
    let duty = book.duty_of(incident, o);
    let waits = || match projected {
        Some(at) => format!("has not started; if it starts at the latest moment: {}", due_label(at, o.zone)),
        None => "has not started".to_string(),
    };
    let otherwise = match (deadline, &o.standing) {
        (Some(_), _) => None,
        (None, Standing::Awaiting { .. }) => Some(waits()),
        (None, _) => Some(o.promptly.clone().unwrap_or_else(|| "no date".into())),
    };
    let held = dossier.record.acts.get(&o.id).and_then(|act| act.holder(now));
    let clock = Clock {
        id: format!("{}~{}", incident.id, o.id),
        title: duty.title.clone(),
        recipient: o.recipient_name.clone(),
        law: format!("{}, {}", duty.law, duty.citation),
        standing: o.standing.as_str(),
        act_before: deadline.map(|(_, careful)| moment(careful, o.zone)),
        legal_limit: deadline.map(|(due, _)| moment(due, o.zone)),
        otherwise,
        channel: o.channel.clone(),
        holder: held.map(|ack| ack.by.clone()),
        holder_until: held.map(|ack| moment(ack.until, o.zone)),
    };
    Some((deadline.map(|(_, careful)| careful), clock))
}

fn moment(at: Timestamp, zone: Zone) -> Moment {
    // with its year: paper lies about
    Moment { local: limit(at, zone).date, utc: utc(at) }
}
