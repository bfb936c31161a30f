//! What an operator is told when waiting does not help: who answers and is no member, and what to do.
//!
//! It decides nothing: it puts into words what the node knows of the log, of its links, and of those who refuse it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use super::{LinkState, Node};
use crate::ids::MemberId;
use crate::liveness::has_quorum;

/// What a node is told that is outside of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// What the processes to which there was a link call themselves.
    pub names: &'a BTreeMap<MemberId, String>,
    /// Who refused to be linked with this node, and why.
    pub refusals: &'a BTreeMap<SocketAddr, String>,
    /// Whether the cluster was founded before this process started.
    pub was_founded: bool,
    /// The command that founds another cluster with the same accounts.
    pub recover: &'a str,
}

/// Why waiting does not help. A sentence for the operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Amiss {
    /// Another node does not want to be linked with this one.
    TurnedAway {
        /// Where it is.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// The cluster was founded, and neither this node nor anybody whom it reaches knows its log.
    LogLost {
        /// Who answers and knows nothing either.
        others: Vec<String>,
        /// The command that helps.
        recover: String,
    },
    /// Nodes that voted answer with other directories: what they had promised is not in these.
    Replaced {
        /// Their names.
        names: Vec<String>,
        /// The command that helps.
        recover: String,
    },
}

impl Node {
    /// Whether this member is there: it is this one, or a process that has its directory is linked.
    pub fn answers(&self, member: MemberId) -> bool {
        let is_up = |id| self.links.get(&id).is_some_and(|link| link.state == LinkState::Up);
        member == self.settings.member || is_up(member)
    }

    /// Why waiting does not help, if nothing can be agreed on here.
    pub fn amiss(&self, surroundings: Surroundings<'_>) -> Option<Amiss> {
        let Surroundings { names, refusals, was_founded, recover } = surroundings;
        let knows_nothing = self.raft.voter_sets.is_empty();
        // A voter that is left may tell for ever of a leader that is gone.
        let is_led = self.leader().is_some_and(|leader| self.answers(leader));
        let is_lost = knows_nothing && was_founded && !is_led;
        if !is_lost && (knows_nothing || has_quorum(&self.raft.voter_sets, |id| self.answers(id))) {
            return None;
        }
        if let Some((address, reason)) = refusals.first_key_value() {
            return Some(Amiss::TurnedAway { address: *address, reason: reason.clone() });
        }
        let recover = recover.to_owned();
        let is_missing = |name: &String| {
            let mut voters = self.state.voters().iter().filter(|id| !self.answers(**id));
            voters.any(|id| self.state.member(*id).is_some_and(|voter| voter.name == *name))
        };
        let answering = names.iter().filter(|(id, _)| **id != self.settings.member && self.answers(**id));
        if is_lost {
            return Some(Amiss::LogLost { others: answering.map(|(_, name)| name.clone()).collect(), recover });
        }
        let strangers = answering.filter(|(id, name)| !self.state.voters().contains(id) && is_missing(name));
        let names: Vec<_> = strangers.map(|(_, name)| name.clone()).collect();
        (!names.is_empty()).then_some(Amiss::Replaced { names, recover })
    }
}

impl fmt::Display for Amiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amiss::TurnedAway { address, reason } => {
                write!(f, "the node at {address} and this one do not speak with each other: {reason}")
            }
            Amiss::LogLost { others, recover } => {
                f.write_str(
                    "the cluster was founded before, and the data directory of this node has nothing of it: the node \
                     waits for a member that has",
                )?;
                if !others.is_empty() {
                    write!(f, " (of the nodes that answer none has: {})", others.join(", "))?;
                }
                write!(
                    f,
                    "; if a member runs elsewhere, see why it is not found; if there was a copy of the directory, put it \
                     back; if all directories are lost, stop this node, say '{recover}', and start it again: accounts, \
                     rosters and stored messages are kept"
                )
            }
            Amiss::Replaced { names, recover } => write!(
                f,
                "these answer as new members and do not count, because their data directories are not those with which \
                 they voted: {}; put the old directories back, or, if they are lost, stop this node, say '{recover}', \
                 start it again, and empty the data directories of the others before they are started again",
                names.join(", ")
            ),
        }
    }
}
