//! Looking sessions up in the memory of the nodes that run, as their connections do.
//!
//! A look-up that finds what the one before it found is noted only if a bind of that JID was answered meanwhile,
//! somewhere: then it says that the node does not show it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use cresset_core::ids::{LogIndex, MemberId, RouteId};
use cresset_core::jid::FullJid;
use cresset_net::run::Running;

use crate::history::{DirectoryFact, Event, History};

thread_local! {
    /// How many binds of each JID were answered.
    static ANSWERED: RefCell<BTreeMap<FullJid, u64>> = const { RefCell::new(BTreeMap::new()) };

    /// How many parcels each node has under way to each member.
    static UNDER_WAY: RefCell<BTreeMap<Arc<str>, BTreeMap<MemberId, usize>>> = const { RefCell::new(BTreeMap::new()) };
}

/// A bind of this JID was answered by some node.
pub(super) fn answered(jid: &FullJid) {
    ANSWERED.with_borrow_mut(|answered| *answered.entry(jid.clone()).or_default() += 1);
}

/// A node has so many parcels under way to a member.
pub(super) fn under_way(node: &Arc<str>, to: MemberId, parcels: usize) {
    UNDER_WAY.with_borrow_mut(|under_way| under_way.entry(node.clone()).or_default().insert(to, parcels));
}

/// A new world: nothing was.
pub(super) fn forget_all() {
    ANSWERED.take();
    UNDER_WAY.take();
}

/// What was last found on one node.
#[derive(Debug, Default)]
pub struct LookUps {
    last: BTreeMap<FullJid, (Option<RouteId>, u64)>,
    under_way: u64,
}

impl LookUps {
    /// For a process of this node that has just started: it has nothing under way.
    pub fn of(node: &str) -> Self {
        UNDER_WAY.with_borrow_mut(|under_way| under_way.remove(node));
        LookUps::default()
    }

    /// Looks every JID up that was ever bound, if the node may serve; and how much is under way.
    pub fn look(&mut self, running: &Running, node: &str, history: &History) {
        self.look_at_parcels(node, history);
        let answered = ANSWERED.with_borrow(|answered| answered.clone());
        for (jid, count) in answered {
            let Some((route, index)) = running.holder(&jid) else { return };
            // A node by itself shows nothing of the cluster.
            if !index.is_in_the_log_of(LogIndex(0)) {
                return;
            }
            if self.last.get(&jid) == Some(&(route, count)) {
                continue;
            }
            let fact = DirectoryFact::LookedUp { jid: jid.to_string(), route, index: index.0 };
            history.add(node, Event::Directory { node: node.to_owned(), fact });
            self.last.insert(jid, (route, count));
        }
    }

    fn look_at_parcels(&mut self, node: &str, history: &History) {
        let parcels: usize =
            UNDER_WAY.with_borrow(|under_way| under_way.get(node).map_or(0, |lanes| lanes.values().sum()));
        let parcels = if parcels == 0 { 0 } else { (parcels as u64).next_power_of_two() };
        if std::mem::replace(&mut self.under_way, parcels) != parcels {
            history.add(node, Event::Directory { node: node.to_owned(), fact: DirectoryFact::UnderWay { parcels } });
        }
    }
}
