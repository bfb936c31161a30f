//! What arrives from other members, and what becomes of it when the session is done with it.

use std::sync::Arc;

use cresset_core::cluster::RouteView;
use cresset_core::ids::RouteId;
use cresset_core::jid::BareJid;
use cresset_core::routing::{Home, Parcel, Redecide, Refused, StanzaName, claimant, may_go_elsewhere};
use cresset_core::sometimes;
use cresset_core::stanza::ErrorCondition;
use futures_util::FutureExt;

use super::again::Pass;
use super::mailbox::{SessionHandle, ToSession};
use super::route::Outgoing;
use super::ticket::Ticket;
use super::{Router, lock};
use crate::links::{DataService, Missed, Peer, ToLane};

impl DataService for Router {
    type Origin = Ticket;
    type Pass = Pass;

    fn deliver(&self, parcel: Parcel) -> Result<(), Box<Missed>> {
        let session = self.by_route.pin().get(&parcel.route).cloned();
        let parcel = match session {
            Some(session) => match session.deliver(parcel) {
                Ok(()) => return Ok(()),
                Err(parcel) => *parcel,
            },
            None => parcel,
        };
        let mut early = lock(&self.early);
        let index = self.view.applied();
        if parcel.route.index > index {
            // The sender has seen more of the log than this node.
            sometimes!("a_parcel_comes_before_its_route");
            match early.push(parcel) {
                Ok(()) => return Ok(()),
                Err(parcel) => return Err(Box::new(Missed { parcel: *parcel, index })),
            }
        }
        sometimes!("a_parcel_misses_its_session");
        Err(Box::new(Missed { parcel, index }))
    }

    fn nudge(&self, route: RouteId) {
        if let Some(session) = self.by_route.pin().get(&route) {
            session.tell(ToSession::Nudge);
        }
    }

    fn inherit(&self, parcel: Parcel, name: Option<StanzaName>) {
        let turn = match parcel.home {
            Home::Here { turn } | Home::Named { turn, .. } => Some(turn),
            Home::Member { .. } | Home::Offline { .. } => None,
        };
        self.push_returned(Outgoing { name, turn, ..Outgoing::accepted(parcel.stanza) });
    }

    fn handled(&self, ticket: Ticket) {
        ticket.done();
    }

    fn redecide(&self, peer: Peer, redecide: Redecide<Ticket>) {
        self.decide_again(peer, redecide);
    }

    fn refused(&self, refused: Refused<Ticket>) {
        // The sender is to have the error before the stanza counts as handled.
        match refused.stanza.bounce(ErrorCondition::ResourceConstraint, Some("too much is under way to this account")) {
            Some(error) => self.push_returned(Outgoing::new(error, Some(refused.origin))),
            None => refused.origin.done(),
        }
    }

    fn passed(&self, pass: Pass) {
        // What came back before this stands in its row by now. Nobody waits any more if the other end is gone.
        let _ = pass.send(());
    }
}

impl Router {
    /// Delivers what came before this node knew the route for which it is.
    pub(super) fn deliver_early(&self) {
        let early = lock(&self.early).take();
        for parcel in early {
            if let Err(missed) = self.deliver(parcel)
                && let Some(mesh) = self.mesh()
            {
                crate::runtime::spawn(async move { mesh.give_back(missed.parcel, missed.index).await });
            }
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
        match parcel.home {
            Home::Here { .. } | Home::Named { .. } if !may_go_elsewhere(&parcel.stanza) => {}
            Home::Named { name, .. } => {
                if let Some(mesh) = self.mesh() {
                    mesh.came_back(name, parcel.route);
                }
                self.inherit(parcel, Some(name));
            }
            Home::Here { .. } => self.inherit(parcel, None),
            // Still stored: whoever claims next gets it.
            Home::Offline { .. } => {}
            Home::Member { .. } if session.generation() != self.generation() => {}
            Home::Member { .. } => match self.mesh() {
                Some(mesh) => mesh.give_back(parcel, self.view.applied()).await,
                None => self.inherit(parcel, None),
            },
        }
    }

    /// Tells one available resource that messages are stored for the account.
    pub(crate) async fn nudge_account(&self, account: &BareJid) {
        self.note_stored(account);
        let routes = self.view.routes_of(account).unwrap_or_else(|| Arc::from([]));
        let Some(route) = claimant(&routes) else { return };
        if route.member == self.member {
            if let Some(session) = self.session(route.session) {
                session.tell(ToSession::Nudge);
            }
        } else if let Some(lane) = self.lane(&route)
            && lane.send(ToLane::Nudge { route: route.id }).await.is_err()
        {
            tracing::debug!(route = %route.id, "the member died before it could be told of stored messages");
        }
    }
}
