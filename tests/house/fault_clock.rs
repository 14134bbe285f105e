//! Wall clocks that jump under the running daemon, and a daemon that is stopped for a while.

use crate::support::at;
use crate::support::daemon::free_port;
use crate::support::desks::MailDesk;
use crate::support::faketime::Clock;
use crate::support::site::{Site, eventually};
use breachclock::daemon::clock::now;
use chrono::TimeDelta;
use std::time::{Duration, Instant};

const POLICY: &str = r#"
[[policy]]
id = "default"
[[policy.step]]
at = "start"
notify = ["person:lea"]
[[policy.step]]
at = "start+30m"
notify = ["person:lea"]
[[policy.step]]
at = "start+60m"
notify = ["person:lea"]
"#;
const MINUTE: i64 = 60;
/// The loop looks every half minute.
const LOOK: Duration = Duration::from_secs(35);

/// The steps told so far, in the order of their mails.
async fn steps(site: &Site, mails: &MailDesk) -> Vec<String> {
    let told = site.log().await.messages();
    mails.taken().iter().map(|mail| told[&mail.id].step.clone()).collect()
}

async fn mails_are(mails: &MailDesk, count: usize, limit: Duration, what: &str) {
    eventually(limit, what, || async { (mails.taken().len() >= count).then_some(()) }).await;
}

/// The monotonic clock goes on as before: so it is also after a suspension of the machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stepped_clock_fires_what_became_due_and_repeats_nothing() {
    let mails = MailDesk::open();
    let site = Site::new(&mails.url, POLICY);
    let clock = Clock::moved(site.dir.join("clock"));
    let mut daemon = site.start_on(&clock);
    let aware = now();
    let first = site.report("first", &aware.to_rfc3339()).await;
    mails_are(&mails, 1, LOOK, "the first step").await;

    let set = Instant::now();
    // forward: what became due goes out without anything else happening, and says that it is late
    clock.set(36 * MINUTE);
    mails_are(&mails, 2, LOOK, "the second step after the clock was set forward").await;
    println!("figure: clock set forward by 36 min: the step went out {:.1} s later", set.elapsed().as_secs_f64());
    assert_eq!(steps(&site, &mails).await, ["start", "start+30m"]);
    let late = mails.taken().pop().expect("two").text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(late.contains("this message is 6 m behind") || late.contains("this message is 7 m behind"), "{late}");

    // backward: nothing is taken back, nothing comes again; another report makes the daemon look at once
    clock.set(0);
    site.report("second", &now().to_rfc3339()).await;
    mails_are(&mails, 3, LOOK, "the first step of another incident").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(steps(&site, &mails).await, ["start", "start+30m", "start"]);
    let (status, body) = site.get("/readyz").await.expect("answers");
    assert_eq!(status, 200, "{body}");

    // the same instants once more: the step was told; the other incident's falls due by itself
    clock.set(37 * MINUTE);
    site.report("third", &(now() + TimeDelta::minutes(37)).to_rfc3339()).await;
    mails_are(&mails, 5, LOOK, "what became due meanwhile").await;
    clock.set(62 * MINUTE);
    site.report("fourth", &(now() + TimeDelta::minutes(62)).to_rfc3339()).await;
    mails_are(&mails, 8, LOOK, "the last steps").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let told = site.log().await.messages();
    let of = |id: &str| {
        let mut steps: Vec<_> = told.values().filter(|m| m.incident == id).map(|m| m.step.as_str()).collect();
        steps.sort_unstable();
        steps
    };
    assert_eq!(of(&first), ["start", "start+30m", "start+60m"]);
    assert_eq!((told.len(), mails.taken().len()), (8, 8), "{told:?}");
    daemon.terminate(Duration::from_secs(20)).expect("ends");
    site.fsck();
}

/// An attempt failed while the clock was a day ahead: the next one must not wait for that day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_set_on_a_wrong_clock_is_made_at_once() {
    let port = free_port();
    let site = Site::new(&format!("smtp://127.0.0.1:{port}"), POLICY);
    let clock = Clock::moved(site.dir.join("clock"));
    clock.set(24 * 60 * MINUTE);
    let _daemon = site.start_on(&clock);
    site.report("early", &now().to_rfc3339()).await;
    eventually(LOOK, "the attempt failed", || async {
        site.log().await.messages().values().any(|m| m.outcomes == ["retry"]).then_some(())
    })
    .await;
    clock.set(0);
    let mails = MailDesk::open_at(port);
    mails_are(&mails, 1, LOOK, "the mail after the clock was corrected").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_daemon_makes_up_for_the_step_it_missed() {
    const RATE: u32 = 120;
    let mails = MailDesk::open();
    let site = Site::new(&mails.url, POLICY);
    let start = at("2026-03-27T12:00:00Z");
    let clock = Clock::fast(start, RATE);
    let mut daemon = site.start_on(&clock);
    site.report("stopped", "2026-03-27T12:00:00Z").await;
    let until = |minutes: i64| {
        let left = start + TimeDelta::minutes(minutes) - clock.now();
        tokio::time::sleep(left.to_std().unwrap_or_default() / RATE)
    };
    mails_are(&mails, 1, LOOK, "the first step").await;
    until(25).await;
    daemon.signal("STOP");
    assert_eq!(mails.taken().len(), 1);
    until(42).await;
    assert_eq!(mails.taken().len(), 1, "it is stopped");
    daemon.signal("CONT");
    let woken = Instant::now();
    mails_are(&mails, 2, LOOK, "the step it missed").await;
    // the loop's half minute, and what a busy machine needs to get going
    println!("figure: stopped over a step: it went out {} ms after it went on, x{RATE}", woken.elapsed().as_millis());
    assert!(woken.elapsed() < LOOK / RATE + Duration::from_secs(2), "{:?}", woken.elapsed());
    let late = mails.taken().pop().expect("two").text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(late.contains("The step was due Fri 27 Mar, 13:30 CET; this message is 1"), "{late}");
    mails_are(&mails, 3, LOOK, "the next step").await;
    assert_eq!(steps(&site, &mails).await, ["start", "start+30m", "start+60m"]);
    daemon.terminate(Duration::from_secs(20)).expect("ends");
    site.fsck();
}
