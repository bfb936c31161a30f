//! How much processor time a client may use before it takes turns with others that use much.
//!
//! ```text
//! goes_on ─▶ works on and on ─▶ is_used_up: waits for its turn ─▶ renew
//!    └──▶ pause: nothing to do ─▶ an eighth of the time that passes is forgiven
//! ```
//!
//! So a client that does not keep an eighth of a processor busy never waits, and one that does works for a slice at a time:
//! the others wait for a slice of each processor at most. Time in which the machine did something else counts as well:
//! then everybody uses much, and all take turns.

use std::time::Duration;

use crate::time::Uptime;

/// What may be used at one go. Some hundred short stanzas, and little beside what a network takes.
const SLICE: Duration = Duration::from_micros(500);

/// One part in so many of the time that passes is forgiven.
const FORGIVEN: u32 = 8;

/// The processor time of one client.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    used: Duration,
    /// When it was looked at last.
    at: Uptime,
    pauses: bool,
}

impl Default for Allowance {
    /// Of a client that has done nothing yet.
    fn default() -> Self {
        Allowance { used: Duration::ZERO, at: Uptime::ZERO, pauses: true }
    }
}

impl Allowance {
    /// The client has something to do, or still has.
    pub fn goes_on(&mut self, now: Uptime) {
        let passed = now.since(self.at);
        self.used = if self.pauses { self.used.saturating_sub(passed / FORGIVEN) } else { self.used + passed };
        (self.at, self.pauses) = (now, false);
    }

    /// It has nothing to do.
    pub fn pause(&mut self, now: Uptime) {
        self.goes_on(now);
        self.pauses = true;
    }

    /// Whether it has to wait for its turn.
    pub fn is_used_up(&self) -> bool {
        self.used >= SLICE
    }

    /// It is its turn.
    pub fn renew(&mut self, now: Uptime) {
        *self = Allowance { used: Duration::ZERO, at: now, pauses: false };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(microseconds: u64) -> Uptime {
        Uptime::new(Duration::from_micros(microseconds))
    }

    #[test]
    fn work_without_a_pause_uses_it_up_and_a_turn_renews_it() {
        let mut allowance = Allowance::default();
        allowance.goes_on(at(1_000_000));
        allowance.goes_on(at(1_000_499));
        assert!(!allowance.is_used_up());

        allowance.goes_on(at(1_000_500));
        assert!(allowance.is_used_up());

        allowance.renew(at(2_000_000));
        allowance.goes_on(at(2_000_400));
        assert!(!allowance.is_used_up());
    }

    /// O2. Else many connections of one account would be heard in between as if they were others.
    #[test]
    fn short_pauses_do_not_renew_it() {
        let busy = |work: u64, pause: u64| {
            let (mut allowance, mut now) = (Allowance::default(), 0);
            (0..1000).any(|_| {
                allowance.goes_on(at(now));
                now += work;
                allowance.pause(at(now));
                now += pause;
                allowance.is_used_up()
            })
        };

        assert!(busy(100, 700));
        assert!(!busy(100, 900));
    }
}
