//! Names nobody knows: contracts, places of contracts, approvers. They are refused with the nearest known ones.

use crate::support::{at, caller, house, settings};
use breachclock::law::Contract;
use breachclock::rules::{builtin, contract_faults};
use breachclock::store::MemoryStore;
use breachclock::workflow::{AckRequest, Answered, Caller, House, NewAccount, Role, Trouble, WaiverRequest};
use std::fmt::Debug;

const NOW: &str = "2026-03-28T01:00:00Z";
const AWARE: &str = r#""times.aware": "2026-03-27T15:20:00Z", "personal_data": true, "risk": "risk""#;

/// One entity with two contracts.
fn with_contracts() -> House<MemoryStore> {
    let mut settings = settings(Vec::new());
    settings.entities[0].contracts = vec![Contract::named("big-plc"), Contract::named("host-ltd")];
    house(MemoryStore::new("test.example/log"), settings)
}

/// The pointer and the words of the only rejection.
fn rejection<T: Debug>(answer: Answered<T>) -> (String, String) {
    match answer {
        Err(Trouble::Rejected(found)) if found.len() == 1 => (found[0].pointer.clone(), found[0].text.clone()),
        other => panic!("wanted one rejection: {other:?}"),
    }
}

#[tokio::test]
async fn facts_about_contracts_the_entity_does_not_have() {
    let house = with_contracts();
    let (responder, now) = (caller(Role::Responder), at(NOW));
    let report =
        |entity: &str, fact: &str| format!(r#"{{"title": "x", "entity": {entity}, "facts": {{{AWARE}, {fact}}}}}"#);
    let inline = r#"{"name": "B", "roles": ["processor"]}"#;
    let cases = [
        (r#""acme-fr""#, r#""clients": ["big-plx"]"#, "/facts/clients", "did you mean `big-plc`?"),
        (r#""acme-fr""#, r#""clients": ["big-plc", "zzzzzzzzzz"]"#, "/facts/clients", "it has `big-plc`, `host-ltd`"),
        (
            r#""acme-fr""#,
            r#""times.counterparty_notice.host-lt": "2026-03-27T15:20:00Z""#,
            "/facts/times.counterparty_notice.host-lt",
            "did you mean `host-ltd`?",
        ),
        (
            r#""acme-fr""#,
            r#""times.filed.contract-own-clause@big-pl": "2026-03-27T15:20:00Z""#,
            "/facts/times.filed.contract-own-clause@big-pl",
            "did you mean `big-plc`?",
        ),
        (inline, r#""clients": ["big-plc"]"#, "/facts/clients", "it has none: add `contracts` to the entity"),
    ];
    for (entity, fact, pointer, words) in cases {
        let text = report(entity, fact);
        let (found, said) = rejection(house.report(&responder, &text, None, now).await.map(|r| r.incident.id));
        assert_eq!(found, pointer, "{fact}");
        assert!(said.contains(words), "{fact}: {said}");
        assert!(house.assess(&responder, &text, now).await.is_err(), "assess takes {fact}");
    }

    let good = report(r#""acme-fr""#, r#""clients": ["host-ltd"]"#);
    let id = house.report(&responder, &good, None, now).await.expect("opens").incident.id;
    let later = "clients = [\"big-plc\"]\n[times.counterparty_trigger]\nhots-ltd = \"2026-03-27T15:20:00Z\"\n";
    match house.assert_facts(&responder, &id, later, None, None, now).await {
        Err(Trouble::Rejected(found)) => {
            assert_eq!((found[0].pointer.as_str(), found[0].line), ("/times/counterparty_trigger/hots-ltd", Some(3)));
        }
        other => panic!("{:?}", other.map(|c| c.version)),
    }
    let suppose = format!(r#"{{"incident": "{id}", "suppose": {{"clients": ["nobody"]}}}}"#);
    assert_eq!(rejection(house.assess(&responder, &suppose, now).await.map(|_| ())).0, "/suppose/clients");
    let withdrawn = r#"{"clients": null}"#;
    assert!(house.assert_facts(&responder, &id, withdrawn, None, None, now).await.is_ok());
}

#[tokio::test]
async fn an_entity_nobody_stated_may_have_any_contract_of_the_register() {
    let mut settings = settings(Vec::new());
    settings.entities[0].contracts = vec![Contract::named("big-plc")];
    let mut other = settings.entities[0].clone();
    (other.id, other.contracts) = (Some("acme-de".into()), vec![Contract::named("host-ltd")]);
    settings.entities.push(other);
    let house = house(MemoryStore::new("test.example/log"), settings);
    let report = |id: &str| format!(r#"{{"title": "x", "facts": {{"clients": ["{id}"]}}}}"#);
    let responder = caller(Role::Responder);
    assert!(house.report(&responder, &report("host-ltd"), None, at(NOW)).await.is_ok());
    assert!(house.report(&responder, &report("host-lt"), None, at(NOW)).await.is_err());
}

#[test]
fn places_of_contracts() {
    let book = builtin().expect("loads");
    for (place, known) in [("US-NY", true), ("GB", true), ("US-NYC", false), ("XX", false), ("EEA", false)] {
        let contract = Contract { place: Some(place.into()), ..Contract::named("c") };
        let faults = contract_faults(&book, &contract);
        assert_eq!(faults.iter().any(|(member, _)| *member == "place"), !known, "{place}: {faults:?}");
    }
    let contract = Contract { place: Some("US-NYC".into()), ..Contract::named("c") };
    assert!(contract_faults(&book, &contract)[0].1.contains("did you mean `US-NC`"), "the nearest places are named");
}

#[tokio::test]
async fn who_takes_it_and_who_must_agree() {
    let house = with_contracts();
    let (approver, now) = (caller(Role::Approver), at(NOW));
    for (role, label) in [(Role::Approver, "counsel"), (Role::Responder, "desk")] {
        house.create_token(&Caller::system(), role, label, Vec::new(), None, now).await.expect("a token");
    }
    let report = format!(r#"{{"title": "x", "entity": "acme-fr", "facts": {{{AWARE}}}}}"#);
    let id = house.report(&approver, &report, None, now).await.expect("opens").incident.id;
    let duty = format!("{id}~eu-gdpr-33-authority@FR");

    for (by, warns) in [("lea", false), ("Lea Fontaine", false), ("counsel", false), ("Leia", true)] {
        let ask = AckRequest { by: Some(by.into()), ..AckRequest::default() };
        let view = house.acknowledge(&approver, &duty, ask, None, now).await.expect("taken");
        assert_eq!(view.warnings.len(), usize::from(warns), "{by}");
        assert!(!warns || view.warnings[0].text.contains("`Leia`"));
    }

    let waiver = |by: &str, second: Option<&str>| WaiverRequest {
        reason: "no risk".into(),
        by: Some(by.into()),
        second_approver: second.map(str::to_string),
        ..WaiverRequest::default()
    };
    for (second, words) in [
        ("inez", "did you mean `ines`"),
        ("nobody at all", "would wait for ever"),
        ("desk", "may not approve"),
        ("Lea Fontaine", "must be another person"),
    ] {
        let ask = waiver("lea", Some(second));
        let (pointer, said) = rejection(house.waive(&approver, &duty, ask, None, now).await.map(|v| v.law.id));
        assert_eq!(pointer, "/second_approver", "{second}");
        assert!(said.contains(words), "{second}: {said}");
    }

    let view = house.waive(&approver, &duty, waiver("lea", Some("ines")), None, now).await.expect("waits");
    assert_eq!(view.waiver.expect("a decision").state, "pending");
    for (by, why) in [("Lea Fontaine", "another person"), ("counsel", "waits for `ines`")] {
        match house.waive(&approver, &duty, waiver(by, None), None, now).await {
            Err(Trouble::NotPermitted(said)) => assert!(said.contains(why), "{by}: {said}"),
            other => panic!("{by}: {:?}", other.map(|v| v.law.standing)),
        }
    }
    let view = house.waive(&approver, &duty, waiver("Ines Moreau", None), None, now).await.expect("agrees");
    assert_eq!(view.law.standing, "waived");

    // a token is named by its label
    let id = house.report(&approver, &report, None, now).await.expect("opens").incident.id;
    let duty = format!("{id}~eu-gdpr-33-authority@FR");
    house.waive(&approver, &duty, waiver("lea", Some("counsel")), None, now).await.expect("waits");
    let counsel = Caller { name: "token:counsel".into(), role: Role::Approver, entities: Vec::new() };
    let ask = WaiverRequest { reason: "agreed".into(), ..WaiverRequest::default() };
    let view = house.waive(&counsel, &duty, ask, None, now).await.expect("agrees");
    assert_eq!(view.law.standing, "waived");
}

/// An act of the table below: who calls, in whose name, whom they name as second, and what comes of it.
type Act<'a> = (&'a Caller, Option<&'a str>, Option<&'a str>, Result<&'a str, &'a str>);

#[tokio::test]
async fn two_people_decide_each_in_person() {
    for required in [false, true] {
        let mut house = with_contracts();
        house.doors.second_approver = required;
        let now = at(NOW);
        for label in ["max", "eve"] {
            house.create_token(&Caller::system(), Role::Approver, label, Vec::new(), None, now).await.expect("a token");
        }
        let ines = NewAccount {
            login: "ines".into(),
            name: "Ines".into(),
            person: Some("ines".into()),
            role: "approver".into(),
            ..NewAccount::default()
        };
        house.create_account(&Caller::system(), ines, now).await.expect("an account");
        let named = |name: &str| Caller { name: name.into(), role: Role::Approver, entities: Vec::new() };
        let (max, eve, ines) = (named("token:max"), named("token:eve"), named("ines"));
        let acts: &[Act<'_>] = if required {
            &[
                (&max, None, None, Err("two people decide not to notify here")),
                (&max, None, Some("lea"), Err("`lea` has no account that may approve")),
                (&max, Some("lea"), Some("max"), Err("must be another person")),
                (&max, None, Some("eve"), Ok("pending")),
                (&max, Some("eve"), None, Err("waits for `eve`")),
                (&ines, Some("eve"), None, Err("waits for `eve`")),
                (&eve, None, None, Ok("approved")),
            ]
        } else {
            &[
                // a program acts for people, who logs in for nobody else
                (&ines, Some("lea"), Some("ines"), Err("must be another person")),
                (&max, Some("lea"), Some("eve"), Ok("pending")),
                (&ines, Some("eve"), None, Err("waits for `eve`")),
                (&max, Some("token:eve"), None, Ok("approved")),
            ]
        };
        let report = format!(r#"{{"title": "x", "entity": "acme-fr", "facts": {{{AWARE}}}}}"#);
        let id = house.report(&max, &report, None, now).await.expect("opens").incident.id;
        let duty = format!("{id}~eu-gdpr-33-authority@FR");
        for (caller, by, second, wanted) in acts {
            let what = format!("required {required}: {} by {by:?} with {second:?}", caller.name);
            let ask = WaiverRequest {
                reason: "no risk".into(),
                by: by.map(str::to_string),
                second_approver: second.map(str::to_string),
                ..WaiverRequest::default()
            };
            match (house.waive(caller, &duty, ask, None, now).await, wanted) {
                (Ok(view), Ok(state)) => assert_eq!(view.waiver.expect("a decision").state, *state, "{what}"),
                (Err(Trouble::NotPermitted(said)), Err(words)) => assert!(said.contains(words), "{what}: {said}"),
                (Err(Trouble::Rejected(found)), Err(words)) => {
                    assert_eq!(found[0].pointer, "/second_approver", "{what}");
                    assert!(found[0].text.contains(words), "{what}: {}", found[0].text);
                }
                (other, _) => panic!("{what}: {:?}", other.map(|view| view.waiver.map(|waiver| waiver.state))),
            }
        }
        // the log credits whoever agreed
        let timeline = house.timeline(&max, &id, now).await.expect("reads");
        let decisions: Vec<_> = timeline.iter().filter(|item| item.kind == "decision").collect();
        let agreed = decisions.last().expect("decided");
        assert!(
            agreed.text.starts_with("not to notify (approved)") && agreed.text.contains("proposed by"),
            "{}",
            agreed.text
        );
        assert!(agreed.by.as_deref().is_some_and(|by| by.contains("eve")), "{:?}", agreed.by);
    }
}
