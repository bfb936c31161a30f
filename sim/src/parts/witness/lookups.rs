//! Looking sessions up in the memory of the nodes that run, as their connections do.
//!
//! A look-up that finds what the one before it found is noted only if a bind of that JID was answered meanwhile,
//! somewhere: then it says that the node does not show it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use cresset_core::ids::RouteId;
use cresset_core::jid::FullJid;
use cresset_net::run::Running;

use crate::history::{DirectoryFact, Event, History};

thread_local! {
    /// How many binds of each JID were answered.
    static ANSWERED: RefCell<BTreeMap<FullJid, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// A bind of this JID was answered by some node.
pub(super) fn answered(jid: &FullJid) {
    ANSWERED.with_borrow_mut(|answered| *answered.entry(jid.clone()).or_default() += 1);
}

/// A new world: nothing was.
pub(super) fn forget_all() {
    ANSWERED.take();
}

/// What was last found on one node.
#[derive(Debug, Default)]
pub struct LookUps {
    last: BTreeMap<FullJid, (Option<RouteId>, u64)>,
}

impl LookUps {
    /// Looks every JID up that was ever bound, if the node may serve.
    pub fn look(&mut self, running: &Running, node: &str, history: &History) {
        let answered = ANSWERED.with_borrow(|answered| answered.clone());
        for (jid, count) in answered {
            let Some((route, index)) = running.holder(&jid) else { return };
            if self.last.get(&jid) == Some(&(route, count)) {
                continue;
            }
            let fact = DirectoryFact::LookedUp { jid: jid.to_string(), route, index: index.0 };
            history.add(node, Event::Directory { node: node.to_owned(), fact });
            self.last.insert(jid, (route, count));
        }
    }
}
