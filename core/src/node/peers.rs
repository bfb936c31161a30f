//! What Raft and the links say: who leads, who is reached, and what the others have to tell.

use super::leading::Leading;
use super::{ClusterOrder, ControlMessage, Link, LinkState, Node, Output, Peer, RaftStatus, Service, Stage};
use crate::cluster::Member;
use crate::ids::{LogIndex, MemberId, Term};
use crate::liveness::has_quorum;
use crate::time::Uptime;
use crate::{planted, sometimes};

impl Node {
    pub(super) fn raft_changed(&mut self, now: Uptime, status: RaftStatus) {
        let new_leader = status.leader != self.raft.leader || status.term != self.raft.term;
        if status.voter_sets != self.raft.voter_sets {
            self.answered.voters_changed(now);
        }
        self.raft = status;
        if new_leader {
            self.succession.leader_changed();
            // What was sent to the leader before may have been lost with it.
            self.propose_again = now;
            let leads = self.raft.leader == Some(self.settings.member);
            sometimes!(leads, "a_node_begins_to_lead");
            sometimes!(self.leading.is_some() && !leads, "a_leader_is_deposed");
            sometimes!(self.batches.is_in_flight(), "the_leader_changes_while_a_batch_is_in_flight");
            let log_end = self.raft.log_end.1;
            self.leading = leads.then(|| Leading::new(now, self.raft.term, log_end, self.times));
            if leads {
                self.next_beat = now;
            }
        }
    }

    /// Who leads, as far as is known. The Raft of a node that is no member of the group knows of no leader, or of one
    /// that was there when the node was a member; its peers know better.
    pub(super) fn leader(&self) -> Option<MemberId> {
        let (me, known) = (self.settings.member, self.raft.leader);
        let says =
            |id: MemberId| self.links.get(&id).filter(|link| link.state == LinkState::Up).map(|link| link.leader);
        if known
            .is_some_and(|known| known == me || says(known).is_some_and(|said| said.is_none_or(|said| said == known)))
        {
            return known;
        }
        let linked = || self.links.iter().filter(|(_, link)| link.state == LinkState::Up);
        let itself = linked().find(|(id, link)| link.leader == Some(**id)).map(|(id, _)| *id);
        sometimes!(known.is_some() && itself.is_some(), "the_raft_of_a_node_knows_of_an_earlier_leader_only");
        itself.or(known).or_else(|| linked().find_map(|(_, link)| link.leader))
    }

    /// Whether there is a control link to the present process of a member.
    pub fn reaches(&self, member: &Member) -> bool {
        self.links.get(&member.id).is_some_and(|link| link.boot == member.boot && link.state == LinkState::Up)
    }

    pub(super) fn send(&mut self, to: MemberId, message: ControlMessage) {
        self.output.push_back(Output::Cluster(ClusterOrder::Send { to, message }));
    }

    pub(super) fn send_to_linked(&mut self, message: &ControlMessage) {
        let linked = self.links.iter().filter(|(_, link)| link.state == LinkState::Up);
        self.output
            .extend(linked.map(|(to, _)| Output::Cluster(ClusterOrder::Send { to: *to, message: message.clone() })));
    }

    pub(super) fn link_up(&mut self, now: Uptime, peer: Peer) {
        let before = self.links.insert(peer.member, Link { boot: peer.boot, state: LinkState::Up, leader: None });
        if before.is_some_and(|link| link.boot == peer.boot && link.state == LinkState::Refused) {
            sometimes!("evidence_of_a_crash_is_taken_back");
            self.evidence.taken_back(self.settings.member, peer.member, peer.boot);
            self.send_to_linked(&ControlMessage::TakenBack { member: peer.member, boot: peer.boot });
        }
        // The peer learns at once who leads and that this node lives.
        self.next_beat = now;
    }

    pub(super) fn link_closed(&mut self, peer: Peer) {
        if let Some(link) = self.links.get_mut(&peer.member).filter(|link| link.boot == peer.boot) {
            link.state = LinkState::Closed;
            self.stop_if_taken_for_dead();
        }
    }

    pub(super) fn link_silent(&mut self, peer: Peer) {
        if let Some(link) = self.links.get_mut(&peer.member).filter(|link| link.boot == peer.boot) {
            link.state = LinkState::Silent;
        }
    }

    /// Whoever lost one link to a process may have lost all without knowing it: one learns it when one says something. So
    /// something is said at once, to everybody. If the others take this node for dead, it knows before they have agreed.
    pub(super) fn lane_closed(&mut self, now: Uptime, peer: Peer) {
        if self.links.get(&peer.member).is_some_and(|link| link.boot == peer.boot && link.state == LinkState::Up) {
            sometimes!("a_lane_closes_before_its_link");
            self.next_beat = now;
        }
    }

    /// If there is no link to so many that they could tell of a crash, the others may be about to end this life,
    /// without waiting for its lease. It serves again once the leader counts it in anew. Who was not reached before counts as
    /// well: it may have had a link to this node, and lost it.
    pub(super) fn stop_if_taken_for_dead(&mut self) {
        let me = self.settings.member;
        let lost = |id| id != me && self.links.get(&id).is_none_or(|link| link.state != LinkState::Up);
        let evident = self.settings.crash_evidence && has_quorum(&self.raft.voter_sets, lost);
        if evident && !planted!(TakenForDeadServesOn) {
            sometimes!(self.service == Service::Serve, "a_node_that_serves_may_be_taken_for_dead");
            self.lease.give_up();
        }
    }

    /// The port of a process whose link closed refuses: that is what a crash looks like from here.
    pub(super) fn port_refused(&mut self, now: Uptime, peer: Peer) {
        let Some(link) = self.links.get_mut(&peer.member).filter(|link| link.boot == peer.boot) else { return };
        if link.state != LinkState::Closed || !self.settings.crash_evidence {
            return;
        }
        sometimes!("a_port_refuses_after_its_link_closed");
        link.state = LinkState::Refused;
        let log_end = self.raft.log_end;
        self.evidence.seen(self.settings.member, peer.member, peer.boot, log_end);
        self.send_to_linked(&ControlMessage::Crashed { member: peer.member, boot: peer.boot, log_end });
        self.believe(now, peer);
    }

    pub(super) fn control(&mut self, now: Uptime, from: Peer, message: ControlMessage, voted: Term) {
        let Some(link) = self.links.get_mut(&from.member).filter(|link| link.boot == from.boot) else { return };
        match message {
            ControlMessage::Beat { round, applied, life, leader, unheard } => {
                link.leader = leader;
                self.peer_applied(from, applied);
                self.reported(now, from, life, unheard);
                let answer = self.answer(now, from.member, round, leader, voted);
                self.send(from.member, ControlMessage::BeatAnswer(answer));
                self.asked(now, from, round, life, applied);
            }
            ControlMessage::BeatAnswer(answer) => {
                link.leader = answer.leader;
                self.peer_applied(from, answer.applied);
                self.round_answered(now, from.member, &answer);
            }
            ControlMessage::Granted { ask, life } => {
                if self.life() == Some(life) {
                    let ask = if planted!(LeaseFromArrival) { self.lease.ask(now) } else { ask };
                    self.lease.granted(ask);
                }
            }
            ControlMessage::Over { life } => {
                if self.life() == Some(life) && !planted!(LifeOverIgnored) {
                    sometimes!("the_leader_says_that_a_life_is_over");
                    self.told_of_the_end();
                }
            }
            ControlMessage::Applied { index } => self.peer_applied(from, index),
            ControlMessage::Crashed { member, boot, log_end } => {
                if self.settings.crash_evidence {
                    self.evidence.seen(from.member, member, boot, log_end);
                    self.believe(now, Peer { member, boot });
                }
            }
            ControlMessage::TakenBack { member, boot } => self.evidence.taken_back(from.member, member, boot),
            ControlMessage::Propose { commands } => self.proposed_by(from.member, commands),
            ControlMessage::Wanted(wish) => self.wanted(wish),
            ControlMessage::LedFrom { address } => {
                if self.stage == Stage::Joining {
                    self.output.push_back(Output::Cluster(ClusterOrder::Dial(address)));
                }
            }
        }
    }

    pub(super) fn peer_applied(&mut self, from: Peer, index: LogIndex) {
        // A process that the state does not know yet, or no more, has no say in what everybody knows.
        if self.state.member(from.member).is_some_and(|member| member.boot == from.boot && member.is_alive()) {
            self.known.applied(from.member, index);
        }
    }
}
