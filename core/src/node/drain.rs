//! A member that is drained sends its clients to the others, a few at a time, and does not lead.
//!
//! The agreed state says who is drained, so every node knows where not to send clients, and a drained member that is
//! cut off and comes back goes on with it. It takes part in everything else: it votes, applies and routes. Its next life is
//! drained no more.

use std::net::SocketAddr;
use std::time::Duration;

use super::{ClusterOrder, Node, Output, Service, Stage};
use crate::cluster::{Member, Role};
use crate::time::Uptime;
use crate::{planted, sometimes};

/// How often some clients are sent away.
const DRAIN_EVERY: Duration = Duration::from_millis(250);

/// How many clients are sent away at a time. A hundred a second: each of them logs in at another node at once, which
/// derives a key for it and agrees with all others on its route, and has its own clients to serve as well.
const DRAIN_SESSIONS: usize = 25;

/// How far the drain of this node is.
#[derive(Debug, Default)]
pub(super) struct Drain {
    again: Uptime,
    rounds: usize,
}

impl Node {
    /// Sends some clients away and leadership with them, if it is time.
    pub(super) fn drain(&mut self, now: Uptime) {
        if now < self.drain.again || !self.is_draining() {
            return;
        }
        self.drain.again = now + DRAIN_EVERY;
        self.drain.rounds += 1;
        let host = self.host_of_drain();
        if let Some(host) = host.filter(|_| self.drain.rounds == 1 || !planted!(DrainEndsWithTheFirst)) {
            sometimes!("a_drained_node_sends_clients_away");
            self.output.push_back(Output::SendAway { sessions: DRAIN_SESSIONS, see_other_host: host });
        }
        let heir = self.heir().filter(|to| self.state.member(*to).is_some_and(|member| !member.is_draining()));
        if let Some(to) = heir.filter(|_| self.leading.is_some() && !planted!(DrainedMemberLeads)) {
            sometimes!("a_drained_leader_hands_over");
            self.output.push_back(Output::Cluster(ClusterOrder::TransferLeadership { to }));
        }
    }

    /// Where clients of this node go in this round, if it is drained and there is another one for them.
    pub(super) fn host_of_drain(&self) -> Option<SocketAddr> {
        if !self.is_draining() {
            return None;
        }
        let others: Vec<_> = self.others_that_take_clients().collect();
        let host = others.get(self.drain.rounds % others.len().max(1))?;
        host.client_addresses.first().copied()
    }

    pub(super) fn drain_timeout(&self) -> Option<Uptime> {
        self.is_draining().then_some(self.drain.again)
    }

    pub(super) fn is_draining(&self) -> bool {
        let Stage::Active(life) = self.stage else { return false };
        let is_drained = self.state.alive(life).is_some_and(Member::is_draining)
            || (planted!(DrainSendsEverybodyAway) && self.state.members().any(Member::is_draining));
        self.service == Service::Serve && is_drained
    }

    /// Members whom clients of this one may be sent to.
    pub(super) fn others_that_take_clients(&self) -> impl Iterator<Item = &Member> {
        self.others_that_serve()
            .filter(|member| member.role == Role::Server && !member.is_draining() && self.reaches(member))
    }
}
