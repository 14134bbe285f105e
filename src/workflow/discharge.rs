//! What people do about an obligation: take it, decline it, record the notice, decide against it, give reasons for delay.

use super::attachments::{Attach, AttachmentKind};
use super::correct::assertion;
use super::lateness::reasons_missing;
use super::read::{find_obligation, split_obligation};
use super::review::{are_words, review_at, zone_of};
use super::rulebook::waiting;
use super::tokens::AckClaims;
use super::{
    AckOffer, AckRequest, Answered, Caller, Changed, FilingRequest, House, IncidentView, ObligationView, Right, Role,
    Score, Terms, Trouble, WaiverRequest, rejected,
};
use crate::escalation::{DeliveryState, Message, Sent, lease_end};
use crate::law::{Acknowledgement, Delay, Filing, IncidentId, Value, Waiver};
use crate::rules::{Warning, utc};
use crate::store::{Change, Changeset, Delivery, Store, StoreError};
use crate::time::Timestamp;
use chrono::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A filing may be dated this far ahead of our clock.
const FUTURE_TOLERANCE: Duration = Duration::minutes(5);
const REASON_LIMIT: usize = 10_000;

impl<S: Store> House<S> {
    /// Takes the obligation for a while, or declines it so that the next person is told at once.
    pub async fn acknowledge(
        &self,
        caller: &Caller,
        id: &str,
        ask: AckRequest,
        terms: impl Into<Terms<'_>>,
        now: Timestamp,
    ) -> Answered<ObligationView> {
        let terms = terms.into();
        self.permit(caller, Right::Respond)?;
        let (incident, local) = split_obligation(id)?;
        self.take(caller, incident, &[local.to_string()], &ask, terms, now).await?;
        self.reminded_acknowledged(incident, local, ask.by.as_deref().unwrap_or(&caller.name), now).await?;
        let mut view = self.obligation(caller, id, now).await?;
        if let Some(by) = &ask.by
            && *by != caller.name
            && self.names(now).await?.is_unknown(by)
        {
            let text = format!(
                "`{by}` is neither a person of the configuration nor the label of a token: recorded as written, and nobody \
                 of that name is reminded"
            );
            view.warnings.push(Warning { key: "by".to_string(), text });
        }
        Ok(view)
    }

    async fn take(
        &self,
        caller: &Caller,
        incident: &str,
        obligations: &[String],
        ask: &AckRequest,
        terms: Terms<'_>,
        now: Timestamp,
    ) -> Answered<()> {
        let request = format!("ack {obligations:?} {ask:?}");
        self.change_or_replan(caller, incident, terms.version, terms.of(&request), now, |house, dossier| {
            let (_, plan) = house.plan_of(dossier, now);
            let mut record = dossier.record.clone();
            let mut drafts = Vec::new();
            for local in obligations {
                let o =
                    find_obligation(&plan, local).ok_or_else(|| Trouble::NotFound(format!("obligation `{local}`")))?;
                if !o.standing.is_open() {
                    if obligations.len() > 1 {
                        continue;
                    }
                    return Err(Trouble::NotNow(format!(
                        "obligation `{local}` is {}; there is nothing to take",
                        o.standing.as_str()
                    )));
                }
                let by = ask.by.clone().unwrap_or_else(|| caller.name.clone());
                let person = house.settings.directory.people.iter().find(|p| p.id == by || p.name == by);
                let role = ask.role.clone().or_else(|| person.and_then(|p| p.roles.first().cloned()));
                let name = person.map_or(by, |p| p.name.clone());
                let policy_lease = house
                    .policy_for(&record.incident, &o.duty)
                    .steps
                    .iter()
                    .map(|s| s.lease_seconds)
                    .min()
                    .unwrap_or(4 * 3600);
                let lease = Duration::seconds(ask.lease_seconds.unwrap_or(policy_lease).clamp(60, 7 * 86_400));
                let limit = o.standing.deadline().map(|d| d.conservative_due);
                let started = o.started_by.as_ref().map_or(now, |s| s.at);
                let ack = Acknowledgement { by: name, role, at: now, until: lease_end(lease, started, limit, now) };
                let act = record.acts.entry(local.clone()).or_default();
                // one link takes what nobody has, never what somebody else holds
                if obligations.len() > 1 && act.holder(now).is_some_and(|holder| holder.by != ack.by) {
                    continue;
                }
                drafts.push(house.draft_acknowledged(&record.incident, local, &ack, caller, ask.decline, now));
                if ask.decline {
                    act.declined.push((ack.by.clone(), now));
                    // declining ends a lease of one's own
                    for own in act.acknowledgements.iter_mut().filter(|a| a.by == ack.by && a.until > now) {
                        own.until = now;
                    }
                } else {
                    act.acknowledgements.push(ack);
                }
            }
            if drafts.is_empty() {
                return Err(Trouble::NotNow("none of these obligations is open and free any more".into()));
            }
            Ok((record, drafts))
        })
        .await?;
        Ok(())
    }

    /// Records that the notice was given: discharges the obligation and starts the clocks that depend on it.
    pub async fn file(
        &self,
        caller: &Caller,
        id: &str,
        ask: FilingRequest,
        terms: impl Into<Terms<'_>>,
        now: Timestamp,
    ) -> Answered<Changed> {
        let terms = terms.into();
        self.permit(caller, Right::Respond)?;
        let (incident, local) = split_obligation(id)?;
        let at = ask.at.unwrap_or(now);
        if at > now + FUTURE_TOLERANCE {
            return Err(rejected("/at", format!("`{}` is later than now; record the filing when it is made", utc(at))));
        }
        // as it was asked: without an instant the same request comes a moment later
        let asked = (&ask.at, &ask.by, &ask.reference, ask.proof, ask.complete, &ask.note, &ask.documents);
        let request = format!("file {local} {asked:?}");
        self.are_attachments(incident, &ask.documents).await?;
        let repeated = self.is_repeated(caller, incident, terms.of(&request)).await?;
        if ask.proof_bytes.is_some() && !repeated {
            // a filing that is refused leaves no file behind
            terms.hold(self.dossier(caller, incident).await?.version)?;
        }
        let documents = self.keep_proof(caller, id, &ask, terms.key, now).await?;
        // the file is a change of its own
        let version = terms.version.map(|version| version + u64::from(ask.proof_bytes.is_some()));
        self.change(caller, incident, version, terms.of(&request), now, |house, dossier| {
            let (_, plan) = house.plan_of(dossier, now);
            let o = find_obligation(&plan, local).ok_or_else(|| Trouble::NotFound(format!("obligation `{id}`")))?;
            let mut record = dossier.record.clone();
            let by = ask.by.clone().unwrap_or_else(|| caller.name.clone());
            let filing = Filing {
                at,
                by: by.clone(),
                recorded_at: now,
                reference: ask.reference.clone(),
                proof: ask.proof,
                complete: ask.complete.unwrap_or(true),
                note: ask.note.clone(),
            };
            let key = format!("times.filed.{}@{}", o.duty, o.jurisdiction);
            record.incident.facts.assert(assertion(key, Value::Instant(at), &by, now));
            let draft = house.draft_filed(&record.incident, local, &filing, &documents, caller, now);
            record.acts.entry(local.to_string()).or_default().filings.push(filing);
            Ok((record, draft))
        })
        .await
    }

    /// The files of a filing, with the proof that came with it, which is kept first.
    async fn keep_proof(
        &self,
        caller: &Caller,
        id: &str,
        ask: &FilingRequest,
        idempotency: Option<&str>,
        now: Timestamp,
    ) -> Answered<Vec<u64>> {
        let mut documents = ask.documents.clone();
        let Some(bytes) = &ask.proof_bytes else { return Ok(documents) };
        let (incident, _) = split_obligation(id)?;
        // what is no obligation leaves no file behind
        self.obligation(caller, id, now).await?;
        let key = idempotency.map(|key| format!("{key}/proof"));
        let proof = Attach {
            bytes: bytes.clone(),
            kind: AttachmentKind::Proof,
            obligation: Some(id.to_string()),
            by: ask.by.clone(),
            how: Some("handed in with the filing".to_string()),
            ..Attach::default()
        };
        documents.push(self.attach(caller, incident, proof, key.as_deref(), now).await?.entry);
        Ok(documents)
    }

    /// Decides that the duty does not arise. With a second approver named, it waits for that person; clock and reminders go on.
    pub async fn waive(
        &self,
        caller: &Caller,
        id: &str,
        ask: WaiverRequest,
        terms: impl Into<Terms<'_>>,
        now: Timestamp,
    ) -> Answered<ObligationView> {
        let terms = terms.into();
        self.permit(caller, Right::Approve)?;
        let (incident, local) = split_obligation(id)?;
        let request = format!("waive {local} {ask:?}");
        let names = self.names(now).await?;
        self.are_facts("reopen_when", &ask.reopen_when)?;
        self.are_facts("inputs", &ask.inputs)?;
        are_words("grounds", &ask.grounds)?;
        if let Some(Score { method, value, band }) = &ask.score {
            let words: Vec<String> = [method, value].into_iter().chain(band).cloned().collect();
            are_words("score", &words)?;
        }
        self.change(caller, incident, terms.version, terms.of(&request), now, |house, dossier| {
            let (_, plan) = house.plan_of(dossier, now);
            let o = find_obligation(&plan, local).ok_or_else(|| Trouble::NotFound(format!("obligation `{id}`")))?;
            let mut record = dossier.record.clone();
            let mut by = ask.by.clone().unwrap_or_else(|| caller.name.clone());
            let zone = zone_of(&record.incident);
            // a program acts for people; whoever logs in acts for nobody but themselves
            let in_person = house.doors.second_approver || names.is_account(&caller.name);
            let act = record.acts.entry(local.to_string()).or_default();
            let waiver = match act.waiver.take() {
                Some(pending) if pending.approved_at.is_none() => {
                    if names.same(&pending.by, &by) {
                        return Err(Trouble::NotPermitted("the second approver must be another person".into()));
                    }
                    let agrees =
                        |second: &String| names.same(second, &caller.name) || !in_person && names.same(second, &by);
                    if pending.second_approver.as_ref().is_some_and(|second| !agrees(second)) {
                        let second = pending.second_approver.unwrap_or_default();
                        return Err(Trouble::NotPermitted(format!("this decision waits for `{second}`")));
                    }
                    if in_person {
                        by = caller.name.clone();
                    }
                    Waiver { approved_at: Some(now), ..pending }
                }
                Some(standing) if review_at(&standing, zone).is_none_or(|at| now < at) => {
                    return Err(Trouble::NotNow(format!("obligation `{local}` is waived already")));
                }
                // on its day it is decided anew; until that is approved the earlier decision stands
                review => {
                    if review.is_none() && !o.standing.is_open() {
                        return Err(Trouble::NotNow(format!(
                            "obligation `{local}` is {}; there is nothing to decide",
                            o.standing.as_str()
                        )));
                    }
                    let reason = reason_of(&ask.reason)?;
                    if house.doors.second_approver && ask.second_approver.is_none() {
                        let text =
                            "`second_approver` is missing; two people decide not to notify here: name the other one";
                        return Err(rejected("/second_approver", text.to_string()));
                    }
                    if let Some(second) = &ask.second_approver {
                        names.may_approve(second).map_err(|text| rejected("/second_approver", text))?;
                        if house.doors.second_approver {
                            names.can_come_in(second).map_err(|text| rejected("/second_approver", text))?;
                        }
                        if names.same(second, &by) || in_person && names.same(second, &caller.name) {
                            let text =
                                format!("`{second}` decides already; the second approver must be another person");
                            return Err(rejected("/second_approver", text));
                        }
                    }
                    Waiver {
                        reason,
                        by: by.clone(),
                        at: now,
                        approved_at: ask.second_approver.is_none().then_some(now),
                        second_approver: ask.second_approver.clone(),
                        review_on: ask.review_on.clone(),
                        reopen_when: ask.reopen_when.clone(),
                    }
                }
            };
            act.waiver = Some(waiver.clone());
            if waiver.approved_at.is_some() {
                let key = format!("waived.{}@{}", o.duty, o.jurisdiction);
                record.incident.facts.assert(assertion(key, Value::Text(waiver.reason.clone()), &by, now));
            }
            let draft = house.draft_waived(&record.incident, local, &waiver, &ask, caller, now);
            Ok((record, draft))
        })
        .await?;
        self.obligation(caller, id, now).await
    }

    /// Records why a notice is late, as the law asks.
    pub async fn delay(
        &self,
        caller: &Caller,
        id: &str,
        reason: &str,
        terms: impl Into<Terms<'_>>,
        now: Timestamp,
    ) -> Answered<ObligationView> {
        let terms = terms.into();
        self.permit(caller, Right::Respond)?;
        let (incident, local) = split_obligation(id)?;
        let reason = reason_of(reason)?;
        let request = format!("delay {local} {reason}");
        self.change(caller, incident, terms.version, terms.of(&request), now, |house, dossier| {
            let (_, plan) = house.plan_of(dossier, now);
            find_obligation(&plan, local).ok_or_else(|| Trouble::NotFound(format!("obligation `{id}`")))?;
            let mut record = dossier.record.clone();
            let delay = Delay { reason: reason.clone(), by: caller.name.clone(), at: now };
            let draft = house.draft_delay(&record.incident, local, &delay, caller, now);
            record.acts.entry(local.to_string()).or_default().delays.push(delay);
            Ok((record, draft))
        })
        .await?;
        self.obligation(caller, id, now).await
    }

    /// Closes an incident in which nothing runs any more.
    pub async fn close(
        &self,
        caller: &Caller,
        id: &str,
        if_match: Option<u64>,
        idempotency: Option<&str>,
        now: Timestamp,
    ) -> Answered<IncidentView> {
        self.permit(caller, Right::Approve)?;
        self.change(caller, id, if_match, idempotency.map(|key| (key, "close")), now, |house, dossier| {
            let (_, plan) = house.plan_of(dossier, now);
            let running: Vec<&str> = plan
                .obligations
                .iter()
                .filter(|o| o.standing.as_str() == "running" && o.standing.deadline().is_some())
                .map(|o| o.id.as_str())
                .collect();
            if !running.is_empty() {
                let some = running.iter().take(3).map(|o| format!("`{o}`")).collect::<Vec<_>>().join(", ");
                return Err(Trouble::NotNow(format!(
                    "{} clocks still run ({some}); record the filings or decisions first",
                    running.len()
                )));
            }
            if waiting(&plan).next().is_some() {
                return Err(Trouble::NotNow(
                    "limits of earlier rule packs wait for a sign-off; sign them off before closing".into(),
                ));
            }
            let unexplained = plan.obligations.iter().filter(|o| reasons_missing(&dossier.record, o, now));
            if let Some(o) = { unexplained }.next() {
                return Err(Trouble::NotNow(format!(
                    "obligation `{id}~{}` is late and nobody recorded why; record the reasons for the delay first, with \
                     `breachclock obligation delay` or on its page",
                    o.id
                )));
            }
            let mut record = dossier.record.clone();
            record.incident.closed_at = Some(now);
            let draft = house.draft_closed(&record.incident, caller, now);
            Ok((record, draft))
        })
        .await?;
        self.incident(caller, id, now).await
    }

    /// What the page behind a link shows. Looking changes nothing.
    pub async fn ack_offer(&self, token: &str, now: Timestamp) -> Answered<AckOffer> {
        let claims = self.read_ack_token(token, now)?;
        self.offer(&claims, now).await
    }

    /// The person behind the link takes it, or declines.
    pub async fn ack_by_link(&self, token: &str, ask: AckRequest, now: Timestamp) -> Answered<AckOffer> {
        let claims = self.ack_claims(token)?;
        let taken = match self.read_ack_token(token, now) {
            Ok(_) => self.ack_by_claims(&claims, ask, None, now).await,
            Err(expired) => Err(expired),
        };
        if let Err(trouble @ (Trouble::NotNow(_) | Trouble::NotFound(_))) = &taken {
            let first = self.draft_link_refused(&claims, &trouble.to_string(), now);
            self.store.commit(Changeset { change: Change::Nothing, first, more: Vec::new() }).await?;
        }
        taken?;
        self.message_acknowledged(&claims, token, now).await?;
        self.offer(&claims, now).await
    }

    /// What a link or a reply entitles to: acts as its person, on its obligations.
    pub(super) async fn ack_by_claims(
        &self,
        claims: &AckClaims,
        ask: AckRequest,
        idempotency: Option<&str>,
        now: Timestamp,
    ) -> Answered<()> {
        let person = self.settings.directory.person(&claims.person);
        let caller = Caller { name: claims.person.clone(), role: Role::Responder, entities: Vec::new() };
        if !ask.decline {
            let dossier = self.dossier(&caller, &claims.incident).await?;
            let name = person.map_or(&claims.person, |p| &p.name);
            let held = |local: &String| {
                let holder = dossier.record.acts.get(local).and_then(|act| act.holder(now));
                holder.is_some_and(|ack| ack.by == *name)
            };
            if claims.obligations.iter().all(held) {
                let held = "you have this already, nothing was changed; extend it on the board, or decline it here";
                return Err(Trouble::NotNow(held.into()));
            }
        }
        let role = person.and_then(|p| p.roles.first().cloned());
        let ask = AckRequest { by: Some(claims.person.clone()), role, ..ask };
        self.take(&caller, &claims.incident, &claims.obligations, &ask, idempotency.into(), now).await
    }

    /// Who takes or declines an obligation without the link knows of it all the same: the last message by each way that told
    /// them.
    async fn reminded_acknowledged(&self, incident: &str, local: &str, by: &str, now: Timestamp) -> Answered<()> {
        let Some(person) = self.settings.directory.person_called(by) else { return Ok(()) };
        let id = IncidentId(incident.to_string());
        let mut last: BTreeMap<String, Arc<Message>> = BTreeMap::new();
        for Sent { message, state, .. } in self.store.sent(&id, u32::MAX).await? {
            let tells = message.obligation.as_deref() == Some(local)
                || message.brief.also.iter().any(|also| also.obligation == local);
            // what waits may tell of other obligations too, and what failed did not tell
            let came = matches!(state, DeliveryState::HandedOver | DeliveryState::Delivered | DeliveryState::Seen);
            if tells && came && message.target.person() == Some(&person.id) {
                last.insert(message.target.label(), message);
            }
        }
        for message in last.into_values() {
            let news = Delivery {
                incident: id.clone(),
                key: message.key.clone(),
                state: DeliveryState::Acknowledged,
                detail: "its obligation was answered without the link".into(),
                at: now,
            };
            let first = self.draft_delivery(&message, "message.acknowledged", &news, now);
            match self.store.commit(Changeset { change: Change::Delivery(news), first, more: Vec::new() }).await {
                Ok(_) | Err(StoreError::OldNews) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The message whose link was used is known to have been read.
    async fn message_acknowledged(&self, claims: &AckClaims, token: &str, now: Timestamp) -> Answered<()> {
        let id = IncidentId(claims.incident.clone());
        let sent = self.store.sent(&id, u32::MAX).await?;
        let Some(sent) = sent.into_iter().find(|s| s.message.ack_token.as_deref() == Some(token)) else {
            return Ok(());
        };
        let news = Delivery {
            incident: id,
            key: sent.message.key.clone(),
            state: DeliveryState::Acknowledged,
            detail: "the link in it was used".into(),
            at: now,
        };
        let first = self.draft_delivery(&sent.message, "message.acknowledged", &news, now);
        match self.store.commit(Changeset { change: Change::Delivery(news), first, more: Vec::new() }).await {
            // used before, to take it or to decline
            Ok(_) | Err(StoreError::OldNews) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn offer(&self, claims: &AckClaims, now: Timestamp) -> Answered<AckOffer> {
        let caller = Caller { name: claims.person.clone(), role: Role::Responder, entities: Vec::new() };
        let mut obligations = Vec::new();
        for local in &claims.obligations {
            match self.obligation(&caller, &format!("{}~{local}", claims.incident), now).await {
                Ok(view) => obligations.push(view),
                Err(Trouble::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let dossier = self.dossier(&caller, &claims.incident).await?;
        let (_, plan) = self.plan_of(&dossier, now);
        let head = claims.obligations.first().and_then(|local| find_obligation(&plan, local));
        let limit = head.and_then(|o| o.standing.deadline()).map(|d| d.conservative_due);
        let started = head.and_then(|o| o.started_by.as_ref()).map_or(now, |s| s.at);
        let latest = limit.map(|_| lease_end(Duration::days(7), started, limit, now));
        let lease_options = [1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 24 * 3600]
            .into_iter()
            .filter(|s| latest.is_none_or(|latest| now + Duration::seconds(*s) <= latest))
            .collect();
        let person =
            self.settings.directory.person(&claims.person).map_or_else(|| claims.person.clone(), |p| p.name.clone());
        Ok(AckOffer { person, obligations, lease_options, latest_lease: latest.map(utc), expires: utc(claims.expires) })
    }
}

pub(super) fn reason_of(text: &str) -> Answered<String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(rejected("/reason", "`reason` is empty; write down why, for whoever reads it in two years"));
    }
    if text.chars().count() > REASON_LIMIT {
        return Err(rejected(
            "/reason",
            format!("`reason` is longer than {REASON_LIMIT} characters; attach a document instead"),
        ));
    }
    Ok(text.to_string())
}
