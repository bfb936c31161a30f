//! What nodes tell of themselves, and what is read off their disks, as facts of the history.
//!
//! ```text
//! net::witness ──Fact──▶ Listening ─────┐
//! SimulatedDisk ──DiskEvent──▶ DurableLog ──▶ history: Event::Raft, Event::Directory
//! Running ──what it routes by──▶ LookUps ┘
//! ```
//!
//! What is durable comes from the disk and never from what a node says of itself.

mod durable;
mod lookups;

use std::collections::BTreeMap;
use std::sync::Arc;

use cresset_core::cluster::{Event as StateEvent, ExpelReason, Removal};
use cresset_core::ids::{Life, LogIndex, MemberId, SessionId};
use cresset_core::jid::FullJid;
use cresset_core::node::{Answer, RaftStatus, Request, Service as NodeService};
use cresset_core::probe::Part;
use cresset_core::time::Uptime;
use cresset_net::witness::{self, Fact};

use crate::history::{DirectoryFact, EntryId, Event, History, LifeStage, RaftFact, Service};
use crate::trace::host;

pub use durable::disk_observer;
pub use lookups::LookUps;

/// As long as it lives, what the nodes of this thread tell is added to a history.
#[derive(Debug)]
pub struct Listening;

impl Listening {
    /// Begins to listen.
    pub fn to(history: History) -> Listening {
        forget_all();
        let mut recorder = Recorder { history, leases: BTreeMap::new(), asked: BTreeMap::new() };
        witness::listen(Some(Box::new(move |fact| recorder.told(fact))));
        Listening
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        witness::listen(None);
        forget_all();
    }
}

fn forget_all() {
    host::forget_all();
    lookups::forget_all();
}

struct Recorder {
    history: History,
    /// Until when each node last said that it holds a lease.
    leases: BTreeMap<Arc<str>, Option<Uptime>>,
    /// What the sessions of each node last asked for.
    asked: BTreeMap<(Arc<str>, SessionId), FullJid>,
}

impl Recorder {
    fn told(&mut self, fact: Fact) {
        let Some(node) = host::current() else { return };
        match fact {
            Fact::Applied { term, index, sum } => {
                let entry = EntryId { term: term.0, index: index.0 };
                self.raft(&node, RaftFact::Applied { entry, sum });
            }
            Fact::Installed { term, index } => {
                self.raft(&node, RaftFact::Installed { entry: EntryId { term: term.0, index: index.0 } });
            }
            Fact::State { index, digest } => self.raft(&node, RaftFact::State { index: index.0, digest }),
            Fact::Raft { member, status } => self.status(&node, member, &status),
            Fact::Changed { event, applied } => self.changed(&node, &event, applied),
            Fact::Asked(request) => self.asks(&node, &request),
            Fact::Answered { session, answer } => {
                let route = match answer {
                    Answer::Bound { route } => Some(route),
                    Answer::Refused(_) => None,
                    Answer::Announced { .. } => return,
                };
                self.directory(&node, DirectoryFact::BindAnswered { session: session.0, route });
                if let Some(jid) = self.asked.remove(&(node, session)).filter(|_| route.is_some()) {
                    lookups::answered(&jid);
                }
            }
            Fact::Lease { until, now } => {
                if self.leases.insert(node.clone(), until) != Some(until) {
                    let left = until.filter(|until| *until > now).map(|until| until.since(now));
                    self.directory(&node, DirectoryFact::Lease { left });
                }
            }
            Fact::UnderWay { to, parcels } => lookups::under_way(&node, to, parcels),
            Fact::Overfull { session } => self.directory(&node, DirectoryFact::Overfull { session: session.0 }),
            Fact::Founds { member } => self.raft(&node, RaftFact::Founds { member: member.0 }),
            Fact::Alone(is_alone) => self.directory(&node, DirectoryFact::Alone { is_alone }),
            Fact::Service(service) => self.directory(&node, DirectoryFact::Service(treatment(service))),
        }
    }

    fn status(&self, node: &Arc<str>, member: MemberId, status: &RaftStatus) {
        host::plays(part(member, status));
        if status.leader == Some(member) {
            self.raft(node, RaftFact::Leads { term: status.term.0 });
        }
    }

    fn changed(&mut self, node: &str, event: &StateEvent, applied: LogIndex) {
        let life = |life: &Life, stage, index| DirectoryFact::Life {
            member: life.member.0,
            incarnation: life.incarnation.0,
            stage,
            index,
        };
        let fact = match event {
            StateEvent::RouteAdded(route) => DirectoryFact::Added {
                jid: route.jid.to_string(),
                route: route.id,
                member: route.member.0,
                index: route.id.index.0,
            },
            StateEvent::RouteRemoved { route, reason } => {
                let index = match reason {
                    Removal::Replaced { by } => by.index,
                    Removal::Unbound | Removal::MemberEnded => applied,
                };
                DirectoryFact::Removed { jid: route.jid.to_string(), route: route.id, index: index.0 }
            }
            StateEvent::Joined(joined) => life(joined, LifeStage::Joined, joined.incarnation.0),
            StateEvent::Activated(active) => life(active, LifeStage::Activated, applied.0),
            StateEvent::Ended { life: ended, .. } => life(ended, LifeStage::Ended, applied.0),
            StateEvent::RouteChanged(_) | StateEvent::VotersChanged | StateEvent::SeniorChanged(_) => return,
        };
        self.directory(node, fact);
        if let StateEvent::Ended { life, expelled: Some(ExpelReason::Crashed) } = event {
            let (member, incarnation) = (life.member.0, life.incarnation.0);
            self.directory(node, DirectoryFact::TakenForCrashed { member, incarnation });
        }
    }

    fn asks(&mut self, node: &Arc<str>, request: &Request) {
        let fact = match request {
            Request::Bind { session, jid, .. } => {
                self.asked.insert((node.clone(), *session), jid.clone());
                DirectoryFact::BindAsked { session: session.0, jid: jid.to_string() }
            }
            Request::Unbind { route } => DirectoryFact::UnbindAsked { route: *route },
            Request::Announce { .. } => return,
        };
        self.directory(node, fact);
    }

    fn raft(&self, node: &str, fact: RaftFact) {
        self.history.add(node, Event::Raft { node: node.to_owned(), fact });
    }

    fn directory(&self, node: &str, fact: DirectoryFact) {
        self.history.add(node, Event::Directory { node: node.to_owned(), fact });
    }
}

fn part(member: MemberId, status: &RaftStatus) -> Part {
    if status.leader == Some(member) {
        Part::Leader
    } else if status.voter_sets.iter().any(|set| set.contains(&member)) {
        Part::Follower
    } else if status.learners.contains(&member) {
        Part::Learner
    } else {
        Part::Outside
    }
}

fn treatment(service: NodeService) -> Service {
    match service {
        NodeService::Serve => Service::Serve,
        NodeService::Pause => Service::Pause,
        NodeService::Close => Service::Close,
    }
}
