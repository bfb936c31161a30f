//! What has to be decided again, and who waits for it: the queues of [`RetryQueue`], one task for each.
//!
//! When a member dies, much comes back at once, and most of it has to be stored. So there are several queues, and an
//! account belongs to one of them: the store is asked many things at a time, and of one account still one after the
//! other.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use cresset_core::ids::{Life, RouteId};
use cresset_core::jid::BareJid;
use cresset_core::limits::RETRY_QUEUES;
use cresset_core::routing::{Redecide, RetryOutput, RetryQueue, Said, Turn, Way};
use cresset_core::sometimes;
use futures_util::future::{Either, select};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use super::mailbox::ToSession;
use super::route::{Outgoing, UnderWay};
use super::ticket::Ticket;
use super::{Router, lock};
use crate::links::{Peer, ToLane};
use crate::runtime;
use crate::sync::atomic::Ordering;

/// Who stands in a row. A sender is told by which ways what was earlier went.
pub(super) type Again = cresset_core::routing::Again<Ticket, oneshot::Sender<Vec<Way>>>;

/// The entrance of one queue.
pub(super) type Entrance = mpsc::UnboundedSender<Again>;

/// Somebody who waits until nothing is under way on a route of another member.
pub type Pass = oneshot::Sender<()>;

impl Router {
    /// The place of a stanza about which this node decides for the first time.
    pub(super) fn next_turn(&self) -> Turn {
        Turn(self.last_turn.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// How much that came back is being decided again, or waits until the node serves.
    pub fn undecided(&self) -> usize {
        self.undecided.load(Ordering::Acquire)
    }

    /// How many sessions are not over, and how much is not decided. A node that does not serve can end no session.
    pub fn unsettled(&self) -> usize {
        let sessions = if *self.serves.borrow() { self.session_count() } else { 0 };
        sessions + self.undecided()
    }

    pub(super) fn decide_again(&self, peer: Peer, redecide: Redecide<Ticket>) {
        let Redecide { number, stanza, attempts, origin, confirm, name, turn } = redecide;
        let router = || self.myself.upgrade().expect("somebody calls it");
        let confirm = confirm.then(|| Ticket::confirming(router(), peer, number));
        let ticket = Ticket::both(origin, confirm);
        self.push_returned(Outgoing { stanza, ticket, attempts, name, turn });
    }

    /// What is left of a parcel is decided here.
    pub(super) fn push_returned(&self, outgoing: Outgoing) {
        self.push(Again::Returned(outgoing));
    }

    /// A session has said this and does not wait until it is decided.
    pub(crate) fn say_later(&self, said: Said<Ticket>) {
        self.push(Again::Said(said));
    }

    /// Waits until nothing is under way on these routes, or for so long at most, and all that is earlier than that turn is
    /// decided; or until the life of the node is over, after which a sender does not wait himself any more. Answers with the
    /// ways by which the earlier ones went.
    pub(super) async fn wait_for_turn(
        self: &Arc<Self>,
        ways: Vec<Way>,
        at_most: Option<Duration>,
        account: BareJid,
        turn: Turn,
    ) -> Vec<Way> {
        let mut lives = self.lives.subscribe();
        let past = Box::pin(async {
            self.clear(ways, at_most).await;
            let (sender, past) = oneshot::channel();
            self.push(Again::Sender { account, sender, turn });
            // A queue that is gone lets everybody past.
            past.await.unwrap_or_default()
        });
        match select(past, Box::pin(lives.changed())).await {
            Either::Left((ways, _)) => ways,
            Either::Right(_) => Vec::new(),
        }
    }

    /// Waits until nothing is under way on any of these routes: what comes back from them stands in its row then. Whoever
    /// holds one that has not ended may keep others waiting, so there is a bound for those, from the moment on in which the
    /// members that hold them have answered.
    pub(super) async fn clear(&self, ways: Vec<Way>, at_most: Option<Duration>) {
        let Some(at_most) = at_most else { return self.clear_all(ways).await };
        let limit = Box::pin(async {
            self.hear_from_owners(&ways).await;
            sleep(at_most).await;
        });
        let waited = select(Box::pin(self.clear_all(ways.clone())), limit).await;
        sometimes!(matches!(waited, Either::Right(_)), "nobody_waits_for_ever_for_whoever_logs_out");
    }

    /// Waits until every member that holds one of these routes has answered something that is said after this, or its life is
    /// over. It is the word that messages are stored, for nobody.
    async fn hear_from_owners(&self, ways: &[Way]) {
        let lives: BTreeSet<Life> = ways.iter().map(|way| way.life).filter(|life| life.member != self.member).collect();
        for life in lives {
            let Some(lane) = self.lane(life) else { continue };
            let (pass, passed) = oneshot::channel();
            let route = RouteId::of_nobody(self.last_question.fetch_add(1, Ordering::Relaxed));
            if lane.send(ToLane::Nudge { route }).await.is_ok() && lane.send(ToLane::Pass { route, pass }).await.is_ok()
            {
                // A lane that is gone has nothing to answer any more.
                let _ = passed.await;
            }
        }
    }

    async fn clear_all(&self, ways: Vec<Way>) {
        for Way { life, route } in ways {
            let (pass, passed) = oneshot::channel();
            if life.member == self.member {
                let session = self.local().session(route).cloned();
                let Some(session) = session else { continue };
                if !session.tell(ToSession::Pass(pass)) {
                    continue;
                }
            } else {
                self.ask_lane(life, route, pass).await;
            }
            // Whoever was asked and is gone has nothing any more.
            let _ = passed.await;
        }
    }

    async fn ask_lane(&self, life: Life, route: RouteId, pass: Pass) {
        let ended = || lock(&self.ended).get(&life).cloned();
        let Some(lane) = self.lane(life).or_else(ended) else { return };
        if lane.send(ToLane::Pass { route, pass }).await.is_err() {
            tracing::debug!(%route, "everything has come back from a lane that is closed");
        }
    }

    fn push(&self, again: Again) {
        let queue = again.queue(self.sight(), RETRY_QUEUES);
        let mut queues = lock(&self.retry);
        let entrance = queues.entry(queue).or_insert_with(|| {
            let (entrance, arriving) = mpsc::unbounded_channel();
            let task = run(self.myself.clone(), arriving, self.serves.subscribe());
            self.workers.spawn(runtime::polled(task));
            entrance
        });
        self.undecided.fetch_add(1, Ordering::AcqRel);
        if let Err(refused) = entrance.send(again) {
            tracing::debug!("nothing is decided any more: the node stops");
            runtime::abandon(refused);
        }
    }
}

/// How many steps a queue makes before others may use its thread.
const STEPS_AT_ONCE: usize = 64;

async fn run(router: Weak<Router>, mut arriving: mpsc::UnboundedReceiver<Again>, mut serves: watch::Receiver<bool>) {
    let (mut queue, mut under_way, mut counted) = (RetryQueue::default(), UnderWay::new(), 0);
    loop {
        let (mut arrived, mut report) = (None, None);
        tokio::select! {
            biased;
            again = arriving.recv() => match again {
                Some(again) => arrived = Some(again),
                None => break,
            },
            Some(over) = under_way.next() => report = Some(over),
            changed = serves.changed() => if changed.is_err() { break },
        }
        let Some(router) = router.upgrade() else { break };
        for step in 1_usize.. {
            if step.is_multiple_of(STEPS_AT_ONCE) {
                tokio::task::yield_now().await;
            }
            // What has come meanwhile may be earlier.
            while let Some(again) = arrived.take().or_else(|| arriving.try_recv().ok()) {
                queue.push(router.sight(), again);
                counted += 1;
            }
            while let Some(over) = report.take().or_else(|| under_way.next().now_or_never().flatten()) {
                queue.handle(over);
            }
            queue.set_serves(*serves.borrow_and_update());
            let output = queue.poll_output(router.sight());
            let is_last = output.is_none();
            match output {
                Some(RetryOutput::Errand(errand)) => report = router.carry_out(errand, |rest| under_way.push(rest)),
                Some(RetryOutput::Push(outgoing)) => router.push_returned(outgoing),
                // Nobody waits any more if the other end is gone.
                Some(RetryOutput::Past(sender, ways)) => drop(sender.send(ways)),
                None => {}
            }
            report.take().into_iter().for_each(|report| queue.handle(report));
            // Two copies of one stanza may come back late, from two lanes.
            match queue.len().checked_sub(counted) {
                Some(more) => router.undecided.fetch_add(more, Ordering::AcqRel),
                None => router.undecided.fetch_sub(counted - queue.len(), Ordering::AcqRel),
            };
            counted = queue.len();
            if is_last {
                break;
            }
        }
    }
    // The router is gone, and its sessions with it.
    runtime::abandon((queue, under_way, arriving));
}
