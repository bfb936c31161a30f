//! Who is silent? Kept for lives only: a member that has no life is owed no patience.
//!
//! Every member listens, the leader judges. Silence is counted from the last ask that was heard, but not from before the
//! last moment at which an earlier leader can have granted a lease: that one may have heard what this member did not. A
//! member that is heard but does not apply what was agreed is treated as silent by not being reported as heard.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::Life;
use crate::time::Uptime;

/// When each life was last heard of.
#[derive(Clone, Debug)]
pub struct Silence {
    expel_after: Duration,
    heard: BTreeMap<Life, Uptime>,
}

/// From when on a leader may hold silence against a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// When it began to lead. A life that it has never heard is given its time from here.
    pub led_since: Uptime,
    /// The last moment at which an earlier leader can have been asked for a lease.
    pub granted_until: Uptime,
}

impl Silence {
    /// Has heard nobody yet.
    pub fn new(expel_after: Duration) -> Self {
        Silence { expel_after, heard: BTreeMap::new() }
    }

    /// A member is expelled after a silence of this length from here on, which may have begun before.
    pub fn set_expel_after(&mut self, expel_after: Duration) {
        self.expel_after = expel_after;
    }

    /// An ask of this life arrived at `now`, or the life began.
    pub fn heard(&mut self, now: Uptime, life: Life) {
        self.heard.insert(life, now);
    }

    /// When an ask of this life arrived last.
    pub fn last_heard(&self, life: Life) -> Option<Uptime> {
        self.heard.get(&life).copied()
    }

    /// The life is over.
    pub fn forget(&mut self, life: Life) {
        self.heard.remove(&life);
    }

    /// When the silence of this life will have lasted too long.
    pub fn deadline(&self, life: Life, patience: Patience) -> Uptime {
        let heard = self.heard.get(&life).copied().unwrap_or(patience.led_since);
        heard.max(patience.granted_until) + self.expel_after
    }

    /// Whether nothing was heard of this life for so long that no lease of it can be left.
    pub fn is_silent(&self, now: Uptime, life: Life, patience: Patience) -> bool {
        now >= self.deadline(life, patience)
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

    fn silence() -> Silence {
        Silence::new(Duration::from_millis(4000))
    }

    fn patience(led_since: u64, granted_until: u64) -> Patience {
        Patience { led_since: at(led_since), granted_until: at(granted_until) }
    }

    #[test]
    fn a_life_is_silent_once_nothing_was_heard_of_it_for_long_enough() {
        let mut silence = silence();
        silence.heard(at(500), LIFE);

        assert!(!silence.is_silent(at(4499), LIFE, patience(0, 0)));
        assert!(silence.is_silent(at(4500), LIFE, patience(0, 0)));
    }

    /// The member may hold a lease that the leader before granted.
    #[test]
    fn a_leader_does_not_hold_against_a_member_what_it_could_not_hear() {
        let mut silence = silence();
        silence.heard(at(500), LIFE);

        assert!(!silence.is_silent(at(11_999), LIFE, patience(10_000, 8000)));
        assert!(silence.is_silent(at(12_000), LIFE, patience(10_000, 8000)));
    }

    #[test]
    fn a_life_that_was_never_heard_is_given_its_time() {
        assert!(!silence().is_silent(at(13_999), LIFE, patience(10_000, 8000)));
        assert!(silence().is_silent(at(14_000), LIFE, patience(10_000, 8000)));
    }

    #[test]
    fn a_later_life_is_not_blamed_for_the_silence_of_an_earlier_one() {
        let mut silence = silence();
        silence.heard(at(0), LIFE);
        let later = Life { incarnation: Incarnation(9), ..LIFE };
        silence.heard(at(3000), later);

        assert!(!silence.is_silent(at(5000), later, patience(0, 0)));
    }
}
