//! The control plane of one node as one machine: what it proposes, whom it believes, when it may serve.
//!
//! ```text
//!  sessions ──Request──▶┌───────────────────────────────┐──Answer────▶ sessions
//!  links ────Control───▶│ Node                          │──Send──────▶ links
//!  links ─LinkUp, …────▶│  ClusterState   (agreed)      │──Propose───▶ Raft, if this node leads
//!  Raft ────Committed──▶│  Batches, Known (requests)    │──TakeOver──▶ Raft
//!  Raft ────Raft───────▶│  Lease, Evidence (liveness)   │──Membership▶ Raft
//!  timer ──────────────▶│  Leading        (if it leads) │──Event─────▶ read view, lanes, sessions
//!                       └───────────────────────────────┘──Service───▶ sessions
//! ```
//!
//! One `handle(now, input)` (`handle_all` for facts that come together), one `poll_output()` that only pops, one
//! `poll_timeout()`. The order of outputs is the order of effects: events come before the report to others that they were applied, so "every active member has applied it"
//! means that every active member routes by it.
//!
//! The outcome of a proposal is learned from the log, never from an answer of the leader; a proposal whose fate is not
//! known is made again, which changes nothing the second time. The machine lives for one life of the member: when the
//! life is over it says [`Output::LifeOver`], and its driver makes the machine of the next one ([`Node::reborn`]).
//!
//! It does not know what a stanza is, where bytes come from, or how Raft works.

mod agreed;
mod alive;
mod alone;
mod amiss;
mod batches;
mod clustering;
mod drain;
mod input;
mod known;
mod leading;
mod message;
mod orders;
mod output;
mod peers;
mod requests;
mod succession;
mod times;
mod unready;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

pub use amiss::{Amiss, Surroundings};
pub use clustering::{
    Clustering, ClusteringOutput, DrawBoot, LEAVE_TIME_MAX, Mode, Notice, ProcessEnd, Source, ToRouter,
};
pub use input::{BindRefusal, Entry, Input, Peer, RaftStatus, Request};
pub use message::{BeatAnswer, CONTROL_BYTES_MAX, ControlMessage};
pub use orders::{Order, OrderId, Refusal, TimesWanted, Wish};
pub use output::{Answer, ClusterOrder, Output, Service};
pub use unready::Unready;

use self::alone::{Alone, AloneOutput};
use self::batches::Batches;
use self::drain::Drain;
use self::known::Known;
use self::leading::Leading;
use self::orders::Orders;
use self::succession::Succession;
use crate::cluster::{ClusterState, Member, Role, VersionRange};
use crate::config::Timing;
use crate::fencing::Times;
use crate::ids::{BootId, Life, LogIndex, MemberId};
use crate::limits::BATCH_GAP;
use crate::liveness::{Answered, Evidence, Lease, Silence};
use crate::time::Uptime;
use crate::{planted, sometimes};

/// How long a proposal may be without effect before it is made again. Longer than an agreement takes on a busy disk,
/// shorter than a person's patience.
const PROPOSE_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// How long clients of a node that lost its lease are kept waiting before they are sent away. A change of leaders is
/// over by then; a partition is not.
const CLOSE_AFTER_PAUSE: Duration = Duration::from_millis(500);

/// What a node is, for one life.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// Its member id.
    pub member: MemberId,
    /// A number drawn for this life.
    pub boot: BootId,
    /// The name that people know it by.
    pub name: String,
    /// Where other members reach it.
    pub peer_address: SocketAddr,
    /// Where clients reach it.
    pub client_addresses: Vec<SocketAddr>,
    /// What it may become.
    pub role: Role,
    /// The versions that this program understands.
    pub versions: VersionRange,
    /// Heartbeat, lease, silence by its file, which count as long as the members have agreed on none; and Raft's own.
    pub timing: Timing,
    /// How long a voter may be gone while another member waits for its vote; for ever if absent.
    pub replace_voter_after: Option<Duration>,
    /// Whether closed links and a refusing port count as evidence of a crash.
    pub crash_evidence: bool,
    /// How long an operator's order may take. An election and an agreement take less.
    pub order_time_max: Duration,
}

/// The control plane of one node, for one life.
#[derive(Debug)]
pub struct Node {
    settings: NodeSettings,
    state: ClusterState,
    /// The state before the present one, if a snapshot has replaced it and nobody has taken it.
    replaced: Option<ClusterState>,
    raft: RaftStatus,
    stage: Stage,
    service: Service,
    paused_at: Option<Uptime>,
    /// Those that are followed.
    times: Times,
    lease: Lease,
    links: BTreeMap<MemberId, Link>,
    evidence: Evidence,
    silence: Silence,
    answered: Answered,
    succession: Succession,
    batches: Batches,
    known: Known,
    orders: Orders,
    drain: Drain,
    leading: Option<Leading>,
    /// When a witness that leads may hand over once more.
    hand_over_again: Uptime,
    /// When this life began, and whom it hears became its business.
    began: Uptime,
    next_beat: Uptime,
    propose_again: Uptime,
    output: VecDeque<Output>,
}

/// How far this life has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// It is to have no life until it is told to enter: it takes part in Raft, and in nothing else.
    Aside,
    /// The join is proposed and not seen in the log yet.
    Joining,
    /// The join is in the log, the activation is proposed.
    Joined(Life),
    /// The member serves as long as it holds a lease.
    Active(Life),
    /// The leave is proposed: it serves nobody any more.
    Leaving(Life),
    /// This life is over; the machine does nothing more.
    Over,
}

/// What is known of the control link to a process of a peer.
#[derive(Clone, Copy, Debug)]
struct Link {
    boot: BootId,
    state: LinkState,
    leader: Option<MemberId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LinkState {
    Up,
    Silent,
    Closed,
    Refused,
}

impl Node {
    /// A node that has applied nothing yet and joins as soon as it can.
    pub fn new(now: Uptime, settings: NodeSettings) -> Self {
        let times = settings.timing.times();
        Node {
            settings,
            state: ClusterState::new(),
            replaced: None,
            raft: RaftStatus::default(),
            stage: Stage::Joining,
            service: Service::Close,
            paused_at: None,
            times,
            lease: Lease::new(times.lease),
            links: BTreeMap::new(),
            evidence: Evidence::new(),
            silence: Silence::new(times::patience(times)),
            answered: Answered::new(now),
            succession: Succession::default(),
            batches: Batches::new(BATCH_GAP),
            known: Known::default(),
            orders: Orders::default(),
            drain: Drain::default(),
            leading: None,
            hand_over_again: now,
            began: now,
            next_beat: now,
            propose_again: now,
            output: VecDeque::new(),
        }
    }

    /// The machine of the next life of the same process: it knows what this one knows of the log and of Raft.
    pub fn reborn(self, now: Uptime, boot: BootId) -> Node {
        let settings = NodeSettings { boot, ..self.settings };
        let leads = self.raft.leader == Some(settings.member);
        let leading = leads.then(|| Leading::new(now, self.raft.term, self.raft.log_end.1, self.times));
        let mut node = Node {
            state: self.state,
            raft: self.raft,
            leading,
            silence: self.silence,
            answered: self.answered,
            ..Node::new(now, settings)
        };
        node.follow_times(now);
        node
    }

    /// The same machine for a process that is to have no life until [`Input::Enter`]. It has Raft's part in the agreement,
    /// leads if it is elected, and answers those who live.
    #[must_use]
    pub fn aside(mut self) -> Node {
        self.stage = Stage::Aside;
        self
    }

    /// The agreed state as far as this node has applied it.
    pub fn state(&self) -> &ClusterState {
        &self.state
    }

    /// The life of this member, once its join was applied and until it is over.
    pub fn life(&self) -> Option<Life> {
        match self.stage {
            Stage::Joined(life) | Stage::Active(life) | Stage::Leaving(life) => Some(life),
            Stage::Aside | Stage::Joining | Stage::Over => None,
        }
    }

    /// Whether another member that lives is called as this one, and has joined since: only the later of the two may go on.
    /// Until a node has applied that it has joined, it knows of none: who has its name may be itself, before it lost its
    /// directory.
    pub fn has_namesake(&self) -> bool {
        let Some(own) = self.state.member(self.settings.member) else { return false };
        let is_later = |member: &&Member| member.is_alive() && member.incarnation > own.incarnation;
        self.state.members().filter(is_later).any(|member| member.name == self.settings.name)
    }

    /// What Raft last said of itself: who votes in fact, which follows [`ClusterState::voters`] with some delay.
    pub fn raft(&self) -> &RaftStatus {
        &self.raft
    }

    /// The versions of the agreed state that this program follows.
    pub fn versions(&self) -> VersionRange {
        self.settings.versions
    }

    /// Whether clients are served.
    pub fn service(&self) -> Service {
        self.service
    }

    /// When the lease ends or has ended.
    pub fn lease_until(&self) -> Option<Uptime> {
        self.lease.until()
    }

    /// The highest index that a member is known to have applied.
    pub fn applied_by(&self, member: MemberId) -> Option<LogIndex> {
        if member == self.settings.member { Some(self.state.applied()) } else { self.known.applied_by(member) }
    }

    /// The next order, in the order of effects.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// When to call with [`Input::Timeout`] unless something else happens before.
    pub fn poll_timeout(&self) -> Option<Uptime> {
        if self.stage == Stage::Over {
            return None;
        }
        let lease_end = self.lease.until().filter(|_| self.service == Service::Serve && !planted!(LeaseIgnored));
        let close = self.paused_at.map(|at| at + CLOSE_AFTER_PAUSE);
        // Without a leader there is nobody to propose to: whoever tells of one wakes the node.
        let again = (self.wants_to_propose() && self.leader().is_some()).then_some(self.propose_again);
        let leading = self.leading.as_ref().and_then(|leading| leading.timeout(&self.sees()));
        let batch =
            self.batches.timeout().filter(|_| self.leader().is_some() && matches!(self.stage, Stage::Active(_)));
        let (succession, orders, drain) = (self.succession.timeout(), self.orders.timeout(), self.drain_timeout());
        let times = self.times_timeout();
        let due = [Some(self.next_beat), lease_end, close, again, batch, leading, times, succession, orders, drain];
        due.into_iter().flatten().min()
    }

    /// Until when what sessions ask only gathers. Whoever hands it over may as well keep it, and come once.
    pub fn gathers_until(&self) -> Uptime {
        self.batches.gathers_until()
    }

    /// Takes a fact.
    pub fn handle(&mut self, now: Uptime, input: Input) {
        self.handle_all(now, [input]);
    }

    /// Takes facts that have come together, in their order, and then decides once what follows from all of them: what a
    /// thousand sessions ask at a time costs one look at the cluster.
    pub fn handle_all(&mut self, now: Uptime, inputs: impl IntoIterator<Item = Input>) {
        let mut has_lived = false;
        for input in inputs {
            if self.stage == Stage::Over {
                self.handle_after_the_end(input);
            } else {
                has_lived = true;
                self.take(now, input);
            }
        }
        if has_lived {
            self.decide(now);
        }
    }

    fn take(&mut self, now: Uptime, input: Input) {
        match input {
            Input::Committed(entries) => self.committed(now, entries),
            Input::RoutesAhead(events) => self.routes_ahead(events),
            Input::Installed(installation) => self.installed(now, *installation),
            Input::Raft(status) => self.raft_changed(now, status),
            Input::Control { from, message, voted } => self.control(now, from, message, voted),
            Input::LinkUp(peer) => self.link_up(now, peer),
            Input::LinkClosed(peer) => self.link_closed(peer),
            Input::LinkSilent(peer) => self.link_silent(peer),
            Input::LaneClosed(peer) => self.lane_closed(now, peer),
            Input::PortRefused(peer) => self.port_refused(now, peer),
            Input::Over if planted!(LifeOverIgnored) => {}
            Input::Over => {
                sometimes!("a_link_is_refused_because_the_life_is_over");
                self.told_of_the_end();
            }
            Input::Request(request) => self.request(request),
            Input::Order { id, order } => self.order(now, id, &order),
            Input::Enter => self.enter(now),
            Input::Leave => self.leave(),
            Input::Timeout => {}
        }
    }

    fn decide(&mut self, now: Uptime) {
        self.beat_if_due(now);
        self.lead(now);
        self.agree_on_times(now);
        self.succeed(now);
        self.propose(now);
        self.serve_or_not(now);
        self.answer_what_is_known(now);
        self.carry_out_orders(now);
        self.drain(now);
        self.lead_only_without_servers(now);
    }

    /// What was asked too late is refused; everything else concerns nobody any more.
    fn handle_after_the_end(&mut self, input: Input) {
        match input {
            Input::Request(request) => {
                let refused = Batches::refuse(request);
                self.output.extend(refused.map(|(session, answer)| Output::Answer { session, answer }));
            }
            Input::Order { id, .. } => {
                self.output.push_back(Output::Cluster(ClusterOrder::Ordered { id, outcome: Err(Refusal::NoQuorum) }));
            }
            Input::Committed(_)
            | Input::RoutesAhead(_)
            | Input::Installed(_)
            | Input::Raft(_)
            | Input::Control { .. }
            | Input::LinkUp(_)
            | Input::LinkClosed(_)
            | Input::LinkSilent(_)
            | Input::LaneClosed(_)
            | Input::PortRefused(_)
            | Input::Over
            | Input::Enter
            | Input::Leave
            | Input::Timeout => {}
        }
    }
}

#[cfg(test)]
mod tests;
