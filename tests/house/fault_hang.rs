//! A mail server that takes the connection and falls silent: webhooks go out meanwhile, the mails are tried again, the
//! daemon says what is wrong, and it ends when it is told to.

use crate::support::at;
use crate::support::desks::{HookDesk, MailDesk, Silence};
use crate::support::faketime::Clock;
use crate::support::site::{Site, eventually};
use std::collections::BTreeSet;
use std::time::Duration;

const REPORTS: usize = 18;
const LATE: usize = 6;
/// The time limits of the mail sender are up to two minutes.
const RATE: u32 = 60;
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_mail_server_holds_up_nothing_else() {
    let points = [Silence::Greeting, Silence::Recipient, Silence::Mail];
    let took = futures_util::future::join_all(points.map(silence_at)).await.into_iter().max().unwrap_or_default();
    println!(
        "figure: silent mail server: {} points of silence, {} messages each, lost 0, held up 0; end on SIGTERM after {} ms \
         (clock x{RATE}, patience 5 s of the daemon's time)",
        points.len(),
        2 * (REPORTS + 1 + LATE),
        took.as_millis()
    );
}

/// Answers how long the daemon took to end.
async fn silence_at(point: Silence) -> Duration {
    let (mails, hooks) = (MailDesk::open(), HookDesk::open());
    let rest = format!(
        r#"
[[webhook]]
id = "soc"
url = "{}"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
events = ["reminder.due"]
allow_private = true
[[policy]]
id = "default"
[[policy.step]]
at = "start"
notify = ["person:lea", "webhook:soc"]
"#,
        hooks.url
    );
    let site = Site::new(&mails.url, &rest);
    let clock = Clock::fast(at("2026-03-27T12:00:00Z"), RATE);
    let mut daemon = site.start_on(&clock);
    mails.set(point);

    // more mails than the daemon attempts at once, all of them held
    for n in 0..REPORTS {
        site.report(&n.to_string(), "2026-03-27T11:00:00Z").await;
    }
    eventually(5 * SECOND, &format!("{point:?}: the webhook has all"), || async {
        (hooks.taken().len() >= REPORTS).then_some(())
    })
    .await;
    // and what comes while all those mails are held
    site.report("meanwhile", "2026-03-27T11:00:00Z").await;
    eventually(SECOND, &format!("{point:?}: the webhook has the next one"), || async {
        (hooks.taken().len() > REPORTS).then_some(())
    })
    .await;
    assert_eq!(mails.taken().len(), 0);

    // it says so, and tries again
    let fault = eventually(20 * SECOND, &format!("{point:?}: not ready"), || async {
        let (status, body) = site.get("/readyz").await.expect("answers");
        (status == 503).then(|| body["faults"].to_string())
    })
    .await;
    assert!(fault.contains("`mail`"), "{point:?}: {fault}");
    let status = site.ok("/api/v1/status").await;
    assert_eq!((&status["ready"], &status["failing"][0]["way"]), (&false.into(), &"mail".into()), "{status}");
    assert!(status["failing"][0]["error"].as_str().is_some_and(|e| e.contains("mail server")), "{status}");
    eventually(60 * SECOND, &format!("{point:?}: all were tried"), || async {
        (mails.silent() > REPORTS).then_some(())
    })
    .await;

    // it answers again
    mails.set(Silence::Never);
    let all = || async { (ids(&mails).len() > REPORTS).then_some(()) };
    eventually(60 * SECOND, &format!("{point:?}: all mails got through"), all).await;
    eventually(5 * SECOND, &format!("{point:?}: ready again"), || async {
        let (status, _) = site.get("/readyz").await.expect("answers");
        (status == 200).then_some(())
    })
    .await;
    assert_eq!(site.ok("/api/v1/status").await["failing"], serde_json::json!([]));

    // told to end while it waits for an answer; the open connections are past their greeting
    mails.set(if point == Silence::Greeting { Silence::Recipient } else { point });
    let before = mails.silent();
    for n in 0..LATE {
        site.report(&format!("late {n}"), "2026-03-27T11:00:00Z").await;
    }
    eventually(10 * SECOND, "a mail hangs", || async { (mails.silent() > before).then_some(()) }).await;
    let (status, took) = daemon.terminate(10 * SECOND).unwrap_or_else(|| panic!("{point:?}: it does not end"));
    assert!(status.success() && took < 3 * SECOND, "{point:?}: {status} after {took:?}");
    mails.set(Silence::Never);
    let mut daemon = site.start_on(&clock);
    let all = || async { (ids(&mails).len() >= REPORTS + 1 + LATE).then_some(()) };
    eventually(20 * SECOND, &format!("{point:?}: sent after the restart"), all).await;

    // one mail and one call for each: a Message-ID is that of one message in the log, and each was handed over
    let log = eventually(5 * SECOND, "the log has every outcome", || async {
        let log = site.log().await;
        let settled = |m: &crate::support::site::Told| m.outcomes.last().is_some_and(|o| o == "handed-over");
        log.messages().values().all(settled).then_some(log)
    })
    .await;
    let told = log.messages();
    let to_lea: BTreeSet<String> = told.iter().filter(|(_, m)| m.to == "email:lea").map(|(id, _)| id.clone()).collect();
    assert_eq!((to_lea.len(), &ids(&mails)), (REPORTS + 1 + LATE, &to_lea), "{point:?}");
    assert_eq!(told.len(), 2 * (REPORTS + 1 + LATE));
    assert!(told.values().any(|m| m.outcomes.iter().any(|o| o == "retry")), "{point:?}: the log tells of the failures");
    daemon.terminate(10 * SECOND).expect("ends");
    site.fsck();
    took
}

fn ids(mails: &MailDesk) -> BTreeSet<String> {
    mails.taken().into_iter().map(|mail| mail.id).collect()
}
