//! The hands of the machines that decide about stanzas: mailboxes, lanes and the store.
//!
//! Senders and rows ask for one errand after the other. What can be done at once is done here; the rest is
//! under way, and reports.

use std::sync::Arc;

use cresset_core::cluster::Route;
use cresset_core::ids::{RouteId, Sequence};
use cresset_core::jid::BareJid;
use cresset_core::routing::{
    Awaited, ChosenRoutes, Errand, Home, Parcel, Report, Sight, StanzaName, WaitId, Way, comes_to,
};
use cresset_core::stanza::Stanza;
use cresset_core::{planted, sometimes};
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use tokio::sync::futures::Notified;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout;

use super::again::Pass;
use super::ticket::Ticket;
use super::{Router, View, lock};
use crate::accounts::{Stored, store_answer};
use crate::links::ToLane;
use crate::sync::atomic::Ordering;

/// A stanza that somebody has to answer for.
pub(crate) type Outgoing = cresset_core::routing::Outgoing<Ticket>;

/// What is left of an errand that could not be done at once.
pub(crate) type Rest = BoxFuture<'static, Report<Ticket>>;

/// Several of these.
pub(crate) type UnderWay = FuturesUnordered<Rest>;

impl Router {
    /// What this node sees at the moment.
    pub(crate) fn sight(&self) -> Sight<'_, View> {
        Sight { domain: &self.domain, view: &self.view, generation: self.generation() }
    }

    /// A stanza of a client, and who waits to hear of it.
    pub(crate) fn outgoing(&self, stanza: Stanza, ticket: Option<Ticket>) -> Outgoing {
        Outgoing::new(self.next_turn(), stanza, ticket)
    }

    /// Does this. Answers with what is to be reported at once; the rest, if it is given to `later`, reports when it is done.
    pub(crate) fn carry_out(
        self: &Arc<Self>,
        errand: Errand<Ticket>,
        later: impl FnOnce(Rest),
    ) -> Option<Report<Ticket>> {
        match errand {
            Errand::Handled(ticket) => ticket.done(),
            Errand::Deliver { wait, chosen, outgoing } => return self.deliver(wait, &chosen, outgoing, later),
            Errand::Store { wait, outgoing } => {
                let router = self.clone();
                later(Box::pin(async move { router.store(wait, outgoing).await }));
            }
            Errand::Await { wait, what } => {
                let router = self.clone();
                later(Box::pin(async move {
                    let ways = router.wait_for(&wait.account, what).await;
                    Report::Over { wait, ways }
                }));
            }
        }
        None
    }

    /// Whether the view shows that this is for the session with that route.
    pub(crate) fn comes_to(&self, route: RouteId, stanza: &Stanza) -> bool {
        comes_to(&self.domain, &self.view, route, stanza)
    }

    /// Until the view moves on.
    pub(crate) fn view_moves(&self) -> Notified<'_> {
        self.moved.notified()
    }

    async fn wait_for(self: &Arc<Self>, account: &BareJid, what: Awaited) -> Vec<Way> {
        match what {
            Awaited::Clear { ways, at_most } => self.clear(ways, at_most).await,
            Awaited::Turn { ways, at_most, turn } => {
                return self.wait_for_turn(ways, at_most, account.clone(), turn).await;
            }
            Awaited::View(at_most) => drop(timeout(at_most, self.moved.notified()).await),
            Awaited::Time(time) => tokio::time::sleep(time).await,
            Awaited::Nudge => self.nudge_account(account).await,
        }
        Vec::new()
    }

    fn deliver(
        self: &Arc<Self>,
        wait: WaitId,
        chosen: &ChosenRoutes,
        outgoing: Outgoing,
        later: impl FnOnce(Rest),
    ) -> Option<Report<Ticket>> {
        let bytes = outgoing.stanza.weight();
        let (mut missed, mut waiting) = (Vec::new(), Vec::new());
        for (route, copy) in chosen.iter().zip(outgoing.copies(chosen.len(), || self.next_name())) {
            match self.put(route, copy) {
                Put::Done => {}
                Put::Waiting(rest) => waiting.push(rest),
                Put::Missed(copy) => missed.push(*copy),
            }
        }
        let (again, of_others) = Outgoing::left_of(chosen.len(), missed);
        of_others.for_each(Ticket::done);
        if let Some(outgoing) = again {
            return Some(Report::Missed { wait, outgoing });
        }
        if waiting.is_empty() {
            return None;
        }
        let full = wait.clone();
        later(Box::pin(async move {
            let missed = join_all(waiting).await.into_iter().flatten().collect();
            Report::Sent { wait, missed }
        }));
        Some(Report::Full { wait: full, bytes })
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
        let home = match name.zip(self.mesh()) {
            Some((name, mesh)) if !mesh.gives(name, route.id) => {
                ticket.into_iter().for_each(Ticket::done);
                return Put::Done;
            }
            Some((name, _)) => Home::Named { name, turn },
            None => Home::Here { turn },
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
        let request = ToLane::Parcel { origin: ticket, route: route.id, stanza, attempts, name, turn };
        match lane.try_send(request) {
            Ok(()) => Put::Done,
            Err(TrySendError::Closed(request)) => parcel_of(request).map_or(Put::Done, Put::missed),
            Err(TrySendError::Full(request)) => {
                Put::Waiting(Box::pin(async move { lane.send(request).await.err().and_then(parcel_of) }))
            }
        }
    }

    async fn store(self: &Arc<Self>, wait: WaitId, outgoing: Outgoing) -> Report<Ticket> {
        let name = wait.account.node().expect("a recipient is an account").to_owned();
        sometimes!("a_message_is_stored");
        let quota = *lock(&self.offline_quota);
        let (message, at) = (outgoing.stanza.clone(), self.time.wall());
        let stored = if planted!(OfflineNotStored) {
            Ok(Stored::Kept)
        } else {
            self.offline.store_offline(name, message, at, quota, outgoing.name).await
        };
        if let Err(error) = &stored {
            tracing::warn!(%error, "a message could not be stored");
            if planted!(StoreLossEndsSessions) {
                self.send_away(None);
            }
        }
        Report::Stored { wait, outgoing, answer: store_answer(&stored) }
    }
}

/// What became of one copy of a stanza.
enum Put {
    Done,
    /// The lane is full: the copy is on it when this is done, unless it comes back.
    Waiting(BoxFuture<'static, Option<Outgoing>>),
    /// The session or the member is gone, as the view will show.
    Missed(Box<Outgoing>),
}

impl Put {
    fn missed(outgoing: Outgoing) -> Put {
        Put::Missed(Box::new(outgoing))
    }
}

fn parcel_of(request: ToLane<Ticket, Pass>) -> Option<Outgoing> {
    match request {
        ToLane::Parcel { origin, stanza, attempts, name, turn, .. } => {
            Some(Outgoing { stanza, ticket: origin, attempts, name, turn })
        }
        ToLane::Nudge { .. } | ToLane::Pass { .. } => None,
    }
}
