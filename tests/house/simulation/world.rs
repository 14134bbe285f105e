//! One seed: what happens, in which order, and the daemon's loops in virtual time.

use super::check::{self, Truth};
use super::net::{Dice, Door, Mood, Outside, now, set_now};
use super::store::{Fate, NodeStore, Shared};
use crate::support::{self, SeededEntropy, caller};
use breachclock::escalation::{Directory, EscalationPolicy, Person, QuietHours, Repeat, Rota, Step, StepAt, Who};
use breachclock::notify::Notifiers;
use breachclock::rules::{Rulebook, SourceFile};
use breachclock::store::Lane;
use breachclock::time::{Calendars, Timestamp, Zone};
use breachclock::workflow::deliver::Courier;
use breachclock::workflow::{AckRequest, FilingRequest, House, Role, Settings};
use chrono::Duration;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, RwLock};

/// With `BREACHCLOCK_TRACE` set, what happens is told line by line.
pub fn trace(line: impl FnOnce() -> String) {
    if std::env::var_os("BREACHCLOCK_TRACE").is_some() {
        eprintln!("{} {}", now().format("%m-%d %H:%M:%S"), line());
    }
}

/// What a run covered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub incidents: u64,
    pub messages: u64,
    pub crashes: u64,
    pub outages: u64,
    pub clock_steps: u64,
    pub acknowledgements: u64,
    pub filings: u64,
    /// Steps of policies whose message was looked for by the checker's own reckoning.
    pub steps_checked: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.incidents += other.incidents;
        self.messages += other.messages;
        self.crashes += other.crashes;
        self.outages += other.outages;
        self.clock_steps += other.clock_steps;
        self.acknowledgements += other.acknowledgements;
        self.filings += other.filings;
        self.steps_checked += other.steps_checked;
    }
}

#[derive(Clone, Debug)]
pub enum Happening {
    Report,
    LateFact,
    Acknowledge {
        decline: bool,
    },
    File,
    /// A node stops, or starts again.
    Down(usize),
    Up(usize),
    /// A node dies at the n-th await of its store from here.
    Fuse(usize, i64),
    DiskFull(bool),
    Mood(Option<Mood>),
    DeadAddress,
    ClockStep(i64),
    Settle,
}

/// A process: the house, and the couriers that remember what they carry.
struct Node<S> {
    house: Arc<House<NodeStore<S>>>,
    couriers: Vec<Courier<NodeStore<S>>>,
}

pub struct World<S> {
    dice: Dice,
    store: Arc<S>,
    fates: Vec<Arc<Fate>>,
    nodes: Vec<Option<Node<S>>>,
    notifiers: Arc<Notifiers>,
    outside: Arc<Outside>,
    settings: Settings,
    happenings: BTreeMap<(Timestamp, u32), Happening>,
    end: Timestamp,
    pub truth: Truth,
    tally: Tally,
    disk_full: bool,
    restarts: u64,
    /// Alarms are to be set again, as the watch of the clock does, and a start on a clock that is behind the log.
    set_back: bool,
    /// Looks in a row at which something was due and not woken.
    unwoken: u32,
}

/// A pack of its own: four kinds of clocks, quick to plan.
fn book() -> Arc<Rulebook> {
    static BOOK: OnceLock<Arc<Rulebook>> = OnceLock::new();
    BOOK.get_or_init(|| {
        let shared = ["conventions.toml", "facts.toml", "places.toml", "roles.toml"];
        let mut files = breachclock::rules::builtin_packs();
        files.retain(|f| shared.contains(&f.path.as_str()) || f.path.starts_with("authorities"));
        files.push(SourceFile { path: "fr/sim.toml".into(), text: include_str!("pack.toml").into() });
        let calendars = Arc::new(Calendars::builtin().clone());
        Arc::new(breachclock::rules::load(&files, calendars).unwrap_or_else(|f| panic!("{f:?}")))
    })
    .clone()
}

fn people() -> Vec<Person> {
    let person = |id: &str, role: &str, deputy: Option<&str>| Person {
        id: id.into(),
        name: format!("{id} the {role}"),
        roles: vec![role.into()],
        email: Some(format!("{id}@acme.example")),
        deputy: deputy.map(str::to_string),
        ..Person::default()
    };
    vec![
        person("lea", "security-lead", None),
        person("ines", "dpo", Some("paul")),
        person("paul", "counsel", None),
        person("mona", "ciso", None),
    ]
}

fn policy(dice: &mut Dice) -> EscalationPolicy {
    let who = [
        vec![Who::Person("lea".into())],
        vec![Who::Role("dpo".into())],
        vec![Who::Rota("oncall".into())],
        vec![Who::Person("lea".into()), Who::Person("mona".into())],
        vec![Who::Webhook("soc".into()), Who::Person("ines".into())],
    ];
    let at = ["start", "start+30m", "25%", "50%", "75%", "90%", "due-4h", "due-48h", "due", "due+1h"];
    let count = dice.between(1, 5);
    let mut steps: Vec<Step> = Vec::new();
    for n in 0..count {
        let text = if n == 0 { "start" } else { *dice.pick(&at) };
        let repeat = match dice.below(4) {
            0 => None,
            1 => Some(Repeat::Share(10)),
            _ => Some(Repeat::Seconds(60 * *dice.pick(&[90, 240, 720]))),
        };
        steps.push(Step {
            name: format!("{n}:{text}"),
            at: StepAt::parse(text).expect("a step"),
            notify: dice.pick(&who).clone(),
            channels: Vec::new(),
            repeat,
            needs: if dice.chance(15) { vec!["dpo".into()] } else { Vec::new() },
            lease_seconds: 4 * 3600,
        });
    }
    // the half hours of the built-in overdue step make long runs
    if dice.chance(80) {
        steps.push(Step {
            name: "last".into(),
            at: StepAt::Due(0),
            notify: dice.pick(&who).clone(),
            channels: Vec::new(),
            repeat: Some(Repeat::Seconds(4 * 3600)),
            needs: Vec::new(),
            lease_seconds: 1800,
        });
    }
    let mut policy = EscalationPolicy::new("drawn", steps).never_silent();
    policy.fall_over_percent = *dice.pick(&[1, 5, 20]);
    if dice.chance(30) {
        let zone = Zone::named("Europe/Paris").expect("a zone");
        policy.quiet_hours = Some(QuietHours { zone, from: 22 * 60, to: 6 * 60 });
    }
    policy
}

/// Starts near the things that trip clocks.
fn start(dice: &mut Dice) -> Timestamp {
    let edges = [
        "2026-03-27T12:00:00Z",
        "2026-10-23T20:00:00Z",
        "2026-12-30T06:00:00Z",
        "2028-02-27T10:00:00Z",
        "2026-06-01T08:00:00Z",
        "2027-03-26T23:30:00Z",
    ];
    support::at(dice.pick::<&str>(&edges)) + Duration::seconds(dice.between(0, 86_400))
}

impl<S: Shared> World<S> {
    pub fn new(seed: u64, store: Arc<S>) -> World<S> {
        let mut dice = Dice::new(seed);
        let begin = start(&mut dice);
        set_now(begin);
        let mut settings = support::settings(vec![policy(&mut dice)]);
        let zone = Zone::named("Europe/Paris").expect("a zone");
        settings.directory = Directory {
            people: people(),
            rotas: vec![Rota {
                id: "oncall".into(),
                zone,
                handover: (0, 540),
                people: vec!["lea".into(), "ines".into()],
                shifts: Vec::new(),
            }],
            webhooks: vec!["soc".into()],
            ..Directory::default()
        };
        if dice.chance(40) {
            settings.webhooks = vec![("soc".into(), vec!["*".into()])];
        }
        let outside = Arc::new(Outside::default());
        let door = || Box::new(Door(outside.clone()));
        let webhooks = BTreeMap::from([("soc".to_string(), door() as Box<_>)]);
        let notifiers = Arc::new(Notifiers::new(Some(door()), webhooks));
        let fates: Vec<Arc<Fate>> = (0..dice.between(1, 2)).map(|_| Fate::new()).collect();
        let end = begin + Duration::hours(dice.between(6, 80));
        let mut world = World {
            dice,
            store,
            nodes: fates.iter().map(|_| None).collect(),
            fates,
            notifiers,
            outside,
            settings,
            happenings: BTreeMap::new(),
            end,
            truth: Truth::default(),
            tally: Tally::default(),
            disk_full: false,
            restarts: 0,
            set_back: false,
            unwoken: 0,
        };
        for node in 0..world.nodes.len() {
            world.start(node);
        }
        trace(|| format!("{:#?}", world.settings.policies));
        world.draw(begin);
        world
    }

    fn add(&mut self, at: Timestamp, what: Happening) {
        let n = self.happenings.len() as u32;
        self.happenings.insert((at, n), what);
    }

    fn draw(&mut self, begin: Timestamp) {
        let span = (self.end - begin).num_seconds();
        self.add(begin, Happening::Report);
        for _ in 0..self.dice.between(3, 14) {
            let at = begin + Duration::seconds(self.dice.between(1, span));
            let what = match self.dice.below(12) {
                0 => Happening::Report,
                1 | 2 => Happening::LateFact,
                3 | 4 => Happening::Acknowledge { decline: self.dice.chance(20) },
                5 => Happening::File,
                6 => {
                    let node = self.dice.below(self.nodes.len() as u64) as usize;
                    let until = at + Duration::seconds(self.dice.between(30, 20_000));
                    self.add(until, Happening::Up(node));
                    Happening::Down(node)
                }
                7 | 8 => Happening::Fuse(self.dice.below(self.nodes.len() as u64) as usize, self.dice.between(0, 60)),
                9 => {
                    let until = at + Duration::seconds(self.dice.between(30, 7200));
                    self.add(until, Happening::DiskFull(false));
                    Happening::DiskFull(true)
                }
                10 => {
                    let until = at + Duration::seconds(self.dice.between(60, 20_000));
                    self.add(until, Happening::Mood(None));
                    let mood = *self.dice.pick(&[Mood::Busy, Mood::Silent, Mood::Silent, Mood::Refuses]);
                    Happening::Mood(Some(mood))
                }
                _ if self.dice.chance(30) => Happening::DeadAddress,
                _ => Happening::ClockStep(self.dice.between(-900, 7200)),
            };
            self.add(at, what);
        }
        // in the end everything is well for a while: what is owed must have gone out
        self.add(self.end, Happening::Settle);
    }

    fn start(&mut self, node: usize) {
        self.restarts += 1;
        let fate = self.fates[node].clone();
        fate.fuse.store(-1, Ordering::SeqCst);
        fate.disk_full.store(self.disk_full, Ordering::SeqCst);
        let store = NodeStore { inner: self.store.clone(), fate };
        let mut house = support::house(store, self.settings.clone());
        house.book = RwLock::new(book());
        house.entropy = Box::new(SeededEntropy::new(self.restarts * 7919 + node as u64 * 31 + 1));
        let house = Arc::new(house);
        let courier = |lane| Courier::new(house.clone(), self.notifiers.clone(), lane, now);
        let couriers = Lane::ALL.into_iter().map(courier).collect();
        self.nodes[node] = Some(Node { house, couriers });
    }

    fn is_up(&self) -> bool {
        !self.disk_full && self.nodes.iter().any(Option::is_some)
    }

    /// Something was done by a node, or the node died doing it.
    async fn on<T>(&mut self, node: usize, act: impl AsyncFnOnce(&House<NodeStore<S>>) -> T) -> Option<T> {
        self.within(node, async |node| act(&node.house).await).await
    }

    async fn within<T>(&mut self, node: usize, act: impl AsyncFnOnce(&mut Node<S>) -> T) -> Option<T> {
        let mut process = self.nodes[node].take()?;
        let fate = self.fates[node].clone();
        let done = tokio::select! {
            biased;
            done = act(&mut process) => Some(done),
            () = fate.died.notified() => None,
        };
        match done {
            Some(done) => {
                self.nodes[node] = Some(process);
                Some(done)
            }
            None => {
                drop(process);
                self.tally.crashes += 1;
                self.truth.crash(now());
                // the service manager starts it again after five seconds
                self.add(now() + Duration::seconds(5), Happening::Up(node));
                None
            }
        }
    }

    fn any_node(&mut self) -> Option<usize> {
        let up: Vec<usize> = (0..self.nodes.len()).filter(|n| self.nodes[*n].is_some()).collect();
        (!up.is_empty()).then(|| *self.dice.pick(&up))
    }

    pub async fn play(mut self) -> Result<Tally, String> {
        for _ in 0..100_000 {
            while let Some((&(at, n), _)) = self.happenings.first_key_value()
                && at <= now()
            {
                let what = self.happenings.remove(&(at, n)).expect("just seen");
                if matches!(what, Happening::Settle) {
                    self.settle_down().await?;
                    let arrived = self.outside.arrived.lock().expect("free").clone();
                    self.tally.messages = arrived.len() as u64;
                    let inspector = support::house(
                        NodeStore { inner: self.store.clone(), fate: Fate::new() },
                        self.settings.clone(),
                    );
                    self.tally.steps_checked = check::at_the_end(&inspector, &self.truth, &arrived).await?;
                    support::whole(&*self.store, &mut |_| Ok(book())).await?;
                    return Ok(self.tally);
                }
                self.happen(what).await?;
            }
            self.rounds().await?;
            let next = self.next().await?;
            if next > now() {
                self.truth.passed(now(), next, self.is_up());
                set_now(next);
            }
        }
        Err(format!("time stands still at {}", now()))
    }

    /// The loops of every node until nothing is due.
    async fn rounds(&mut self) -> Result<(), String> {
        for _ in 0..200 {
            let mut busy = false;
            for node in 0..self.nodes.len() {
                let mut set_back = self.set_back;
                let done = self
                    .within(node, async |node| {
                        if set_back {
                            set_back = node.house.wake_everything(now()).await.is_err();
                        }
                        let mut busy = node.house.wake_due(now()).await.is_ok_and(|(_, more)| more);
                        for courier in &mut node.couriers {
                            while courier.work().await.is_ok() && courier.carries() > 0 {
                                courier.attempt_ended().await;
                                busy = true;
                            }
                        }
                        let _ = node.house.attest(now()).await;
                        (busy, set_back)
                    })
                    .await;
                self.set_back &= done.is_none_or(|(_, set_back)| set_back);
                let done = done.map(|(busy, _)| busy);
                busy |= done.unwrap_or(false);
            }
            if !busy {
                return Ok(());
            }
        }
        Err(format!("the loops do not come to rest at {}", now()))
    }

    /// When something happens next.
    async fn next(&mut self) -> Result<Timestamp, String> {
        let happening = self.happenings.first_key_value().map(|((at, _), _)| *at).ok_or("no end")?;
        if !self.is_up() {
            return Ok(happening);
        }
        let due = self.store.due(now(), 1).await.map_err(|e| e.to_string())?;
        if let Some(late) = due.incidents.first() {
            // what a dying process had asked of the writer may have landed just now
            self.unwoken += 1;
            if self.unwoken > 20 {
                return Err(format!("at {} incident {late} is due and nobody woke it", now()));
            }
            return Ok(now());
        }
        self.unwoken = 0;
        let mut outbox = None;
        for lane in Lane::ALL {
            let next = self.store.next_outbox(lane).await.map_err(|e| e.to_string())?;
            outbox = outbox.into_iter().chain(next).min();
        }
        // an alarm in the past of a clock that was set back rings with the next look
        let soon = now() + Duration::seconds(30);
        let alarms = [due.next_wake, outbox].into_iter().flatten().map(|at| if at <= now() { soon } else { at });
        Ok(alarms.chain([happening]).min().unwrap_or(happening))
    }

    async fn happen(&mut self, what: Happening) -> Result<(), String> {
        trace(|| format!("{what:?}"));
        match what {
            Happening::Report => {
                let aware = now() - Duration::seconds(self.dice.between(0, 30 * 3600));
                let (risk, n) = (*self.dice.pick(&["risk", "high", ""]), self.tally.incidents);
                let mut report = format!(
                    "title = \"incident {n}\"\nentity = \"acme-fr\"\n[facts]\npersonal_data = true\n\"times.aware\" = \"{}\"\n",
                    breachclock::rules::utc(aware)
                );
                if !risk.is_empty() {
                    report.push_str(&format!("risk = \"{risk}\"\n"));
                }
                let Some(node) = self.any_node() else { return Ok(()) };
                let key = format!("report-{n}");
                let done = self
                    .on(node, async |house| house.report(&caller(Role::Reporter), &report, Some(&key), now()).await)
                    .await;
                if let Some(Ok(reported)) = done {
                    self.tally.incidents += 1;
                    let id = reported.incident.id;
                    self.look(&id).await?;
                }
            }
            Happening::LateFact => {
                let Some(id) = self.some_incident() else { return Ok(()) };
                let at = now() - Duration::seconds(self.dice.between(0, 40 * 3600));
                let text = match self.dice.below(3) {
                    0 => format!("\"times.aware\" = \"{}\"\n", breachclock::rules::utc(at)),
                    1 => "risk = \"high\"\n".to_string(),
                    _ => "risk = \"risk\"\n".to_string(),
                };
                let Some(node) = self.any_node() else { return Ok(()) };
                self.on(node, async |house| {
                    house.assert_facts(&caller(Role::Reporter), &id, &text, None, None, now()).await.map(|_| ())
                })
                .await;
                self.look(&id).await?;
            }
            Happening::Acknowledge { decline } => {
                let (Some(id), Some(node)) = (self.some_incident(), self.any_node()) else { return Ok(()) };
                let Some(local) = self.truth.some_open(&id, self.dice.roll()) else { return Ok(()) };
                let by = (*self.dice.pick(&["lea", "ines", "paul", "mona"])).to_string();
                let lease_seconds = Some(self.dice.between(600, 40 * 3600));
                let ask = AckRequest { lease_seconds, by: Some(by.clone()), role: None, decline };
                let full = format!("{id}~{local}");
                self.on(node, async |house| {
                    house.acknowledge(&caller(Role::Responder), &full, ask, None, now()).await.map(|_| ())
                })
                .await;
                self.tally.acknowledgements += 1;
                self.look(&id).await?;
            }
            Happening::File => {
                let (Some(id), Some(node)) = (self.some_incident(), self.any_node()) else { return Ok(()) };
                let Some(local) = self.truth.some_open(&id, self.dice.roll()) else { return Ok(()) };
                let full = format!("{id}~{local}");
                self.on(node, async |house| {
                    house.file(&caller(Role::Responder), &full, FilingRequest::default(), None, now()).await.map(|_| ())
                })
                .await;
                self.tally.filings += 1;
                self.look(&id).await?;
            }
            Happening::Down(node) => {
                self.nodes[node] = None;
                self.tally.outages += 1;
            }
            Happening::Up(node) => {
                if self.nodes[node].is_none() {
                    self.start(node);
                    let checked = self.on(node, async |house| house.check_log().await).await;
                    if let Some(Err(fault)) = checked {
                        return Err(format!("after a crash before {}: {fault}", now()));
                    }
                }
            }
            Happening::Fuse(node, awaits) => self.fates[node].fuse.store(awaits, Ordering::SeqCst),
            Happening::DiskFull(full) => {
                self.disk_full = full;
                self.tally.outages += u64::from(full);
                for fate in &self.fates {
                    fate.disk_full.store(full, Ordering::SeqCst);
                }
            }
            Happening::Mood(mood) => *self.outside.mood.lock().expect("free") = mood,
            Happening::DeadAddress => {
                let label = format!("email:{}", self.dice.pick(&["lea", "ines", "paul"]));
                self.outside.dead.lock().expect("free").push(label);
            }
            Happening::ClockStep(seconds) => {
                let stepped = now() + Duration::seconds(seconds);
                self.tally.clock_steps += 1;
                self.truth.clock_stepped(now(), stepped);
                let back = stepped < now();
                set_now(stepped);
                self.set_back |= back;
            }
            Happening::Settle => {}
        }
        Ok(())
    }

    fn some_incident(&mut self) -> Option<String> {
        let ids = self.truth.incidents();
        (!ids.is_empty()).then(|| self.dice.pick(&ids).clone())
    }

    /// Notes what the incident looks like now: the checker's reckoning starts from here.
    async fn look(&mut self, id: &str) -> Result<(), String> {
        let inspector =
            support::house(NodeStore { inner: self.store.clone(), fate: Fate::new() }, self.settings.clone());
        *inspector.book.write().expect("free") = book();
        let view = inspector.incident(&caller(Role::Admin), id, now()).await.map_err(|e| e.to_string())?;
        let dossier =
            self.store.dossier(&breachclock::law::IncidentId(id.to_string())).await.map_err(|e| e.to_string())?;
        for o in &view.obligations {
            trace(|| {
                format!(
                    "  {} {} {:?} {:?}",
                    o.law.id,
                    o.law.standing,
                    o.law.conservative_due,
                    o.holder.as_ref().map(|h| &h.name)
                )
            });
        }
        self.truth.look(&view, &dossier, &self.settings, now());
        Ok(())
    }

    /// everything up, every server well, seven hours pass.
    async fn settle_down(&mut self) -> Result<(), String> {
        self.disk_full = false;
        for fate in &self.fates {
            fate.disk_full.store(false, Ordering::SeqCst);
            fate.fuse.store(-1, Ordering::SeqCst);
        }
        *self.outside.mood.lock().expect("free") = None;
        for node in 0..self.nodes.len() {
            if self.nodes[node].is_none() {
                self.start(node);
            }
        }
        let until = now() + Duration::hours(7);
        self.happenings.clear();
        self.add(until, Happening::Settle);
        self.rounds().await?;
        for turn in 0.. {
            if now() >= until {
                break;
            }
            if turn > 100_000 {
                return Err(format!("time stands still at {}", now()));
            }
            let next = self.next().await?;
            self.truth.passed(now(), next, true);
            set_now(next);
            self.rounds().await?;
        }
        self.happenings.clear();
        Ok(())
    }
}
