//! A node by itself: the machine of one member that agrees with nobody, because clustering is off.
//!
//! ```text
//! sessions ──Request──▶ Node ──Propose──▶ committed at once ──▶ Node ──Answer, Event, Service──▶ sessions
//! ```
//!
//! It is the [`Node`] of a cluster of one whose log is kept nowhere: what is agreed here, the sessions of this process,
//! ends with the process. Its positions are of no other log ([`LogIndex::of_nobody_else`]), so that a holding in it is
//! taken for none of the cluster's, and the other way round.
//!
//! It does not know of the cluster, of which the process may have another machine that stands aside.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::batches::Batches;
use super::{Answer, ClusterOrder, Entry, Input, Node, NodeSettings, Output, RaftStatus, Service};
use crate::cluster::Event;
use crate::ids::{LogIndex, SessionId, Term};
use crate::time::Uptime;

/// A node by itself.
#[derive(Debug)]
pub(super) struct Alone {
    node: Node,
    last: LogIndex,
    output: VecDeque<AloneOutput>,
}

/// What a node by itself orders: there is nobody else to whom anything could be said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum AloneOutput {
    /// Routing follows.
    Event(Event),
    /// Answers a session.
    Answer {
        /// Which.
        session: SessionId,
        /// How.
        answer: Answer,
    },
    /// How clients are treated from here on.
    Service(Service),
}

impl Alone {
    /// A node by itself, which serves within two heartbeats. The boot id tells its log from those of others.
    pub(super) fn new(now: Uptime, settings: NodeSettings) -> Alone {
        let (member, last) = (settings.member, LogIndex::of_nobody_else(settings.boot));
        // Nothing is written and nobody is told: a batch of one costs no more than its part of a large one.
        let node = Node { batches: Batches::new(Duration::ZERO), ..Node::new(now, settings) };
        let mut alone = Alone { node, last, output: VecDeque::new() };
        let status = RaftStatus {
            term: Term(1),
            voted: Term(1),
            leader: Some(member),
            voter_sets: vec![BTreeSet::from([member])],
            learners: BTreeSet::new(),
            log_end: (Term(1), last),
        };
        alone.handle(now, Input::Raft(status));
        alone
    }

    /// Takes a fact: a request, or that it is later.
    pub(super) fn handle(&mut self, now: Uptime, input: Input) {
        self.handle_all(now, [input]);
    }

    /// Takes facts that have come together, as [`Node::handle_all`] does.
    pub(super) fn handle_all(&mut self, now: Uptime, inputs: impl IntoIterator<Item = Input>) {
        self.node.handle_all(now, inputs);
        loop {
            let mut entries = Vec::new();
            while let Some(output) = self.node.poll_output() {
                match output {
                    Output::Cluster(ClusterOrder::Propose(commands))
                    | Output::Cluster(ClusterOrder::ProposeInTerm { commands, .. }) => {
                        entries.extend(commands.into_iter().map(|command| {
                            self.last = self.last.next();
                            Entry { index: self.last, command: Some(Arc::new(command)) }
                        }))
                    }
                    Output::Event(event) => self.output.push_back(AloneOutput::Event(event)),
                    Output::Answer { session, answer } => {
                        self.output.push_back(AloneOutput::Answer { session, answer });
                    }
                    Output::Service(service) => self.output.push_back(AloneOutput::Service(service)),
                    // There is nobody else, and nobody orders anything of a node by itself.
                    Output::Cluster(ClusterOrder::Ordered { .. })
                    | Output::Cluster(ClusterOrder::Send { .. })
                    | Output::Cluster(ClusterOrder::Dial(_))
                    | Output::Cluster(ClusterOrder::TakeOver { .. })
                    | Output::Cluster(ClusterOrder::Membership { .. })
                    | Output::Cluster(ClusterOrder::TransferLeadership { .. })
                    | Output::SendAway { .. }
                    | Output::LifeOver { .. }
                    | Output::Left
                    | Output::Outgrown { .. } => {}
                }
            }
            if entries.is_empty() {
                return;
            }
            self.node.handle(now, Input::Committed(entries));
        }
    }

    /// The next order, in the order of effects: an event, an answer, or how clients are treated.
    pub(super) fn poll_output(&mut self) -> Option<AloneOutput> {
        self.output.pop_front()
    }

    /// When to call with [`Input::Timeout`] unless something else happens before.
    pub(super) fn poll_timeout(&self) -> Option<Uptime> {
        self.node.poll_timeout()
    }

    /// The machine, for whoever looks.
    pub(super) fn node(&self) -> &Node {
        &self.node
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Timing;
    use crate::ids::{BootId, RouteId};
    use crate::jid::FullJid;
    use crate::node::Request;

    #[test]
    fn a_node_by_itself_serves_within_two_heartbeats() {
        let (mut alone, mut now) = (Alone::new(Uptime::ZERO, settings()), Uptime::ZERO);
        let heartbeat = Timing::default().heartbeat;

        let mut served = None;
        while served.is_none() && now <= Uptime::ZERO + heartbeat * 2 {
            alone.handle(now, Input::Timeout);
            let serves = |output: &AloneOutput| *output == AloneOutput::Service(Service::Serve);
            served = std::iter::from_fn(|| alone.poll_output()).any(|output| serves(&output)).then_some(now);
            now = alone.poll_timeout().expect("it beats").max(now);
        }

        assert!(served.is_some());
    }

    #[test]
    fn a_bind_is_answered_at_once_and_a_second_one_takes_the_jid_over() {
        let mut alone = serving(settings());

        let first = bind(&mut alone, SessionId(1));
        let second = bind(&mut alone, SessionId(2));

        assert!(second > first);
        assert_eq!(alone.node().state().holder(&jid()).map(|route| route.session), Some(SessionId(2)));
    }

    /// T10. What the cluster has agreed on is not its business.
    #[test]
    fn it_follows_the_times_of_its_file() {
        let mut longer = settings();
        longer.versions = crate::cluster::STATE_VERSIONS;
        (longer.timing.lease, longer.timing.expel_after) = (Duration::from_secs(12), Duration::from_secs(15));

        let alone = serving(longer.clone());

        assert_eq!(alone.node().times(), longer.timing.times());
        assert_eq!(alone.node().state().times().in_force(), Some(longer.timing.times()));
    }

    /// A claim of a stored message by a holding of one log would otherwise be taken for one of the other.
    #[test]
    fn its_holdings_are_of_no_other_log() {
        let holding = bind(&mut serving(settings()), SessionId(1)).index;

        assert!(!holding.is_in_the_log_of(LogIndex(1)));
        assert!(!holding.is_in_the_log_of(LogIndex::of_nobody_else(BootId(8))));
        assert!(holding.is_in_the_log_of(LogIndex::of_nobody_else(BootId(7))));
        assert!(i64::try_from(LogIndex::of_nobody_else(BootId(u64::MAX)).0).is_ok());
    }

    fn serving(settings: NodeSettings) -> Alone {
        let mut alone = Alone::new(Uptime::ZERO, settings);
        while alone.node().service() != Service::Serve {
            let due = alone.poll_timeout().expect("it beats");
            alone.handle(due, Input::Timeout);
        }
        while alone.poll_output().is_some() {}
        alone
    }

    fn bind(alone: &mut Alone, session: SessionId) -> RouteId {
        let now = alone.poll_timeout().expect("it beats");
        alone.handle(now, Input::Request(Request::Bind { session, jid: jid() }));
        let mut bound = None;
        while let Some(output) = alone.poll_output() {
            if let AloneOutput::Answer { answer: Answer::Bound { route }, .. } = output {
                bound = Some(route);
            }
        }
        bound.expect("it is bound")
    }

    fn jid() -> FullJid {
        "romeo@example.org/orchard".parse().expect("a JID")
    }

    fn settings() -> NodeSettings {
        NodeSettings { boot: BootId(7), ..crate::node::tests::settings(3) }
    }
}
