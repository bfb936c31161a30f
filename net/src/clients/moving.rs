//! A client that stays connected while its node leaves a cluster or joins one: its session asks for its JID again.
//!
//! Between the two routes nothing is read from the client or written to it: another session may hold its JID already.

use cresset_core::ids::RouteId;
use cresset_core::node::{BindRefusal, Request, Service};
use cresset_core::session::{BindRefusal as SessionBindRefusal, StreamErrorCondition};
use cresset_core::sometimes;
use cresset_core::time::Uptime;

use super::connection::{Connection, Holding};
use super::work::Saying;

impl Connection {
    /// The life of the node in which the session had its route is over. `ended` is that route, if the bind was agreed on.
    pub(super) fn handle_moves(&mut self, now: Uptime, ended: Option<RouteId>) {
        match (&self.holding, ended) {
            (Holding::Route(_), _) | (Holding::AskedAgain(_), Some(_)) => {
                self.session.handle_pause(now);
                if let Some(jid) = self.session.jid().cloned() {
                    self.holding = Holding::Moves(jid);
                }
                if self.settings.router.gate().service() == Service::Serve {
                    self.ask_again();
                }
            }
            // Its answer waited for others to know, and does not come any more.
            (Holding::Asked(_), Some(_)) => {
                sometimes!("a_node_moves_before_a_bind_is_answered");
                self.holding = Holding::Nothing;
                self.goes_on();
                self.session.handle_bound(now, Err(SessionBindRefusal::Unavailable));
            }
            (Holding::Nothing | Holding::Asked(_), _) => self.goes_on(),
            (Holding::Moves(_) | Holding::AskedAgain(_) | Holding::Ended(_), _) => {}
        }
    }

    /// The node serves: so does the session, if it has its route.
    pub(super) fn handle_serve(&mut self, now: Uptime) {
        match self.holding {
            Holding::Moves(_) => self.ask_again(),
            Holding::AskedAgain(_) => {}
            Holding::Nothing | Holding::Asked(_) | Holding::Route(_) | Holding::Ended(_) => {
                self.session.handle_unpause(now);
            }
        }
    }

    /// Asks for a route, if the session needs one and has not asked.
    pub(super) fn ask_again(&mut self) {
        if let Holding::Moves(jid) = &self.holding {
            let (jid, session) = (jid.clone(), self.handle.id);
            self.holding = Holding::AskedAgain(jid.clone());
            let request = Request::Bind { session, jid };
            self.work.push(&self.settings.router, Saying::Request(request));
        }
    }

    /// The session holds its JID again.
    pub(super) fn handle_moved(&mut self, now: Uptime, route: RouteId) {
        self.holding = Holding::Route(route);
        self.goes_on();
        self.work.set_own(route);
        self.session.handle_moved(now, route);
        if self.settings.router.gate().service() == Service::Serve {
            self.session.handle_unpause(now);
        }
    }

    /// The session does not get its JID: not yet, or not at all.
    pub(super) fn handle_refused_again(&mut self, now: Uptime, refusal: BindRefusal) {
        let Holding::AskedAgain(jid) = &self.holding else { return };
        let condition = match refusal {
            BindRefusal::NotServing => {
                self.holding = Holding::Moves(jid.clone());
                return;
            }
            BindRefusal::TooManySessions => StreamErrorCondition::ResourceConstraint,
        };
        self.holding = Holding::Nothing;
        self.discard_outbound(now);
        self.session.handle_close(now, condition, None);
    }

    fn goes_on(&mut self) {
        let generation = self.settings.router.generation();
        self.handle.goes_on_in(generation);
        self.work.goes_on_in(generation);
    }
}
