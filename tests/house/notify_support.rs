//! What the tests of the notifiers share: a sample message, and what every notifier must hold to.

use breachclock::escalation::{Brief, Event, Message, Outcome, Reason, Target};
use breachclock::law::{DutyId, IncidentId};
use breachclock::notify::{Context, LogHead, Notifier};
use breachclock::time::{Timestamp, Zone};

pub fn at(text: &str) -> Timestamp {
    text.parse().expect("RFC 3339")
}

pub fn email(person: &str, address: &str) -> Target {
    Target::Email { person: person.into(), name: "Jonas Weber".into(), address: address.into() }
}

pub fn webhook(id: &str) -> Target {
    Target::Webhook { id: id.into() }
}

/// Saturday 28 March 2026, 01:55 CET, of the sample story.
pub fn context() -> Context {
    Context {
        now: at("2026-03-28T00:55:00Z"),
        wall: at("2026-03-28T00:55:00Z"),
        public_url: "https://breachclock.ostrel.example/".into(),
        checkpoint: Some(LogHead {
            origin: "breachclock.ostrel.example/01".into(),
            size: 440,
            root: "lLYi1KYLrH7TnNgMCHQqIaHsrM8JqxoliiIXEga7e2Q=".into(),
        }),
        drill: false,
    }
}

/// An early warning that nobody has, two hours and ten minutes before its limit.
pub fn message(key: &str, target: Target) -> Message {
    Message {
        key: key.into(),
        event: Event::EscalationRaised,
        incident: IncidentId("inc-2026-013".into()),
        obligation: Some("de-bsig-32-early@DE".into()),
        target,
        reason: Reason {
            policy: "Netz 24 h".into(),
            step: "due-4h".into(),
            repeat: 0,
            due_at: at("2026-03-28T00:55:00Z"),
            coalesced: 0,
        },
        created_at: at("2026-03-28T00:55:00Z"),
        urgent_at: at("2026-03-28T03:05:00Z"),
        brief: Brief {
            incident_title: "Substation gateway encrypted".into(),
            entity: "Ostrel Netz GmbH".into(),
            duty_title: "Early warning to BSI".into(),
            duty: Some(DutyId("de-bsig-32-early".into())),
            jurisdiction: "DE".into(),
            recipient_name: "BSI".into(),
            law: "BSIG".into(),
            citation: "§ 32(1)".into(),
            standing: "running".into(),
            missing: vec![],
            promptly: None,
            due: Some(at("2026-03-28T03:05:00Z")),
            conservative_due: Some(at("2026-03-28T03:05:00Z")),
            zone: Zone::named("Europe/Berlin").expect("known zone"),
            started_key: Some("times.aware".into()),
            started_at: Some(at("2026-03-27T03:05:00Z")),
            holder: None,
            told: vec![],
            next: None,
            because: Some("24 hours after becoming aware".into()),
            also: vec![],
        },
        ack_token: Some("7Qm2xV0cRk".into()),
        extra: breachclock::escalation::Extra::default(),
    }
}

/// The contract of every notifier, against a receiver that accepts everything: it hands over, says what the next hop
/// answered, takes the same message again, takes many at once, and puts no secret into its words.
pub async fn exercise(notifier: &dyn Notifier, target: Target) {
    let context = context();
    let first = notifier.deliver(&message("exercise/1", target.clone()), &context).await;
    let Outcome::HandedOver { answer } = &first else { panic!("not handed over: {first:?}") };
    assert!(!answer.is_empty() && !answer.contains('\n'), "one line of answer: {answer:?}");
    let again = notifier.deliver(&message("exercise/1", target.clone()), &context).await;
    assert!(matches!(again, Outcome::HandedOver { .. }), "at least once means twice is fine: {again:?}");
    let many = (0..20).map(|n| message(&format!("exercise/many/{n}"), target.clone())).collect::<Vec<_>>();
    for outcome in join_all(many.iter().map(|message| notifier.deliver(message, &context))).await {
        assert!(matches!(outcome, Outcome::HandedOver { .. }), "{outcome:?}");
    }
}

/// Polls all futures together on this task.
pub async fn join_all<F: Future + Unpin>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<Option<F>> = futures.map(Some).collect();
    let mut done: Vec<Option<F::Output>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(move |cx| {
        for (future, output) in waiting.iter_mut().zip(&mut done) {
            if let Some(running) = future
                && let std::task::Poll::Ready(value) = std::pin::Pin::new(running).poll(cx)
            {
                (*output, *future) = (Some(value), None);
            }
        }
        match done.iter().all(Option::is_some) {
            true => {
                std::task::Poll::Ready(done.iter_mut().map(|output| output.take().expect("all are done")).collect())
            }
            false => std::task::Poll::Pending,
        }
    })
    .await
}
