//! How the nodes are at one moment of a history, by what the world did to them and what they tell of themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use cresset_core::ids::RouteId;

use crate::history::{DirectoryFact, Event, RaftFact, Record, Service};
use crate::plan::Plan;

/// One node.
#[derive(Clone, Debug, Default)]
pub(super) struct Node<'a> {
    /// It has a process.
    pub(super) is_up: bool,
    /// The process stands still.
    pub(super) is_paused: bool,
    /// Whose disk it has.
    pub(super) member: Option<u64>,
    /// How it says that it treats its clients.
    pub(super) service: Option<Service>,
    /// It serves its clients by itself, if it serves them.
    pub(super) is_alone: bool,
    /// Until when it holds a lease, in time of the world; absent if it has never said so.
    pub(super) lease_until: Option<Duration>,
    /// How far its agreed state is.
    pub(super) applied: Option<u64>,
    /// Where it routes, and to which member.
    pub(super) routes: BTreeMap<&'a str, (RouteId, u64)>,
    /// How much faster than time its clock is, in parts per million.
    drift: i32,
}

/// All nodes, by name.
#[derive(Clone, Debug)]
pub(super) struct Nodes<'a> {
    nodes: BTreeMap<&'a str, Node<'a>>,
    drifts: BTreeMap<String, i32>,
}

impl<'a> Nodes<'a> {
    /// The nodes of a plan before anything has happened.
    pub(super) fn of(plan: &Plan) -> Self {
        let drifts = plan.node_names().into_iter().zip(plan.drifts_ppm.iter().map(|drift| drift.0)).collect();
        Nodes { nodes: BTreeMap::new(), drifts }
    }

    /// A node that something is known of.
    pub(super) fn get(&self, node: &str) -> Option<&Node<'a>> {
        self.nodes.get(node)
    }

    /// All nodes of which something is known.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &Node<'a>)> {
        self.nodes.iter().map(|(name, node)| (*name, node))
    }

    /// Takes the next record of the history.
    pub(super) fn follow(&mut self, record: &'a Record) {
        match &record.event {
            Event::Started { node } => {
                let drift = self.drifts.get(node).copied().unwrap_or_default();
                let member = self.nodes.get(node.as_str()).and_then(|node| node.member);
                self.nodes.insert(node, Node { is_up: true, drift, member, ..Node::default() });
            }
            Event::Crashed { node } | Event::Stopped { node } | Event::Failed { node, .. } => {
                self.node(node).is_up = false;
            }
            Event::Paused { node } => self.node(node).is_paused = true,
            Event::Continued { node } => self.node(node).is_paused = false,
            Event::DiskLost { node } => self.node(node).member = None,
            Event::Raft { node, fact: RaftFact::Is { member } } => self.node(node).member = Some(*member),
            Event::Raft { node, fact: RaftFact::State { index, .. } } => self.node(node).applied = Some(*index),
            Event::Directory { node, fact } => self.node(node).follow(record.at, fact),
            _ => {}
        }
    }

    fn node(&mut self, name: &'a str) -> &mut Node<'a> {
        self.nodes.entry(name).or_default()
    }
}

impl<'a> Node<'a> {
    /// Whether it says that it serves its clients in the cluster, and can.
    pub(super) fn serves(&self) -> bool {
        self.is_up && !self.is_paused && !self.is_alone && self.service == Some(Service::Serve)
    }

    fn follow(&mut self, at: Duration, fact: &'a DirectoryFact) {
        match fact {
            DirectoryFact::Added { jid, route, member, .. } => {
                self.routes.insert(jid, (*route, *member));
            }
            DirectoryFact::Removed { jid, route, .. } => {
                self.routes.retain(|held, (present, _)| *held != jid.as_str() || present != route);
            }
            DirectoryFact::Alone { is_alone } => self.is_alone = *is_alone,
            DirectoryFact::Service(service) => self.service = Some(*service),
            DirectoryFact::Lease { left } => self.lease_until = Some(at + self.in_world(left.unwrap_or_default())),
            _ => {}
        }
    }

    /// How long that much of its own time lasts.
    fn in_world(&self, time: Duration) -> Duration {
        time.mul_f64(1e6 / f64::from(1_000_000 + self.drift))
    }
}
