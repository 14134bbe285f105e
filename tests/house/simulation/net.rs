//! The outside: a mail server and a webhook receiver with moods, and the seeded dice of everything.

use breachclock::escalation::{Message, Outcome};
use breachclock::notify::{BoxFuture, Context, Notifier};
use breachclock::time::Timestamp;
use std::cell::Cell;
use std::sync::{Arc, Mutex};

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(0) };
}

/// The virtual clock of this thread.
pub fn now() -> Timestamp {
    Timestamp::from_timestamp_micros(NOW.get()).expect("in range")
}

pub fn set_now(at: Timestamp) {
    NOW.set(at.timestamp_micros());
}

/// SplitMix64.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995_1234_5678)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.roll() % n.max(1)
    }

    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1).max(1) as u64) as i64
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len() as u64) as usize]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Takes,
    /// 4xx, 429, 503.
    Busy,
    /// 550, 410.
    Refuses,
    /// Accepts the connection and says nothing until the time limit.
    Silent,
}

/// One message that reached the outside, in order.
#[derive(Clone)]
pub struct Arrived {
    pub at: Timestamp,
    pub message: Message,
}

#[derive(Default)]
pub struct Outside {
    pub arrived: Mutex<Vec<Arrived>>,
    pub mood: Mutex<Option<Mood>>,
    /// Targets that refuse everything.
    pub dead: Mutex<Vec<String>>,
}

pub struct Door(pub Arc<Outside>);

impl Notifier for Door {
    fn deliver<'a>(&'a self, message: &'a Message, context: &'a Context) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let mood = self.0.mood.lock().expect("free").unwrap_or(Mood::Takes);
            let dead = self.0.dead.lock().expect("free").contains(&message.target.label());
            super::world::trace(|| format!("    {} {mood:?} dead={dead}", message.key));
            match mood {
                _ if dead => Outcome::Refused { error: "550 no such user".into() },
                Mood::Takes => {
                    self.0.arrived.lock().expect("free").push(Arrived { at: context.now, message: message.clone() });
                    Outcome::HandedOver { answer: "250 ok".into() }
                }
                Mood::Busy => Outcome::Retry { error: "451 later".into(), after_seconds: Some(60) },
                Mood::Refuses => Outcome::Refused { error: "550 no".into() },
                Mood::Silent => Outcome::Retry { error: "no answer in time".into(), after_seconds: None },
            }
        })
    }
}
