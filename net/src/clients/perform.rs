//! Carries the orders of a session out.

use std::sync::Arc;

use cresset_core::cluster::{Route, RouteView};
use cresset_core::jid::Jid;
use cresset_core::node::Request;
use cresset_core::routing::{ChosenRoutes, Home, interested};
use cresset_core::session::Order;
use cresset_core::stanza::Stanza;

use super::Attach;
use super::close::close;
use super::connection::{Connection, Stop, Transport};
use super::errands::Errand;
use super::work::Saying;
use crate::router::{SessionHandle, Ticket};

impl Connection {
    /// Carries out what the session has ordered, in order. What follows the order to resume another session is that one's
    /// business.
    pub(super) fn obey(&mut self) {
        if let Some(Stop::Resumes { .. }) = self.stop {
            return;
        }
        while let Some(order) = self.session.poll_output() {
            match order {
                Order::Send(bytes) => {
                    if matches!(self.transport, Transport::Open(_)) {
                        self.outbound.push(bytes);
                    }
                }
                Order::StartTls => self.starts_tls = true,
                Order::Close => self.close_transport(),
                Order::Discard { is_negotiating } => self.discard_outbound(is_negotiating),
                Order::LookUpCredentials { account, draw } => {
                    self.errands.push_back(Errand::LookUp { account, draw });
                }
                Order::ReportLogin(report) => {
                    let now = self.now();
                    if let Some(attempt) = self.attempt.take() {
                        attempt.end(now, &report);
                    }
                    self.settings.tries.tell(now, self.origin.address(), &report);
                }
                Order::DeriveKeys(derivation) => self.errands.push_back(Errand::Derive(derivation)),
                Order::Bind { jid } => {
                    self.stranger = None;
                    if let Some(admitted) = &mut self.admitted {
                        admitted.is_known();
                    }
                    self.request(Request::Bind { session: self.handle.id, jid });
                }
                Order::GoesOn => {
                    let generation = self.settings.router.generation();
                    self.handle.goes_on_in(generation);
                    self.settings.router.has_moved(&self.handle);
                    self.work.goes_on_in(generation);
                }
                Order::Holds { route } => self.work.set_own(route),
                Order::Announce { presence, revision } => {
                    if let Some(route) = self.session.held_route() {
                        self.request(Request::Announce { session: self.handle.id, route, presence, revision });
                    }
                }
                Order::Route { number, stanza } => {
                    let session = || self.handle.clone();
                    let ticket = number.map(|number| Ticket::of(session(), number));
                    let outgoing = self.settings.router.outgoing(stanza, ticket);
                    self.say(Saying::Stanza(outgoing));
                }
                Order::Settle(home) => self.settle(home),
                Order::Return(parcel) => self.returned.push(*parcel),
                Order::Roster(order) => {
                    if let Some(account) = self.session.account().cloned() {
                        self.errands.push_back(Errand::Roster { account, order });
                    }
                }
                Order::PushRoster(push) => self.push_roster(&push),
                Order::ClaimOffline { route } => {
                    if let Some(account) = self.session.account().cloned() {
                        self.errands.push_back(Errand::Claim { account, route });
                    }
                }
                Order::LookForStored { jid } => self.errands.push_back(Errand::Look { jid }),
                Order::Resumable { id } => {
                    if let Some(account) = self.session.account().cloned() {
                        self.settings.router.may_be_resumed(id.clone(), account, self.handle.clone());
                        self.resumption = Some(id);
                    }
                }
                Order::Resume { id, account, handled } => match self.settings.router.resumable(&id, &account) {
                    Some(session) => {
                        self.stop.get_or_insert(Stop::Resumes { session, handled });
                        return;
                    }
                    None => {
                        let now = self.now();
                        self.session.handle_resume_failed(now);
                    }
                },
                // What comes to a session that is over goes back all the same.
                Order::End => {
                    self.stop.get_or_insert(Stop::Over);
                }
            }
        }
    }

    /// Gives the transport, and what the client sent behind its request, to the session that it resumes.
    pub(super) async fn hand_over(mut self: Box<Self>, session: Arc<SessionHandle>, handled: u32) {
        let transport = std::mem::replace(&mut self.transport, Transport::None);
        if let (Transport::Open(transport), Some(mut admitted)) = (transport, self.admitted.take()) {
            admitted.is_known();
            let outbound = std::mem::take(&mut self.outbound);
            let Connection { session: own, .. } = *self;
            let remaining = own.into_remaining();
            let attach = Attach { transport, outbound, admitted, handled, remaining };
            if let Err(attach) = session.attach(Box::new(attach)) {
                // It has ended this very moment. The client finds out and begins anew.
                close(attach.transport, attach.outbound, Some(attach.admitted));
            }
        }
        while self.handle.take_or_close().is_some() {}
        self.settings.router.leave(&self.handle, None);
    }

    /// Sees the transport off, whatever becomes of the session.
    pub(super) fn close_transport(&mut self) {
        let outbound = std::mem::take(&mut self.outbound);
        let admitted = self.admitted.take();
        match std::mem::replace(&mut self.transport, Transport::None) {
            Transport::Open(transport) => close(transport, outbound, admitted),
            Transport::Handshake(_) | Transport::None => {}
        }
    }

    fn say(&mut self, saying: Saying) {
        self.work.push(&self.settings.router, saying);
    }

    fn request(&mut self, request: Request) {
        self.say(Saying::Request(request));
    }

    pub(super) fn settle(&mut self, home: Home) {
        match home {
            Home::Here { .. } | Home::Named { .. } => {}
            Home::Offline { key, claimant } => self.arrived.push((claimant, key)),
            Home::Member { .. } => {
                if let Err(home) = self.settings.router.try_settle(&self.handle, home) {
                    self.unsettled.push_back(home);
                }
            }
        }
    }

    /// Tells the other resources of the account.
    fn push_roster(&mut self, push: &Stanza) {
        let Some(account) = self.session.account() else { return };
        let Some(routes) = self.settings.router.view().routes_of(account) else { return };
        // The session itself may be over by now, and its route is not.
        let is_other = |route: &Arc<Route>| self.session.held_route() != Some(route.id);
        let others: ChosenRoutes = interested(&routes).into_iter().filter(is_other).collect();
        for route in others {
            let to = Some(Jid::from(route.jid.clone()));
            let push = self.settings.router.outgoing(Stanza { to, ..push.clone() }, None);
            self.say(Saying::Stanza(push));
        }
    }
}
