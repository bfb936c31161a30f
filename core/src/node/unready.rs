//! Why a node lets no client log in, in the words in which operators are told.
//!
//! It decides nothing: the reasons follow from what the node does already. What a node cannot know of itself, because it
//! is outside of the machine, is added by whoever runs it.

use std::fmt;

use super::{Node, Service, Stage};
use crate::cluster::Role;

/// Why a node lets no client log in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unready {
    /// It is not whole yet.
    Starting,
    /// It is about to end.
    Stopping,
    /// It votes, and serves nobody.
    Witness,
    /// It has not joined yet, or joins anew because the others have ended its life.
    Outside,
    /// No quorum counts it in.
    NoLease,
    /// Its clients are sent to others.
    Drained,
    /// It is to serve alone, and has not begun to.
    NotYetAlone,
    /// It cannot look up who may log in.
    StoreAway,
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unready::Starting => "it starts",
            Unready::Stopping => "it stops",
            Unready::Witness => "it is a witness and serves no clients",
            Unready::Outside => "it is not in the cluster yet",
            Unready::NoLease => "it holds no lease and serves nobody at the moment: no quorum counts it in",
            Unready::Drained => "it is drained: its clients are sent to other nodes",
            Unready::NotYetAlone => "it is about to serve alone",
            Unready::StoreAway => "the account store is away: who is logged in goes on, and nobody can log in",
        })
    }
}

impl Node {
    /// Why clients cannot log in at this node; absent if they can, as far as the cluster is concerned.
    pub fn unready(&self) -> Option<Unready> {
        if self.settings.role == Role::Witness {
            return Some(Unready::Witness);
        }
        match self.stage {
            Stage::Leaving(_) => Some(Unready::Stopping),
            Stage::Aside | Stage::Joining | Stage::Joined(_) | Stage::Over => Some(Unready::Outside),
            Stage::Active(_) if self.service != Service::Serve => Some(Unready::NoLease),
            Stage::Active(_) => self.sends_clients_on().then_some(Unready::Drained),
        }
    }

    /// A drained node keeps its clients if there is nobody else.
    fn sends_clients_on(&self) -> bool {
        self.is_draining() && self.others_that_take_clients().next().is_some()
    }
}
