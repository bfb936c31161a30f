//! What has to be decided again, and who waits for it: rows by account, one task for each row.
//!
//! When a member dies, much comes back at once, and most of it has to be stored. So there are several rows, and an
//! account belongs to one of them: the store is asked many things at a time, and of one account still one after the
//! other. The order within a row is that of [`Row`], whose documentation has the rules.
//!
//! While the node does not serve, nothing is decided: by an old view a message would be stored for somebody who has
//! logged in elsewhere, and whom nobody would tell.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use cresset_core::cluster::RouteView;
use cresset_core::ids::{Life, RouteId};
use cresset_core::jid::BareJid;
use cresset_core::routing::{Paths, Redecide, Row, Turn, Way, may_go_elsewhere, recipient};
use cresset_core::stanza::Stanza;
use cresset_core::{planted, sometimes};
use futures_util::future::{BoxFuture, Either, select};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::mailbox::ToSession;
use super::route::{Outgoing, Routed};
use super::ticket::Ticket;
use super::{Router, lock};
use crate::links::{Peer, ToLane};

/// Rows of one node: as many as a store that gathers its writes can make use of.
const ROWS: u64 = 32;

/// The entrance of one row.
pub(super) type Entrance = mpsc::UnboundedSender<(Turn, Again)>;

/// Who stands in a row.
#[derive(Debug)]
pub(super) enum Again {
    /// A stanza that was handed on and was not delivered.
    Returned(Box<Outgoing>),
    /// A stanza of a session that does not wait itself.
    Said(Box<Said>),
    /// A sender who is let past when nothing that is earlier is under way to the account, and told by which ways that went.
    Sender(BareJid, oneshot::Sender<Vec<Way>>),
}

/// What a session said that ends, or whose life of the node has.
#[derive(Debug)]
pub(super) struct Said {
    outgoing: Outgoing,
    /// By which ways earlier ones of it went that the row does not know yet.
    ways: Vec<Way>,
    /// The life of the node in which it was said.
    generation: u64,
    /// The route that its sender held, by which its farewell is known from that of somebody it replaced.
    own: Option<RouteId>,
}

/// Somebody who waits until nothing is under way on a route of another member.
pub type Pass = oneshot::Sender<()>;

impl Router {
    /// The place of a stanza about which this node decides for the first time.
    pub(super) fn next_turn(&self) -> Turn {
        Turn(self.last_turn.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// How much that came back is being decided again: nothing while the node does not serve.
    pub fn undecided(&self) -> usize {
        if *self.serves.borrow() { self.undecided.load(Ordering::Acquire) } else { 0 }
    }

    pub(super) fn decide_again(&self, peer: Peer, redecide: Redecide<Ticket>) {
        let Redecide { number, stanza, attempts, origin, confirm, name, turn } = redecide;
        let router = || self.myself.upgrade().expect("somebody calls it");
        let confirm = confirm.then(|| Ticket::Confirm { router: router(), peer, number });
        let ticket = Ticket::both(origin, confirm);
        self.push_returned(Outgoing { stanza, ticket, attempts, name, turn: Some(turn) });
    }

    /// What is left of a parcel is decided here.
    pub(super) fn push_returned(&self, mut outgoing: Outgoing) {
        let turn = *outgoing.turn.get_or_insert_with(|| self.next_turn());
        self.push(self.row_of(&outgoing.stanza), turn, Again::Returned(Box::new(outgoing)));
    }

    /// A session of that life of the node has said this and does not wait until it is decided. What it said before went
    /// by its paths, and by these ways of which it knew no more.
    pub(crate) fn say_later(&self, outgoing: Outgoing, paths: &mut Paths, mut ways: Vec<Way>, generation: u64) {
        if let Some(account) = recipient(&self.domain, &outgoing.stanza) {
            ways.extend(paths.hand_over(&account));
        }
        self.push_said(Said { outgoing, ways, generation, own: paths.own() });
    }

    fn push_said(&self, mut said: Said) {
        let turn = *said.outgoing.turn.get_or_insert_with(|| self.next_turn());
        self.push(self.row_of(&said.outgoing.stanza), turn, Again::Said(Box::new(said)));
    }

    /// Waits until nothing is under way on these routes, or for so long at most, and all that is earlier than that turn is
    /// decided; or until the life of the node is over, after which a sender does not wait himself any more. Answers with the
    /// ways by which the earlier ones went.
    pub(super) fn wait_for_turn(
        self: &Arc<Self>,
        ways: Vec<Way>,
        at_most: Option<Duration>,
        account: BareJid,
        turn: Turn,
    ) -> BoxFuture<'static, Vec<Way>> {
        let router = self.clone();
        Box::pin(async move {
            let mut lives = router.generation.subscribe();
            let past = Box::pin(async {
                router.clear(ways, at_most).await;
                let (sender, past) = oneshot::channel();
                router.push(row_of(Some(&account)), turn, Again::Sender(account, sender));
                // A row that is gone lets everybody past.
                past.await.unwrap_or_default()
            });
            match select(past, Box::pin(lives.changed())).await {
                Either::Left((ways, _)) => ways,
                Either::Right(_) => Vec::new(),
            }
        })
    }

    /// Waits until nothing is under way on any of these routes: what comes back from them stands in its row then. Whoever
    /// holds one that has not ended may keep others waiting, so there is a bound for those.
    pub(super) async fn clear(&self, ways: Vec<Way>, at_most: Option<Duration>) {
        match at_most {
            None => self.clear_all(ways).await,
            Some(at_most) => {
                let waited = timeout(at_most, self.clear_all(ways)).await;
                sometimes!(waited.is_err(), "nobody_waits_for_ever_for_whoever_logs_out");
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

    fn push(&self, row: u64, turn: Turn, again: Again) {
        let mut rows = lock(&self.rows);
        let entrance = rows.entry(row).or_insert_with(|| {
            let (entrance, arriving) = mpsc::unbounded_channel();
            self.workers.spawn(run(self.myself.clone(), arriving, self.serves.subscribe()));
            entrance
        });
        self.undecided.fetch_add(1, Ordering::AcqRel);
        if entrance.send((turn, again)).is_err() {
            tracing::debug!("nothing is decided any more: the node stops");
        }
    }

    fn row_of(&self, stanza: &Stanza) -> u64 {
        row_of(recipient(&self.domain, stanza).as_ref())
    }
}

/// SipHash with fixed keys: the same in every run.
fn row_of(account: Option<&BareJid>) -> u64 {
    let mut hasher = DefaultHasher::new();
    account.hash(&mut hasher);
    hasher.finish() % ROWS
}

async fn run(
    router: Weak<Router>,
    mut arriving: mpsc::UnboundedReceiver<(Turn, Again)>,
    mut serves: watch::Receiver<bool>,
) {
    let (mut row, mut paths) = (Row::default(), Paths::of_row());
    loop {
        if row.is_empty() {
            let Some((turn, again)) = arriving.recv().await else { return };
            row.push(turn, again);
        }
        sometimes!(!*serves.borrow(), "what_came_back_waits_until_the_node_serves");
        if !planted!(DecidedByAnOldView) && serves.wait_for(|serves| *serves).await.is_err() {
            return;
        }
        while let Ok((turn, again)) = arriving.try_recv() {
            row.push(turn, again);
        }
        let Some((turn, again)) = row.pop() else { continue };
        let Some(router) = router.upgrade() else { return };
        if let Some(again) = take_turn(&router, &mut paths, again).await {
            row.push(turn, again);
        }
    }
}

/// Decides, or waits for what may be earlier and gives back who has to wait for his turn again.
async fn take_turn(router: &Arc<Router>, paths: &mut Paths, again: Again) -> Option<Again> {
    let (outgoing, said_by) = match again {
        Again::Sender(account, sender) => {
            let routes = router.view.routes_of(&account);
            let ended = paths.ended(&account, routes.as_deref());
            if !ended.is_empty() {
                router.clear(ended.to_vec(), None).await;
                return Some(Again::Sender(account, sender));
            }
            router.undecided.fetch_sub(1, Ordering::AcqRel);
            // Nobody waits any more if the other end is gone.
            let _ = sender.send(paths.known(&account));
            return None;
        }
        Again::Returned(outgoing) => (*outgoing, None),
        Again::Said(said) => {
            if let Some(account) = recipient(&router.domain, &said.outgoing.stanza) {
                paths.take_over(&account, &said.ways);
            }
            (said.outgoing, Some((said.generation, said.own)))
        }
    };
    let (said_in, own) = said_by.unzip();
    let is_of_this_life = said_in == Some(router.generation()) || planted!(FarewellOfTheExpelled);
    let is_owed = may_go_elsewhere(&outgoing.stanza) || is_of_this_life;
    let own = own.flatten();
    let routed = if is_owed {
        router.route_in_row(paths, own, outgoing)
    } else {
        outgoing.ticket.into_iter().for_each(Ticket::done);
        Routed::Done
    };
    match routed {
        Routed::Done => {}
        Routed::Finish(_, rest) | Routed::Store(_, rest) => rest.await,
        // The row's own paths brought it here.
        Routed::Again(wait, outgoing) => {
            drop(wait.until.await);
            // Its error goes to somebody else, by another row.
            match said_in {
                Some(generation) => router.push_said(Said { outgoing: *outgoing, ways: Vec::new(), generation, own }),
                None => router.push_returned(*outgoing),
            }
        }
    }
    router.undecided.fetch_sub(1, Ordering::AcqRel);
    None
}
