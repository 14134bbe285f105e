//! Messages about the house, and what becomes of messages after they were settled.

use super::{at, change, check_log, draft, handed_over, kept, message, record};
use breachclock::escalation::{DeliveryState, Message, Outcome, Target};
use breachclock::law::IncidentId;
use breachclock::store::{Change, Changeset, Delivery, Lane, Query, Settlement, Store, StoreError};
use breachclock::time::Timestamp;

/// A message in the lane, known as `step`.
fn in_lane(id: &IncidentId, step: &str, urgent: i64) -> Message {
    let mut message = message(id, step, urgent);
    match step {
        "hook" => message.target = Target::Webhook { id: "soc".into() },
        "room" => {
            message.target = Target::Channel { id: "ops".into(), person: None, name: "Ops".into(), address: None };
        }
        "sms" => {
            message.target = Target::Channel {
                id: "sms".into(),
                person: Some("lea".into()),
                name: "Lea".into(),
                address: Some("+331".into()),
            };
        }
        _ => {}
    }
    message.key = format!("{id}/{step}/{}", message.target.label());
    message.extra.after = (step == "room").then(|| "the mail was refused".to_string());
    message
}

fn of_house(messages: Vec<Message>) -> Changeset {
    Changeset { change: Change::Messages(messages), first: draft(IncidentId::HOUSE, "house.told", 1), more: vec![] }
}

fn news(id: &IncidentId, step: &str, state: DeliveryState, seconds: i64) -> Changeset {
    let delivery = Delivery {
        incident: id.clone(),
        key: in_lane(id, step, 0).key,
        state,
        detail: format!("{} at {seconds}", state.as_str()),
        at: at(seconds),
    };
    Changeset { change: Change::Delivery(delivery), first: draft(&id.0, "message.news", 2), more: vec![] }
}

async fn steps<S: Store>(store: &S, id: &IncidentId, limit: u32) -> Vec<String> {
    let sent = store.sent(id, limit).await.expect("answers");
    sent.into_iter().map(|sent| sent.message.reason.step.clone()).collect()
}

async fn state<S: Store>(store: &S, id: &IncidentId, step: &str) -> DeliveryState {
    let sent = store.sent(id, 1000).await.expect("answers");
    sent.iter().find(|sent| sent.message.key == in_lane(id, step, 0).key).expect("is known").state
}

/// Claims everything and settles it so; `seconds` is also the instant of the settlement.
async fn settle_all<S: Store>(store: &S, outcome: Outcome, seconds: i64) {
    for lane in Lane::ALL {
        let claims = store.claim_outbox(lane, at(seconds), 60, 1000).await.expect("claims");
        let settlement = Settlement { outcome: outcome.clone(), at: at(seconds), retry_at: None };
        let attempt = |claim: breachclock::store::Claim| {
            let evidence = draft(&claim.message.incident.0, "message.attempted", 3);
            (claim, settlement.clone(), evidence)
        };
        for settled in store.settle(claims.into_iter().map(attempt).collect()).await.expect("settles") {
            settled.expect("the lease is ours");
        }
    }
}

pub async fn the_house_has_messages<S: Store>(store: &S) {
    let (house, id) = (IncidentId::house(), record("a").incident.id);
    assert_eq!(store.sent(&house, 10).await, Ok(vec![]));
    assert_eq!(store.sent(&id, 10).await, Ok(vec![]));
    store.commit(change(None, record("a"), Some(at(50)), vec![in_lane(&id, "mail", 2)])).await.expect("commits");
    let both = vec![in_lane(&house, "mail", 9), in_lane(&house, "hook", 1)];
    let receipt = store.commit(of_house(both)).await.expect("commits");
    assert_eq!((receipt.version, receipt.entries.len()), (0, 1));
    // known ones are ignored, in one change and between changes
    let room = in_lane(&house, "room", 5);
    let more = vec![in_lane(&house, "hook", 0), room.clone(), in_lane(&house, "room", 6), in_lane(&house, "sms", 7)];
    store.commit(of_house(more)).await.expect("commits");
    assert_eq!(steps(store, &house, 10).await, ["mail", "hook", "room", "sms"], "oldest first");
    assert_eq!(steps(store, &house, 2).await, ["room", "sms"], "the last ones");
    assert_eq!(steps(store, &house, 0).await, [] as [&str; 0]);
    assert_eq!(steps(store, &id, 10).await, ["mail"]);
    let sent = store.sent(&house, 2).await.expect("answers");
    assert_eq!(*sent[0].message, room, "the first of two, with its circumstances");
    assert_eq!((sent[0].state, sent[0].attempts, sent[0].settled_at), (DeliveryState::Queued, 0, None));

    // the house is no incident
    assert_eq!(store.dossier(&house).await, Err(StoreError::NotFound));
    let listed = store.list(Query { limit: 1, ..Query::default() }).await.expect("lists");
    assert_eq!(listed.iter().map(|d| &d.record.incident.id).collect::<Vec<_>>(), [&id]);
    assert_eq!(store.due(at(100), 10).await.expect("due").incidents.iter().collect::<Vec<_>>(), [&id]);

    // its messages leave like others, each in its lane
    let mails = store.claim_outbox(Lane::Mail, at(0), 60, 10).await.expect("claims");
    let seen = |claims: &[breachclock::store::Claim]| {
        claims.iter().map(|c| format!("{}/{}", c.message.incident, c.message.reason.step)).collect::<Vec<_>>()
    };
    assert_eq!(seen(&mails), [format!("{id}/mail"), format!("{house}/mail")]);
    let hooks = store.claim_outbox(Lane::Webhook, at(0), 60, 10).await.expect("claims");
    assert_eq!(seen(&hooks), ["hook", "room", "sms"].map(|step| format!("{house}/{step}")));
    let done = |claim: breachclock::store::Claim| (claim, handed_over(), draft(&house.0, "message.attempted", 4));
    store.settle(mails.into_iter().chain(hooks).map(done).collect()).await.expect("settles");
    for lane in Lane::ALL {
        assert_eq!(store.next_outbox(lane).await, Ok(None));
    }
    store.commit(news(&house, "mail", DeliveryState::Seen, 20)).await.expect("news of the house's mail");
    assert_eq!(state(store, &house, "mail").await, DeliveryState::Seen);
    assert_eq!(state(store, &id, "mail").await, DeliveryState::HandedOver, "the same step elsewhere");
    assert_eq!(store.due(at(49), 10).await.expect("due").incidents, []);
    check_log(store).await;
}

/// From each state that a message can be brought to, news of each state: what may not become changes nothing.
pub async fn news_moves_messages_on<S: Store>(store: &S) {
    let ways = DeliveryState::ALL.iter().flat_map(|from| DeliveryState::ALL.map(|to| (*from, to)));
    let mut refused = 0;
    for (nth, (from, to)) in ways.enumerate() {
        let name = format!("{nth:02}");
        let id = record(&name).incident.id;
        let mail = vec![in_lane(&id, "mail", 1), in_lane(&id, "hook", 1)];
        store.commit(change(None, record(&name), Some(at(500)), mail)).await.expect("commits");
        match from {
            DeliveryState::Queued => {}
            DeliveryState::Withdrawn => settle_all(store, Outcome::Withdrawn { why: "filed".into() }, 1000).await,
            DeliveryState::Failed => settle_all(store, Outcome::Refused { error: "550".into() }, 1000).await,
            _ => settle_all(store, Outcome::HandedOver { answer: "250".into() }, 1000).await,
        }
        if state(store, &id, "mail").await != from {
            store.commit(news(&id, "mail", from, 1001)).await.expect("may become");
        }
        let (before, size) = (store.dossier(&id).await.expect("is there"), store.head().await.expect("head").size);
        let told = store.commit(news(&id, "mail", to, 1002)).await;
        let after = store.dossier(&id).await.expect("is there");
        if from.may_become(to) {
            assert_eq!(told.expect("moves it on").version, 0, "{from:?} to {to:?}");
            let sent = &after.sent[0];
            assert_eq!((sent.state, sent.settled_at), (to, Some(micros(1002))), "{from:?} to {to:?}");
            assert_eq!(sent.detail.as_deref(), Some(format!("{} at 1002", to.as_str()).as_str()));
            assert_eq!(
                (after.version, &after.record, &after.sent[1]),
                (before.version, &before.record, &before.sent[1])
            );
            assert_eq!(store.head().await.expect("head").size, size + 1);
        } else {
            refused += 1;
            assert_eq!(told, Err(StoreError::OldNews), "{from:?} to {to:?}");
            assert_eq!(after, before, "{from:?} to {to:?}");
            assert_eq!(store.head().await.expect("head").size, size, "old news leaves no evidence");
        }
        // what has left the queue stays out of it
        settle_all(store, Outcome::HandedOver { answer: "250".into() }, 1100).await;
        let is = state(store, &id, "mail").await;
        assert_ne!(is, DeliveryState::Queued, "{from:?} to {to:?}");
        assert!(from == DeliveryState::Queued || is == after.sent[0].state, "{from:?} to {to:?}");
    }
    assert!(refused > 20 && refused < 49, "{refused}");

    // messages nobody knows
    let id = record("00").incident.id;
    let size = store.head().await.expect("head").size;
    for unknown in [
        news(&id, "other", DeliveryState::Seen, 1),
        news(&IncidentId("inc-none".into()), "mail", DeliveryState::Seen, 1),
        news(&IncidentId::house(), "mail", DeliveryState::Seen, 1),
    ] {
        assert_eq!(store.commit(unknown).await, Err(StoreError::NotFound));
    }
    assert_eq!(store.head().await.expect("head").size, size);
    check_log(store).await;
}

/// What the store keeps of the instant of a settlement: whole microseconds, the rest cut off.
fn micros(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(1_780_000_000 + seconds, 123_456_000).expect("an instant")
}

/// A message claimed when news of it came: the lease is lost, the news stands.
pub async fn news_of_a_claimed_message_wins<S: Store>(store: &S) {
    let id = record("a").incident.id;
    store.commit(change(None, record("a"), None, vec![in_lane(&id, "mail", 1)])).await.expect("commits");
    let claim = store.claim_outbox(Lane::Mail, at(0), 60, 10).await.expect("claims").remove(0);
    store.commit(news(&id, "mail", DeliveryState::Acknowledged, 5)).await.expect("the person acted");
    let settled = store.settle(vec![(claim, handed_over(), draft(&id.0, "message.attempted", 4))]).await;
    assert_eq!(settled, Ok(vec![Err(StoreError::LeaseLost)]));
    assert_eq!(state(store, &id, "mail").await, DeliveryState::Acknowledged);
    assert_eq!(store.next_outbox(Lane::Mail).await, Ok(None));
    assert_eq!(store.claim_outbox(Lane::Mail, at(999), 60, 10).await.expect("claims"), []);
}

/// Lost messages and all news wake their incidents: only earlier, only those that have an alarm and are open.
pub async fn lost_messages_wake_their_incidents<S: Store>(store: &S) {
    let refuse = || Outcome::Refused { error: "550 no".into() };
    let withdraw = || Outcome::Withdrawn { why: "filed".into() };
    let hand_over = || Outcome::HandedOver { answer: "250".into() };
    let retry = || Outcome::Retry { error: "421".into(), after_seconds: None };
    // name, alarm, closed, outcome at 10, alarm after it (microseconds cut off when it was moved)
    type Case = (&'static str, Option<i64>, bool, fn() -> Outcome, Option<Timestamp>);
    let cases: [Case; 8] = [
        ("refused", Some(100), false, refuse, Some(micros(10))),
        ("withdrawn", Some(100), false, withdraw, Some(micros(10))),
        ("given-up", Some(100), false, retry, Some(micros(10))),
        ("handed", Some(100), false, hand_over, Some(kept(100))),
        ("early", Some(5), false, refuse, Some(kept(5))),
        ("silent", None, false, refuse, None),
        ("closed", Some(100), true, refuse, Some(kept(100))),
        ("closed-silent", None, true, refuse, None),
    ];
    for (name, alarm, closed, outcome, wanted) in cases {
        let id = with_alarm(store, name, alarm, closed).await;
        settle_all(store, outcome(), 10).await;
        let dossier = store.dossier(&id).await.expect("is there");
        assert_eq!((dossier.wake_at, dossier.version), (wanted, 1), "{name}");
    }
    // the index of alarms follows: `due` knows what the dossiers say
    let due = store.due(at(10), 100).await.expect("due");
    let ringing: Vec<_> = due.incidents.iter().map(|id| id.0.as_str()).collect();
    assert_eq!(ringing, ["inc-early", "inc-refused", "inc-withdrawn", "inc-given-up"]);
    assert_eq!(due.next_wake, Some(kept(100)));

    // one settlement of many: each incident at its earliest loss
    let twice = with_alarm(store, "twice", Some(100), false).await;
    let claims = store.claim_outbox(Lane::Mail, at(11), 60, 10).await.expect("claims");
    assert_eq!(claims.len(), 2);
    let lost = claims.into_iter().zip([30, 20]).map(|(claim, seconds)| {
        let settlement = Settlement { outcome: refuse(), at: at(seconds), retry_at: None };
        (claim, settlement, draft(&twice.0, "message.attempted", 5))
    });
    assert_eq!(store.settle(lost.collect()).await, Ok(vec![Ok(()), Ok(())]));
    assert_eq!(store.dossier(&twice).await.expect("is there").wake_at, Some(micros(20)));

    // news: a bounce moves the alarm to its instant, later news does not move it back, a closed incident sleeps on
    for (name, alarm, closed, state, wanted) in [
        ("bounced", Some(100), false, DeliveryState::Failed, Some(micros(40))),
        ("seen", Some(100), false, DeliveryState::Seen, Some(micros(40))),
        ("bounced-early", Some(30), false, DeliveryState::Failed, Some(kept(30))),
        ("bounced-silent", None, false, DeliveryState::Failed, None),
        ("bounced-closed", Some(100), true, DeliveryState::Failed, Some(kept(100))),
    ] {
        let id = with_alarm(store, name, alarm, closed).await;
        settle_all(store, hand_over(), 12).await;
        store.commit(news(&id, "mail", state, 40)).await.expect("news");
        assert_eq!(store.dossier(&id).await.expect("is there").wake_at, wanted, "{name}");
        store.commit(news(&id, "mail", DeliveryState::Acknowledged, 50)).await.expect("news");
        assert_eq!(store.dossier(&id).await.expect("is there").wake_at, wanted, "{name}: not later");
        assert_eq!(store.commit(news(&id, "mail", DeliveryState::Seen, 1)).await, Err(StoreError::OldNews));
        assert_eq!(store.dossier(&id).await.expect("is there").wake_at, wanted, "{name}: old news");
    }
    let due = store.due(at(40), 100).await.expect("due").incidents;
    let rings = |name: &str| due.contains(&IncidentId(format!("inc-{name}")));
    assert!(rings("bounced") && rings("seen") && !rings("bounced-closed"), "{due:?}");
    check_log(store).await;
}

async fn with_alarm<S: Store>(store: &S, name: &str, alarm: Option<i64>, closed: bool) -> IncidentId {
    let mut record = record(name);
    record.incident.closed_at = closed.then(|| at(1));
    let id = record.incident.id.clone();
    let messages = vec![in_lane(&id, "mail", 1), in_lane(&id, "copy", 2)];
    store.commit(change(None, record, alarm.map(at), messages)).await.expect("commits");
    id
}
