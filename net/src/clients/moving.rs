//! A client that stays connected while its node leaves a cluster or joins one: its session asks for its JID again.
//!
//! Between the two routes nothing is read from the client or written to it: another session may hold its JID already.

use cresset_core::ids::RouteId;
use cresset_core::node::{Request, Service};
use cresset_core::session::{BindRefusal, Moved};
use cresset_core::time::Uptime;

use super::connection::Connection;
use super::work::Saying;

impl Connection {
    /// The life of the node in which the session had its route is over. `ended` is that route, if the bind was agreed on.
    pub(super) fn handle_moves(&mut self, now: Uptime, ended: Option<RouteId>) {
        match self.holding.moves(self.session.jid(), ended) {
            Moved::Pauses => {
                self.session.handle_pause(now);
                if self.settings.router.gate().service() == Service::Serve {
                    self.ask_again();
                }
            }
            Moved::BindLost => {
                self.goes_on();
                self.session.handle_bound(now, Err(BindRefusal::Unavailable));
            }
            Moved::GoesOn => self.goes_on(),
            Moved::Nothing => {}
        }
    }

    /// The node serves: so does the session, if it has its route.
    pub(super) fn handle_serve(&mut self, now: Uptime) {
        if self.holding.is_between_lives() {
            self.ask_again();
        } else {
            self.session.handle_unpause(now);
        }
    }

    /// Asks for a route, if the session needs one and has not asked.
    pub(super) fn ask_again(&mut self) {
        if let Some(jid) = self.holding.asks_again() {
            let request = Request::Bind { session: self.handle.id, jid };
            self.work.push(&self.settings.router, Saying::Request(request));
        }
    }

    /// The session holds its JID again.
    pub(super) fn handle_moved(&mut self, now: Uptime, route: RouteId) {
        self.goes_on();
        self.work.set_own(route);
        self.session.handle_moved(now, route);
        if self.settings.router.gate().service() == Service::Serve {
            self.session.handle_unpause(now);
        }
    }

    fn goes_on(&mut self) {
        let generation = self.settings.router.generation();
        self.handle.goes_on_in(generation);
        self.work.goes_on_in(generation);
    }
}
