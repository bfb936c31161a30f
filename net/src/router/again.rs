//! What came back from another member is decided again, in order for each account.
//!
//! When a member dies, much comes back at once, and most of it has to be stored. So there are several tasks for each
//! member, and an account belongs to one of them: the store is asked many things at a time, and of one account still one
//! after the other. Who waits until nothing is under way on an ended route is let past behind what came back, in all of
//! them.
//!
//! While the node does not serve, nothing is decided: by an old view a message would be stored for somebody who has
//! logged in elsewhere, and whom nobody would tell.
//!
//! The queues are bounded by what the outboxes hold.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use cresset_core::ids::MemberId;
use cresset_core::routing::{Paths, Redecide, StanzaName, may_go_elsewhere, recipient};
use cresset_core::stanza::Stanza;
use cresset_core::{planted, sometimes};
use tokio::sync::{mpsc, oneshot, watch};

use super::route::Outgoing;
use super::ticket::Ticket;
use super::{Router, lock};
use crate::links::Peer;

/// Tasks for one member: as many as a store that gathers its writes can make use of.
const TASKS: u64 = 32;

/// The queue of one of the tasks of one member.
pub(super) type Queue = mpsc::UnboundedSender<Again>;

/// What such a task does, in this order.
#[derive(Debug)]
pub(super) enum Again {
    /// Decides about a stanza that was not delivered.
    Decide(Peer, Box<Redecide<Ticket>>),
    /// Decides about a parcel whose home has died.
    Inherit(Box<Outgoing>),
    /// Lets somebody past who waits for all tasks of the member.
    Pass(Arc<PassOfAll>),
}

#[derive(Debug)]
pub(super) struct PassOfAll {
    left: AtomicUsize,
    pass: Mutex<Option<oneshot::Sender<()>>>,
}

impl PassOfAll {
    fn let_past(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(pass) = lock(&self.pass).take()
        {
            // Nobody waits any more if the other end is gone.
            let _ = pass.send(());
        }
    }
}

impl Router {
    pub(super) fn decide_again(&self, peer: Peer, redecide: Redecide<Ticket>) {
        let task = self.task_of(&redecide.stanza);
        self.push_again(peer.member, task, Again::Decide(peer, Box::new(redecide)));
    }

    pub(super) fn inherit_from(&self, member: MemberId, stanza: Stanza, name: Option<StanzaName>) {
        let task = self.task_of(&stanza);
        let outgoing = Outgoing { name, ..Outgoing::accepted(stanza) };
        self.push_again(member, task, Again::Inherit(Box::new(outgoing)));
    }

    /// Lets somebody past when all that came back from the member until now is decided.
    pub(super) fn let_past(&self, member: MemberId, pass: oneshot::Sender<()>) {
        let queues = lock(&self.agains);
        let of = |member| queues.range((member, 0)..=(member, TASKS)).map(|(_, queue)| queue.clone());
        // In the row of this node waits what came back while it did not serve.
        let own = (member != self.member).then(|| of(self.member)).into_iter().flatten();
        let queues: Vec<_> = of(member).chain(own).collect();
        // One more than there are queues, for this call itself.
        let pass = Arc::new(PassOfAll { left: AtomicUsize::new(queues.len() + 1), pass: Mutex::new(Some(pass)) });
        for queue in queues {
            if queue.send(Again::Pass(pass.clone())).is_err() {
                pass.let_past();
            }
        }
        pass.let_past();
    }

    fn push_again(&self, member: MemberId, task: u64, again: Again) {
        // What has to wait until the node serves waits in one row for each account, whoever gave it back.
        let member = if *self.serves.borrow() { member } else { self.member };
        let mut queues = lock(&self.agains);
        let queue = queues.entry((member, task)).or_insert_with(|| {
            let (queue, waiting) = mpsc::unbounded_channel();
            crate::runtime::spawn(run(self.myself.clone(), member, waiting, self.serves.subscribe()));
            queue
        });
        if queue.send(again).is_err() {
            tracing::debug!(%member, "nothing is decided any more: the node stops");
        }
    }

    /// SipHash with fixed keys: the same in every run.
    fn task_of(&self, stanza: &Stanza) -> u64 {
        let mut hasher = DefaultHasher::new();
        recipient(&self.domain, stanza).hash(&mut hasher);
        hasher.finish() % TASKS
    }
}

async fn run(
    router: Weak<Router>,
    member: MemberId,
    mut waiting: mpsc::UnboundedReceiver<Again>,
    mut serves: watch::Receiver<bool>,
) {
    let mut paths = Paths::of_returned_by(member);
    while let Some(again) = waiting.recv().await {
        sometimes!(!*serves.borrow(), "what_came_back_waits_until_the_node_serves");
        if !planted!(DecidedByAnOldView) && serves.wait_for(|serves| *serves).await.is_err() {
            return;
        }
        let Some(router) = router.upgrade() else { return };
        if member == router.member {
            // Whoever waits for an ended path waits for this row: it must not wait itself.
            paths = Paths::of_returned_by(member);
        }
        match again {
            Again::Pass(pass) => pass.let_past(),
            Again::Inherit(orphan) if !may_go_elsewhere(&orphan.stanza) => {}
            Again::Inherit(orphan) => {
                sometimes!("a_parcel_of_a_dead_home_is_inherited");
                router.route_to_end(&mut paths, *orphan).await;
            }
            Again::Decide(peer, redecide) => decide(&router, &mut paths, peer, *redecide).await,
        }
    }
}

async fn decide(router: &Arc<Router>, paths: &mut Paths, peer: Peer, redecide: Redecide<Ticket>) {
    let Redecide { number, stanza, attempts, origin, confirm, name } = redecide;
    let confirm = confirm.then(|| Ticket::Confirm { router: router.clone(), peer, number });
    let ticket = Ticket::both(origin, confirm);
    if !may_go_elsewhere(&stanza) {
        return ticket.into_iter().for_each(Ticket::done);
    }
    router.route_to_end(paths, Outgoing { stanza, ticket, attempts, name }).await;
}
