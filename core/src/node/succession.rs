//! Who leads after a leader whose crash was seen: one survivor at a time is asked to, all survivors asking the same.

use std::time::Duration;

use crate::ids::MemberId;
use crate::time::Uptime;

/// How long the chosen survivor has to become leader before the next one is chosen. Measured: 0 to 3 ms if its log is
/// long enough.
const NEXT_AFTER: Duration = Duration::from_millis(30);

/// Attempts before the survivors wait for an ordinary election.
const ATTEMPTS_MAX: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Succession(Option<Attempt>);

#[derive(Debug)]
struct Attempt {
    dead: MemberId,
    order: Vec<MemberId>,
    made: usize,
    due: Uptime,
}

impl Succession {
    /// The crash of the leader is beyond doubt; `order` says who is to follow it. Begun once for each death.
    pub(super) fn begin(&mut self, now: Uptime, dead: MemberId, order: Vec<MemberId>) {
        if self.0.as_ref().is_none_or(|attempt| attempt.dead != dead) && !order.is_empty() {
            self.0 = Some(Attempt { dead, order, made: 0, due: now });
        }
    }

    /// There is another leader, or another term.
    pub(super) fn leader_changed(&mut self) {
        self.0 = None;
    }

    pub(super) fn timeout(&self) -> Option<Uptime> {
        self.0.as_ref().filter(|attempt| attempt.made < ATTEMPTS_MAX).map(|attempt| attempt.due)
    }

    /// The dead leader and who is to follow it, if an attempt is due.
    pub(super) fn next(&mut self, now: Uptime) -> Option<(MemberId, MemberId)> {
        let attempt = self.0.as_mut().filter(|attempt| attempt.made < ATTEMPTS_MAX && now >= attempt.due)?;
        let target = attempt.order[attempt.made % attempt.order.len()];
        attempt.made += 1;
        attempt.due = now + NEXT_AFTER;
        Some((attempt.dead, target))
    }
}
