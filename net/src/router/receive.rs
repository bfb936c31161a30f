//! What arrives from other members, and what becomes of it when the session is done with it.

use std::sync::Arc;

use cresset_core::cluster::{Route, RouteView};
use cresset_core::ids::RouteId;
use cresset_core::jid::BareJid;
use cresset_core::routing::{Arrival, Home, Leftover, Missed, Parcel, Redecide, Refused, StanzaName, claimant};
use futures_util::FutureExt;

use super::again::Pass;
use super::mailbox::{SessionHandle, ToSession};
use super::route::Outgoing;
use super::ticket::Ticket;
use super::{Router, lock};
use crate::links::{DataService, Peer, ToLane};
use crate::sync::{self, Fault};

impl DataService for Router {
    type Origin = Ticket;
    type Pass = Pass;

    fn deliver(&self, parcel: Parcel) -> Result<(), Box<Missed>> {
        // Nearly all find their session, and share the lock.
        let session = self.local().session(parcel.route).cloned();
        let arrival = match session {
            Some(session) => Arrival::Here(session, parcel),
            None if sync::has(Fault::EarlyInTwoSteps) => {
                self.local_mut().turned_away(parcel).map_or(Arrival::Early, Arrival::Missed)
            }
            // Looks again: the route may have been added in between.
            None => self.local_mut().deliver(parcel),
        };
        let missed = match arrival {
            Arrival::Here(session, parcel) => self.leave_with(&session, parcel),
            Arrival::Early => None,
            Arrival::Missed(missed) => Some(missed),
        };
        missed.map_or(Ok(()), |missed| Err(Box::new(missed)))
    }

    fn nudge(&self, route: RouteId) {
        let session = self.local().session(route).cloned();
        if let Some(session) = session {
            session.tell(ToSession::Nudge);
        }
    }

    fn inherit(&self, parcel: Parcel, name: Option<StanzaName>) {
        let turn = parcel.home.turn().unwrap_or_else(|| self.next_turn());
        self.push_returned(Outgoing { name, ..Outgoing::new(turn, parcel.stanza, None) });
    }

    fn handled(&self, ticket: Ticket) {
        ticket.done();
    }

    fn redecide(&self, peer: Peer, redecide: Redecide<Ticket>) {
        self.decide_again(peer, redecide);
    }

    fn refused(&self, refused: Refused<Ticket>) {
        match refused.answer(self.next_turn()) {
            Ok(error) => self.push_returned(error),
            Err(origin) => origin.done(),
        }
    }

    fn passed(&self, pass: Pass) {
        // What came back before this stands in its row by now. Nobody waits any more if the other end is gone.
        let _ = pass.send(());
    }
}

impl Router {
    fn leave_with(&self, session: &SessionHandle, parcel: Parcel) -> Option<Missed> {
        session.deliver(parcel).err().and_then(|parcel| self.local_mut().turned_away(*parcel))
    }

    /// From here on the session is found by its route.
    pub(super) fn publish(&self, route: &Route, session: Arc<SessionHandle>) {
        let mut local = self.local_mut();
        let early = local.route_added(route, Some(session.clone()));
        if sync::has(Fault::RouteBeforeParcels) {
            drop(local);
            local = self.local_mut();
        }
        // Before the lock is free: no other thread is to find the session by its route before it has these.
        let over = early.into_iter().filter_map(|parcel| session.deliver(parcel).err());
        let missed = over.filter_map(|parcel| local.turned_away(*parcel)).collect();
        drop(local);
        self.give_back(missed);
    }

    /// Gives back what came for sessions that are not here.
    pub(super) fn give_back(&self, missed: Vec<Missed>) {
        if !missed.is_empty()
            && let Some(mesh) = self.mesh()
        {
            crate::runtime::spawn(async move {
                for Missed { parcel, index } in missed {
                    mesh.give_back(parcel, index).await;
                }
            });
        }
    }

    /// Tells the home that a session is done with its parcel, if it can be told at once.
    ///
    /// # Errors
    ///
    /// It cannot: [`settle`](Router::settle) waits.
    pub(crate) fn try_settle(&self, session: &SessionHandle, home: Home) -> Result<(), Home> {
        let mut settle = std::pin::pin!(self.settle(session, home));
        settle.as_mut().now_or_never().ok_or(home)
    }

    /// Tells the home that a session is done with its parcel.
    pub(crate) async fn settle(&self, session: &SessionHandle, home: Home) {
        // The homes of what an earlier life of this node held have decided about it.
        if session.generation() == self.generation()
            && let Some(mesh) = self.mesh()
        {
            mesh.settle(home).await;
        }
    }

    /// A session is over, the view does not show that this should come to it, and it was not done with it.
    pub(crate) async fn take_back(&self, session: &SessionHandle, parcel: Parcel) {
        let (is_of_this_life, mesh) = (session.generation() == self.generation(), self.mesh());
        match (parcel.leftover(is_of_this_life, mesh.is_some()), mesh) {
            (Leftover::Nothing, _) => {}
            (Leftover::DecidedHere(name), mesh) => {
                if let Some((name, mesh)) = name.zip(mesh) {
                    mesh.came_back(name, parcel.route);
                }
                self.inherit(parcel, name);
            }
            (Leftover::GivenBack, Some(mesh)) => mesh.give_back(parcel, self.view.applied()).await,
            (Leftover::GivenBack, None) => unreachable!("it has links"),
        }
    }

    /// Tells one available resource that messages are stored for the account.
    pub(crate) async fn nudge_account(&self, account: &BareJid) {
        lock(&self.stored_alone).note(account);
        let routes = self.view.routes_of(account).unwrap_or_else(|| Arc::from([]));
        let Some(route) = claimant(&routes) else { return };
        if route.member == self.member {
            if let Some(session) = self.session(route.session) {
                session.tell(ToSession::Nudge);
            }
        } else if let Some(lane) = self.lane(route.life())
            && lane.send(ToLane::Nudge { route: route.id }).await.is_err()
        {
            tracing::debug!(route = %route.id, "the member died before it could be told of stored messages");
        }
    }
}
