//! Who leads after a leader whose crash was seen: one survivor at a time is asked to, all survivors asking the same. And
//! who leads after a witness, which leads only while no server can.

use std::time::Duration;

use super::{ClusterOrder, Node, Output, PROPOSE_AGAIN_AFTER};
use crate::cluster::Role;
use crate::ids::MemberId;
use crate::time::Uptime;
use crate::{planted, sometimes};

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

impl Node {
    /// Hands leadership over, if this node is a witness and a server can lead. A witness is a small machine by intent, and
    /// is elected like any other voter: while no server is there, or because its log is the longest.
    pub(super) fn lead_only_without_servers(&mut self, now: Uptime) {
        if self.settings.role != Role::Witness || now < self.hand_over_again || planted!(WitnessLeadsOn) {
            return;
        }
        let Some(to) = self.server_that_can_lead(now) else { return };
        sometimes!("a_witness_hands_leadership_over");
        self.hand_over_again = now + PROPOSE_AGAIN_AFTER;
        self.output.push_back(Output::Cluster(ClusterOrder::TransferLeadership { to }));
    }
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
