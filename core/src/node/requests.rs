//! What sessions and the operator ask, how it is proposed, and when it is answered.

use super::batches::Batches;
use super::{
    Answer, ClusterOrder, ControlMessage, Link, LinkState, Node, NodeSettings, Output, PROPOSE_AGAIN_AFTER, Request,
    Service, Stage,
};
use crate::cluster::{Command, Join, Member, Role};
use crate::ids::{MemberId, SessionId};
use crate::liveness::has_quorum;
use crate::time::Uptime;
use crate::{planted, sometimes};

/// How welcome a member is as the leader.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fitness {
    /// It is about to be stopped.
    Drained,
    /// It is a small machine by intent.
    Witness,
    Server,
}

fn fitness(member: &Member) -> Fitness {
    match member.role {
        Role::Server | Role::Witness if member.is_draining() => Fitness::Drained,
        Role::Witness => Fitness::Witness,
        Role::Server => Fitness::Server,
    }
}

impl Node {
    /// Nobody hears of the answers of this machine any more: all that was asked of it is refused.
    pub(super) fn refuse_requests(&mut self) -> Vec<(SessionId, Answer)> {
        self.batches.refuse_all()
    }

    pub(super) fn request(&mut self, request: Request) {
        let refused = match self.stage {
            Stage::Active(_) if self.service == Service::Serve => self.batches.request(request),
            Stage::Active(_) | Stage::Leaving(_) => match request {
                Request::Bind { .. } => Batches::refuse(request),
                Request::Announce { .. } | Request::Unbind { .. } => self.batches.request(request),
            },
            Stage::Aside | Stage::Joining | Stage::Joined(_) | Stage::Over => Batches::refuse(request),
        };
        self.output.extend(refused.map(|(session, answer)| Output::Answer { session, answer }));
    }

    pub(super) fn enter(&mut self, now: Uptime) {
        if self.stage == Stage::Aside {
            sometimes!("a_node_that_stood_aside_joins");
            self.stage = Stage::Joining;
            self.propose_again = now;
        }
    }

    pub(super) fn leave(&mut self) {
        sometimes!("a_node_is_asked_to_leave");
        sometimes!(self.leading.is_some(), "the_leader_is_asked_to_leave");
        match self.stage {
            Stage::Active(life) | Stage::Joined(life) => {
                self.stage = Stage::Leaving(life);
                self.propose_again = Uptime::ZERO;
                if self.leading.is_some() {
                    self.output.extend(self.heir().map(|to| Output::Cluster(ClusterOrder::TransferLeadership { to })));
                }
            }
            Stage::Aside | Stage::Joining => {
                self.stage = Stage::Over;
                self.output.push_back(Output::Left);
            }
            Stage::Leaving(_) | Stage::Over => {}
        }
    }

    /// Whether this node leaves and no quorum is there that could agree on it. Its process may end: the others learn of it
    /// as of a crash.
    pub fn leaves_in_vain(&self) -> bool {
        matches!(self.stage, Stage::Leaving(_)) && !has_quorum(&self.raft.voter_sets, |id| self.answers(id))
    }

    /// Who should lead after this node: of the voters that are linked, the server that has applied most; a witness only if
    /// there is no server, and one that is drained only if there is nobody else.
    pub(super) fn heir(&self) -> Option<MemberId> {
        let linked = |member: &&Member| member.id != self.settings.member && self.reaches(member);
        let voters = self.state.members().filter(|member| self.state.voters().contains(&member.id));
        voters
            .filter(linked)
            .max_by_key(|member| (fitness(member), self.known.applied_by(member.id), member.id))
            .map(|member| member.id)
    }

    /// The server that should lead in the place of this witness, if one can: it votes, is heard, and has applied all that
    /// was agreed before this node began to lead.
    pub(super) fn server_that_can_lead(&self, now: Uptime) -> Option<MemberId> {
        let leading = self.leading.as_ref()?;
        // A change of voters ends under the leader that began it.
        let [voters] = &self.raft.voter_sets[..] else { return None };
        let can_lead = |member: &&Member| {
            fitness(member) == Fitness::Server
                && member.is_active()
                && voters.contains(&member.id)
                && self.reaches(member)
                && self.hears(now, member)
                && self.known.applied_by(member.id).is_some_and(|applied| leading.may_grant(applied))
        };
        let servers = self.state.members().filter(can_lead);
        servers.max_by_key(|member| (self.known.applied_by(member.id), member.id)).map(|member| member.id)
    }

    pub(super) fn wants_to_propose(&self) -> bool {
        match self.stage {
            Stage::Joining | Stage::Joined(_) | Stage::Leaving(_) => true,
            Stage::Active(_) => self.batches.is_in_flight(),
            Stage::Aside | Stage::Over => false,
        }
    }

    pub(super) fn propose(&mut self, now: Uptime) {
        let Some(leader) = self.leader() else { return };
        let again = now >= self.propose_again && !(planted!(ProposalNotRepeated) && self.batches.is_in_flight());
        let mut commands = Vec::new();
        match self.stage {
            Stage::Joining if again => commands.push(Command::Join(self.join())),
            Stage::Joined(life) if again && self.hears_everybody(now) => commands.push(Command::Activate(life)),
            Stage::Joined(_) if again => {
                sometimes!("a_node_waits_until_it_hears_everybody");
                self.propose_again = now + self.times.heartbeat;
            }
            Stage::Leaving(life) if again => {
                commands.extend(self.batches.last(life).map(Command::Batch));
                commands.push(Command::Leave(life));
            }
            Stage::Active(life) => commands.extend(self.batches.next(now, life, again).map(Command::Batch)),
            Stage::Aside | Stage::Joining | Stage::Joined(_) | Stage::Leaving(_) | Stage::Over => {}
        }
        if commands.is_empty() {
            return;
        }
        sometimes!(again && self.batches.is_in_flight(), "a_batch_is_proposed_again");
        sometimes!(commands.iter().any(|command| matches!(command, Command::Join(_))), "a_join_is_proposed");
        self.propose_again = now + PROPOSE_AGAIN_AFTER;
        if self.leading.is_some() {
            self.output.push_back(Output::Cluster(ClusterOrder::Propose(commands)));
        } else if leader != self.settings.member {
            self.send(self.proposes_to(leader), ControlMessage::Propose { commands });
        }
    }

    /// Whom to propose to: the leader. Who joins may have found others only, and asks one of them, who says where the
    /// leader is.
    fn proposes_to(&self, leader: MemberId) -> MemberId {
        let is_up = |link: &Link| link.state == LinkState::Up;
        if self.stage != Stage::Joining || self.links.get(&leader).is_some_and(is_up) {
            return leader;
        }
        let knows = self.links.iter().find(|(_, link)| is_up(link) && link.leader.is_some());
        sometimes!(knows.is_some(), "who_joins_has_not_found_the_leader");
        knows.map_or(leader, |(id, _)| *id)
    }

    pub(super) fn join(&self) -> Join {
        let NodeSettings { member, boot, name, peer_address, client_addresses, role, versions, .. } = &self.settings;
        Join {
            member: *member,
            boot: *boot,
            name: name.clone(),
            peer_address: *peer_address,
            client_addresses: client_addresses.clone(),
            role: *role,
            versions: *versions,
        }
    }

    /// A bind is answered when every active member has applied it, and only while this node may serve.
    pub(super) fn answer_what_is_known(&mut self, now: Uptime) {
        let is_going = matches!(self.stage, Stage::Leaving(_) | Stage::Over);
        if !(self.lease.is_held(now) || planted!(LeaseIgnored)) || is_going {
            sometimes!(self.known.is_waiting(), "an_answer_waits_for_the_lease");
            return;
        }
        let me = self.settings.member;
        let is_awaited = |member: &&Member| member.is_active() && member.id != me && !planted!(BindAnsweredEarly);
        let others = self.state.members().filter(is_awaited).map(|member| member.id);
        let answers = self.known.by_all(others);
        self.output.extend(answers.map(|(session, answer)| Output::Answer { session, answer }));
    }
}
