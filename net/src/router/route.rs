//! From a stanza to whoever answers for it next.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cresset_core::cluster::Route;
use cresset_core::ids::{RouteId, Sequence};
use cresset_core::jid::BareJid;
use cresset_core::routing::{
    Asker, ChosenRoutes, Home, Parcel, Paths, StanzaName, Step, Turn, Way, comes_to, may_go_elsewhere, next_step,
    recipient,
};
use cresset_core::stanza::{ErrorCondition, Stanza};
use cresset_core::{planted, sometimes};
use futures_util::future::BoxFuture;
use tokio::sync::futures::Notified;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout;

use super::again::Pass;
use super::ticket::Ticket;
use super::{Router, lock};
use crate::accounts::{StoreError, Stored};
use crate::links::ToLane;

/// How long to wait for the view to show what a closed mailbox says: that the route is gone. Mostly it does already.
const MOVE_TIME_MAX: Duration = Duration::from_millis(100);

/// How long a message that nobody else has waits for a store that is away before it is stored again.
const STORE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A stanza that somebody has to answer for.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) stanza: Stanza,
    pub(crate) ticket: Option<Ticket>,
    /// How often it came back.
    pub(crate) attempts: u8,
    /// By which name somebody may have it already.
    pub(crate) name: Option<StanzaName>,
    /// Its place among what comes back; none before it is decided about for the first time.
    pub(crate) turn: Option<Turn>,
}

impl Outgoing {
    /// A stanza of a client, and who waits to hear of it.
    pub(crate) fn new(stanza: Stanza, ticket: Option<Ticket>) -> Self {
        Outgoing { stanza, ticket, attempts: 0, name: None, turn: None }
    }

    /// A stanza about which nobody waits to hear.
    pub(crate) fn accepted(stanza: Stanza) -> Self {
        Outgoing::new(stanza, None)
    }
}

/// What became of a stanza.
pub(crate) enum Routed {
    /// It is on its way; the ticket will be told.
    Done,
    /// Not yet: after the wait it is to be routed again, and nothing else of the same sender to that account before it.
    Again(Wait, Box<Outgoing>),
    /// It will be when this is done, which nothing else of the same sender to this account may overtake.
    Finish(BareJid, BoxFuture<'static, ()>),
    /// As for [`Routed::Finish`]; it is the store that is waited for.
    Store(BareJid, BoxFuture<'static, ()>),
}

/// Before a stanza is routed again.
pub(crate) struct Wait {
    /// What is waited for. Answers with ways by which something earlier went to that account meanwhile.
    pub(crate) until: BoxFuture<'static, Vec<Way>>,
    /// To whom something of the same sender may be under way until then.
    pub(crate) account: BareJid,
    /// By which routes.
    pub(crate) ways: Vec<Way>,
    /// Whether the wait may be given up, because order is all that it is for.
    pub(crate) gives_way: bool,
}

impl Router {
    /// Routes a stanza of one sender by what the view shows. The sender's paths remember where its stanzas went.
    pub(crate) fn route(self: &Arc<Self>, paths: &mut Paths, outgoing: Outgoing) -> Routed {
        self.route_for(Asker::Sender, paths, outgoing)
    }

    /// Routes what stands in a row, whose paths are those of all that stood in it. Its sender held the route `own`.
    pub(super) fn route_in_row(
        self: &Arc<Self>,
        paths: &mut Paths,
        own: Option<RouteId>,
        outgoing: Outgoing,
    ) -> Routed {
        self.route_for(Asker::Row { own }, paths, outgoing)
    }

    fn route_for(self: &Arc<Self>, who: Asker, paths: &mut Paths, mut outgoing: Outgoing) -> Routed {
        let turn = *outgoing.turn.get_or_insert_with(|| self.next_turn());
        match next_step(&self.domain, &self.view, who, paths, &outgoing.stanza, outgoing.attempts) {
            Step::Done => {
                outgoing.ticket.into_iter().for_each(Ticket::done);
                Routed::Done
            }
            Step::Await { account, ways, at_most } => {
                Routed::Again(self.wait(who, ways.into_vec(), at_most, account, turn), Box::new(outgoing))
            }
            Step::Deliver { account, chosen } => self.deliver(account, &chosen, outgoing),
            Step::Store { account } => Routed::Store(account.clone(), self.store(account, outgoing)),
            Step::Bounce(error) => self.route_for(who, paths, Outgoing::new(*error, outgoing.ticket)),
        }
    }

    /// Routes a stanza and waits for what has to be waited for.
    pub(crate) async fn route_to_end(self: &Arc<Self>, paths: &mut Paths, mut outgoing: Outgoing) {
        loop {
            match self.route(paths, outgoing) {
                Routed::Done => return,
                Routed::Finish(_, rest) | Routed::Store(_, rest) => return rest.await,
                Routed::Again(wait, again) => {
                    paths.take_over(&wait.account, &wait.until.await);
                    outgoing = *again;
                }
            }
        }
    }

    /// Whether the view shows that this is for the session with that route.
    pub(crate) fn comes_to(&self, route: RouteId, stanza: &Stanza) -> bool {
        comes_to(&self.domain, &self.view, route, stanza)
    }

    /// Until the view moves on.
    pub(crate) fn view_moves(&self) -> Notified<'_> {
        self.moved.notified()
    }

    /// What the same session has said before to this account stands in a row: this waits there for its turn.
    pub(crate) fn route_behind(self: &Arc<Self>, account: BareJid, mut outgoing: Outgoing) -> Routed {
        let turn = *outgoing.turn.get_or_insert_with(|| self.next_turn());
        Routed::Again(self.wait(Asker::Sender, Vec::new(), None, account, turn), Box::new(outgoing))
    }

    /// Until nothing is under way on these, or for so long at most, and what comes back from them is decided.
    fn wait(
        self: &Arc<Self>,
        who: Asker,
        ways: Vec<Way>,
        at_most: Option<Duration>,
        account: BareJid,
        turn: Turn,
    ) -> Wait {
        let until: BoxFuture<'static, Vec<Way>> = match who {
            Asker::Sender => self.wait_for_turn(ways.clone(), at_most, account.clone(), turn),
            Asker::Row { .. } => {
                let (router, ways) = (self.clone(), ways.clone());
                Box::pin(async move {
                    router.clear(ways, at_most).await;
                    Vec::new()
                })
            }
        };
        Wait { until, account, ways, gives_way: at_most.is_some() }
    }

    fn deliver(self: &Arc<Self>, account: BareJid, chosen: &ChosenRoutes, outgoing: Outgoing) -> Routed {
        if let [route] = chosen.as_slice() {
            return match self.put(route, outgoing) {
                Put::Done => Routed::Done,
                Put::Waiting(rest) => Routed::Finish(account, rest),
                Put::Missed(missed) => Routed::Again(self.wait_for_view(account), missed),
            };
        }
        self.put_copies(account, chosen, outgoing)
    }

    /// Hands a copy to each. Only if no session was there to take one it is decided again.
    fn put_copies(self: &Arc<Self>, account: BareJid, chosen: &ChosenRoutes, outgoing: Outgoing) -> Routed {
        let Outgoing { stanza, ticket, attempts, name, turn } = outgoing;
        // A copy that comes back is for whoever is there then and has not got it.
        let name = name.or_else(|| may_go_elsewhere(&stanza).then(|| self.next_name()).flatten());
        let tickets = Ticket::split(ticket, chosen.len());
        let (mut missed, mut waiting) = (Vec::new(), Vec::new());
        for (route, ticket) in chosen.iter().zip(tickets) {
            match self.put(route, Outgoing { stanza: stanza.clone(), ticket, attempts, name, turn }) {
                Put::Done => {}
                Put::Waiting(rest) => waiting.push(rest),
                Put::Missed(copy) => missed.push(copy),
            }
        }
        let retried = if missed.len() == chosen.len() { missed.pop() } else { None };
        missed.into_iter().filter_map(|missed| missed.ticket).for_each(Ticket::done);
        match retried {
            Some(retried) => Routed::Again(self.wait_for_view(account), retried),
            None if waiting.is_empty() => Routed::Done,
            None => {
                let all = async move {
                    for rest in waiting {
                        rest.await;
                    }
                };
                Routed::Finish(account, Box::pin(all))
            }
        }
    }

    /// A name for what several sessions are given at once; none before the node has links.
    fn next_name(&self) -> Option<StanzaName> {
        let boot = self.mesh()?.identity().boot;
        let number = self.last_name.fetch_add(1, Ordering::Relaxed) + 1;
        Some(StanzaName { home: boot, owner: boot, number: Sequence(number) })
    }

    /// Hands the stanza to the session or to the lane of its member.
    fn put(self: &Arc<Self>, route: &Route, outgoing: Outgoing) -> Put {
        if route.member != self.member {
            return self.put_on_lane(route, outgoing);
        }
        let Some(session) = self.session(route.session) else { return Put::missed(outgoing) };
        let Outgoing { stanza, ticket, attempts, name, turn } = outgoing;
        let place = turn.unwrap_or_default();
        let home = match name.zip(self.mesh()) {
            Some((name, mesh)) if !mesh.takes(name, route.id) => {
                ticket.into_iter().for_each(Ticket::done);
                return Put::Done;
            }
            Some((name, _)) => Home::Named { name, turn: place },
            None => Home::Here { turn: place },
        };
        match session.deliver(Parcel { stanza, route: route.id, home }) {
            Ok(()) => {
                ticket.into_iter().for_each(Ticket::done);
                Put::Done
            }
            Err(parcel) => {
                if let Some((name, mesh)) = name.zip(self.mesh()) {
                    mesh.came_back(name, route.id);
                }
                Put::missed(Outgoing { stanza: parcel.stanza, ticket, attempts, name, turn })
            }
        }
    }

    fn put_on_lane(self: &Arc<Self>, route: &Route, outgoing: Outgoing) -> Put {
        let Some(lane) = self.lane(route.life()) else { return Put::missed(outgoing) };
        let Outgoing { stanza, ticket, attempts, name, turn } = outgoing;
        let turn = turn.unwrap_or_default();
        let request = ToLane::Parcel { origin: ticket, route: route.id, stanza, attempts, name, turn };
        match lane.try_send(request) {
            Ok(()) => Put::Done,
            Err(TrySendError::Closed(request)) => parcel_of(request).map_or(Put::Done, Put::missed),
            Err(TrySendError::Full(request)) => {
                let router = self.clone();
                Put::Waiting(Box::pin(async move {
                    if let Err(request) = lane.send(request).await
                        && let Some(mut outgoing) = parcel_of(request)
                    {
                        outgoing.attempts += 1;
                        router.view_has_moved().await;
                        router.push_returned(outgoing);
                    }
                }))
            }
        }
    }

    fn store(self: &Arc<Self>, account: BareJid, outgoing: Outgoing) -> BoxFuture<'static, ()> {
        let router = self.clone();
        Box::pin(async move {
            let name = account.node().expect("a recipient is an account").to_owned();
            sometimes!("a_message_is_stored");
            if planted!(OfflineNotStored) {
                return outgoing.ticket.into_iter().for_each(Ticket::done);
            }
            let quota = *lock(&router.offline_quota);
            let stored = loop {
                let (message, at) = (outgoing.stanza.clone(), router.time.wall());
                let stored = router.accounts.store_offline(name.clone(), message, at, quota, outgoing.name).await;
                match stored {
                    // Its sender was told that it is taken care of, and may be gone.
                    Err(StoreError::Busy | StoreError::Unavailable(_)) if outgoing.ticket.is_none() => {
                        sometimes!("an_acknowledged_message_waits_for_the_store");
                        tokio::time::sleep(STORE_AGAIN_AFTER).await;
                    }
                    stored => break stored,
                }
            };
            let condition = match stored {
                Ok(Stored::Kept) => {
                    outgoing.ticket.into_iter().for_each(Ticket::done);
                    // A resource that has come since it was decided to store does not know of the message.
                    router.nudge_account(&account).await;
                    return;
                }
                // The same as for an account that has no room, so that nobody learns which accounts exist.
                Ok(Stored::Full | Stored::NoSuchAccount) => ErrorCondition::ServiceUnavailable,
                Err(error) => {
                    tracing::warn!(%error, "a message could not be stored");
                    if planted!(StoreLossEndsSessions) {
                        router.send_away(None);
                    }
                    ErrorCondition::ResourceConstraint
                }
            };
            if let Some(error) = outgoing.stanza.bounce(condition, None) {
                let bounced = Outgoing::new(error, outgoing.ticket);
                router.route_to_end(&mut Paths::default(), bounced).await;
            }
        })
    }

    fn wait_for_view(self: &Arc<Self>, account: BareJid) -> Wait {
        let router = self.clone();
        let until = Box::pin(async move {
            router.view_has_moved().await;
            Vec::new()
        });
        Wait { until, account, ways: Vec::new(), gives_way: false }
    }

    /// Until the view moves on, or for a moment: what waits is decided again in any case, a bounded number of times.
    async fn view_has_moved(&self) {
        drop(timeout(MOVE_TIME_MAX, self.moved.notified()).await);
    }

    /// The account of this domain that the stanza is for, if it is for one.
    pub(crate) fn recipient(&self, stanza: &Stanza) -> Option<BareJid> {
        recipient(&self.domain, stanza)
    }
}

/// What became of one copy of a stanza.
enum Put {
    Done,
    /// The lane is full: the copy is on it when this is done.
    Waiting(BoxFuture<'static, ()>),
    /// The session or the member is gone, as the view will show.
    Missed(Box<Outgoing>),
}

impl Put {
    fn missed(outgoing: Outgoing) -> Put {
        Put::Missed(Box::new(Outgoing { attempts: outgoing.attempts + 1, ..outgoing }))
    }
}

fn parcel_of(request: ToLane<Ticket, Pass>) -> Option<Outgoing> {
    match request {
        ToLane::Parcel { origin, stanza, attempts, name, turn, .. } => {
            Some(Outgoing { stanza, ticket: origin, attempts, name, turn: Some(turn) })
        }
        ToLane::Nudge { .. } | ToLane::Pass { .. } => None,
    }
}
