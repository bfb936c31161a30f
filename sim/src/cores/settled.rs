//! What must be done when everything has been whole for a while and everybody has been silent: nothing is under way any
//! more, and who votes is who should. A history does not show it; here the machines themselves can be asked.

use super::World;
use super::host::{Host, Process};
use super::user::User;
use crate::report::Violation;

impl World {
    /// Whether everything is whole, everybody is there and silent, and nothing is under way: from here on the nodes would
    /// only tell each other that they are there, until the plan ends.
    pub(super) fn is_at_rest(&self) -> bool {
        let first = self.hosts.first().and_then(|host| host.process.as_ref()).map(|process| &process.seen);
        let is_whole = |host: &Host| {
            host.process.as_ref().is_some_and(|process| Some(&process.seen) == first && process.is_at_rest())
        };
        self.is_healed
            && self.users.iter().all(User::is_at_rest)
            && self.hosts.iter().all(is_whole)
            && self.unsettled().is_empty()
    }

    /// What is still under way, or not as it should be, in sentences.
    pub(super) fn unsettled(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut add = |invariant, text| violations.push(Violation { invariant, at: Some(self.plan.ends_at), text });
        for host in &self.hosts {
            let Some(process) = &host.process else { continue };
            let name = &host.name;
            if process.raft.leads()
                && let Some(text) = votes_astray(process)
            {
                add("voters_follow", format!("{name} leads, and {text}"));
            }
            for (key, lane) in &process.lanes {
                if lane.unsettled() > 0 {
                    let text = format!("{name} keeps {} parcels for member {}", lane.unsettled(), key.member);
                    add("everything_settles", text);
                }
            }
            if let Some(who) = process.router.who_waits() {
                add("everything_settles", format!("at {name} waits for ever: {who}"));
            }
        }
        if self.gaps > 0 {
            add("everything_settles", format!("{} parcels were missing on a connection", self.gaps));
        }
        violations
    }
}

impl Process {
    fn is_at_rest(&self) -> bool {
        let serves = self.seen.as_ref().is_some_and(|(serves, leader, ..)| *serves && leader.is_some());
        let is_told = self.inlets.committed.is_empty() && self.inlets.requests.is_empty();
        serves && is_told && self.late_proposals.is_empty() && !self.is_leaving && self.router.is_at_rest()
    }
}

/// Why who votes is not who should.
fn votes_astray(process: &Process) -> Option<String> {
    let state = process.node().state();
    let present = &process.node().raft().voter_sets;
    let wanted = state.voters();
    if present[..] != [wanted.clone()] {
        return Some(format!("{present:?} vote, and {wanted:?} should"));
    }
    let is_alive = |id| state.member(id).is_some_and(cresset_core::cluster::Member::is_alive);
    let spare = state.members().filter(|member| member.is_active() && !wanted.contains(&member.id)).count();
    let dead = wanted.iter().find(|id| !is_alive(**id))?;
    (spare > 0).then(|| format!("member {dead} is gone and votes although another one could"))
}
