//! Which simulated host is at work at the moment, and what part it plays in the cluster.
//!
//! The simulated network runs each host inside of a span that has its name; [`super::NodeLog`] says when one is entered
//! and left. Whatever a node tells or visits meanwhile is that host's.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use cresset_core::probe::{self, Part};

thread_local! {
    /// Hosts whose spans were entered and not left. Tasks may enter the span of their host once more, within it.
    static ENTERED: RefCell<Vec<Arc<str>>> = const { RefCell::new(Vec::new()) };
    static PARTS: RefCell<BTreeMap<Arc<str>, Part>> = const { RefCell::new(BTreeMap::new()) };
}

/// A host is at work from now on.
pub(super) fn enter(host: &Arc<str>) {
    probe::enter(PARTS.with_borrow(|parts| parts.get(host).copied().unwrap_or_default()));
    ENTERED.with_borrow_mut(|entered| entered.push(host.clone()));
}

/// The host that was entered last is left.
pub(super) fn leave() {
    let is_over = ENTERED.with_borrow_mut(|entered| {
        entered.pop();
        entered.is_empty()
    });
    if is_over {
        probe::enter(Part::Outside);
    }
}

/// The host that is at work.
pub fn current() -> Option<Arc<str>> {
    ENTERED.with_borrow(|entered| entered.last().cloned())
}

/// From now on the host that is at work plays this part.
pub fn plays(part: Part) {
    if let Some(host) = current() {
        PARTS.with_borrow_mut(|parts| parts.insert(host, part));
        probe::enter(part);
    }
}

/// A new world: nobody plays any part.
pub fn forget_all() {
    PARTS.take();
    ENTERED.take();
    probe::enter(Part::Outside);
}
