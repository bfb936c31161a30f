//! What a leader proposes of the times on which fencing rests, and what of them a member follows.

use super::leading::Leading;
use super::{ClusterOrder, Node, Output, PROPOSE_AGAIN_AFTER};
use crate::cluster::{Command, TIMES_SINCE_VERSION, TimesChange};
use crate::fencing::Times;
use crate::ids::LogIndex;
use crate::time::Uptime;
use crate::{planted, sometimes};

impl Node {
    /// The times that this node follows at this moment.
    pub fn times(&self) -> Times {
        self.times
    }

    /// Those of its file, which count only as long as nothing is agreed on.
    pub fn times_of_its_file(&self) -> Times {
        self.settings.timing.times()
    }

    /// Follows what is agreed on from here on. Called before anybody is told that it was applied here: whoever hears that
    /// relies on it that no lease of this node is longer.
    pub(super) fn follow_times(&mut self, now: Uptime) {
        let times = self.state.times().followed(self.times_of_its_file());
        if times == self.times {
            return;
        }
        sometimes!(self.lease.is_held(now), "the_times_change_while_a_lease_is_held");
        self.times = times;
        self.lease.set_length(times.lease);
        self.silence.set_expel_after(patience(times));
        if let Some(leading) = &mut self.leading {
            leading.follow(times);
        }
        // Nobody is told before that a lease has ended which was longer.
        self.serve_or_not(now);
        // The beat was due by the former heartbeat, which may have been an hour.
        self.next_beat = self.next_beat.min(now + times.heartbeat);
    }

    /// The leader agrees with the others on its own times if there are none yet, and ends a change that everybody knows.
    pub(super) fn agree_on_times(&mut self, now: Uptime) {
        let Some((change, command)) = self.proposal_of_times() else { return };
        let Some(leading) = self.leading.as_mut().filter(|leading| leading.proposes_times_from(change) <= now) else {
            return;
        };
        leading.times_proposed = Some((change, now));
        self.output.push_back(Output::Cluster(ClusterOrder::Propose(vec![command])));
    }

    pub(super) fn times_timeout(&self) -> Option<Uptime> {
        let (change, _) = self.proposal_of_times()?;
        self.leading.as_ref().map(|leading| leading.proposes_times_from(change))
    }

    /// What is to be proposed, with the index of the change that it ends; of the first one 0.
    fn proposal_of_times(&self) -> Option<(LogIndex, Command)> {
        let leading = self.leading.as_ref()?;
        // What an earlier leader has proposed may be in the log.
        if self.state.version() < TIMES_SINCE_VERSION || !leading.may_grant(self.state.applied()) {
            return None;
        }
        let (times, own) = (self.state.times(), self.times_of_its_file());
        match (times.change(), times.in_force()) {
            (Some(TimesChange { since, .. }), _) => {
                let is_known = self.is_applied_by_all(since) || planted!(TimesInForceTooEarly);
                is_known.then_some((since, Command::TimesInForce { since }))
            }
            (None, None) => {
                let first = Command::ChangeTimes { after: times.since(), to: own };
                own.refusals().is_empty().then_some((LogIndex(0), first))
            }
            (None, Some(_)) => None,
        }
    }

    /// Whether every member that may serve has applied this entry. One that is activated later applies it before.
    fn is_applied_by_all(&self, index: LogIndex) -> bool {
        let mut active = self.state.members().filter(|member| member.is_active());
        active.all(|member| self.applied_by(member.id).is_some_and(|applied| applied >= index))
    }
}

impl Leading {
    /// From when on something may be proposed of this change: what was proposed before may be on its way.
    fn proposes_times_from(&self, change: LogIndex) -> Uptime {
        let last = self.times_proposed.filter(|(proposed, _)| *proposed == change);
        last.map_or(Uptime::ZERO, |(_, at)| at + PROPOSE_AGAIN_AFTER)
    }
}

/// The silence after which a member is expelled.
pub(super) fn patience(times: Times) -> std::time::Duration {
    if planted!(ExpelledTooEarly) { times.lease / 2 } else { times.expel_after }
}
