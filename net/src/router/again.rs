//! What came back from another member is decided again: one task for each member, so that the order is kept.
//!
//! Who waits until nothing is under way on an ended route is let past by the same task, behind what came back. The
//! queues are bounded by what the outboxes hold.

use std::sync::{Arc, Weak};

use cresset_core::ids::MemberId;
use cresset_core::routing::{Parcel, Paths, Redecide};
use tokio::sync::{mpsc, oneshot};

use super::route::Outgoing;
use super::ticket::Ticket;
use super::{Router, lock};
use crate::links::Peer;

/// What the task of a member does, in this order.
#[derive(Debug)]
pub(super) enum Again {
    /// Decides about a stanza that was not delivered.
    Decide(Peer, Redecide<Ticket>),
    /// Decides about a parcel whose home has died.
    Inherit(Parcel),
    /// Lets somebody past.
    Pass(oneshot::Sender<()>),
}

impl Router {
    pub(super) fn decide_again(&self, member: MemberId, again: Again) {
        let mut queues = lock(&self.agains);
        let queue = queues.entry(member).or_insert_with(|| {
            let (queue, waiting) = mpsc::unbounded_channel();
            crate::runtime::spawn(run(self.myself.clone(), waiting));
            queue
        });
        if queue.send(again).is_err() {
            tracing::debug!(%member, "nothing is decided any more: the node stops");
        }
    }
}

async fn run(router: Weak<Router>, mut waiting: mpsc::UnboundedReceiver<Again>) {
    let mut paths = Paths::default();
    while let Some(again) = waiting.recv().await {
        let Some(router) = router.upgrade() else { return };
        match again {
            // Nobody waits any more if the other end is gone.
            Again::Pass(pass) => drop(pass.send(())),
            Again::Inherit(parcel) => router.route_to_end(&mut paths, Outgoing::accepted(parcel.stanza)).await,
            Again::Decide(peer, redecide) => decide(&router, &mut paths, peer, redecide).await,
        }
    }
}

async fn decide(router: &Arc<Router>, paths: &mut Paths, peer: Peer, redecide: Redecide<Ticket>) {
    let Redecide { number, stanza, attempts, origin, confirm } = redecide;
    let confirm = confirm.then(|| Ticket::Confirm { router: router.clone(), peer, number });
    let ticket = Ticket::both(origin, confirm);
    router.route_to_end(paths, Outgoing { stanza, ticket, attempts }).await;
}
