//! Who is silent? Kept by the leader, for lives only: a member that has no life is owed no patience.
//!
//! Silence is counted from the last ask that was heard, but not from before this node began to lead: a lease that an
//! earlier leader granted runs no longer than from there, and this leader did not listen before. A member that is heard
//! but does not apply what was agreed is treated as silent by not being reported as heard.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::Life;
use crate::time::Uptime;

/// When each life was last heard of.
#[derive(Clone, Debug)]
pub struct Silence {
    led_since: Uptime,
    expel_after: Duration,
    heard: BTreeMap<Life, Uptime>,
}

impl Silence {
    /// Begins to listen at `now`, when this node begins to lead.
    pub fn new(now: Uptime, expel_after: Duration) -> Self {
        Silence { led_since: now, expel_after, heard: BTreeMap::new() }
    }

    /// An ask of this life arrived at `now`, or the life began.
    pub fn heard(&mut self, now: Uptime, life: Life) {
        self.heard.insert(life, now);
    }

    /// The life is over.
    pub fn forget(&mut self, life: Life) {
        self.heard.remove(&life);
    }

    /// When the silence of this life will have lasted too long.
    pub fn deadline(&self, life: Life) -> Uptime {
        self.heard.get(&life).copied().unwrap_or(self.led_since).max(self.led_since) + self.expel_after
    }

    /// Whether nothing was heard of this life for so long that no lease of it can be left.
    pub fn is_silent(&self, now: Uptime, life: Life) -> bool {
        now >= self.deadline(life)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Incarnation, MemberId};

    const LIFE: Life = Life { member: MemberId(2), incarnation: Incarnation(7) };

    fn at(milliseconds: u64) -> Uptime {
        Uptime::from_millis(milliseconds)
    }

    #[test]
    fn a_life_is_silent_once_nothing_was_heard_of_it_for_long_enough() {
        let mut silence = Silence::new(at(0), Duration::from_millis(4000));
        silence.heard(at(500), LIFE);

        assert!(!silence.is_silent(at(4499), LIFE));
        assert!(silence.is_silent(at(4500), LIFE));
    }

    /// The member may hold a lease that the leader before granted just now.
    #[test]
    fn a_leader_does_not_hold_against_a_member_what_it_could_not_hear() {
        let silence = Silence::new(at(10_000), Duration::from_millis(4000));

        assert!(!silence.is_silent(at(13_999), LIFE));
        assert!(silence.is_silent(at(14_000), LIFE));
    }

    #[test]
    fn a_later_life_is_not_blamed_for_the_silence_of_an_earlier_one() {
        let mut silence = Silence::new(at(0), Duration::from_millis(4000));
        silence.heard(at(0), LIFE);
        let later = Life { incarnation: Incarnation(9), ..LIFE };
        silence.heard(at(3000), later);

        assert!(!silence.is_silent(at(5000), later));
    }
}
