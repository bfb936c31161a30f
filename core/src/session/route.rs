//! A session and the agreed state: what it is told of its bind, of its route and of its node, while it lives and when it
//! is over.
//!
//! A session that is over is told the same, until its route is gone ([`Session::leaves`]). It orders nothing any more.

use crate::cluster::Removal;
use crate::ids::{RouteId, SessionId};
use crate::node::{Answer, BindRefusal, Request, Service};
use crate::session::announce::Announcement;
use crate::session::holding::{Answered, Moved};
use crate::session::{Leaving, Order, Session, StreamErrorCondition};
use crate::time::Uptime;
use crate::{planted, sometimes};

impl Session {
    /// Whether the node serves at the moment, as far as the control plane has said, and whether the session may deliver:
    /// not if the lease has ended, or if somebody else may hold the JID.
    pub fn set_gate(&mut self, serves: bool, may_deliver: bool) {
        (self.serves, self.may_deliver) = (serves, may_deliver);
    }

    /// Answers [`Order::Bind`] or [`Order::Announce`].
    pub fn handle_answer(&mut self, now: Uptime, answer: Answer) {
        match answer {
            Answer::Announced { revision } => self.handle_announced(revision),
            Answer::Bound { route } => self.handle_bind_answered(now, Ok(route)),
            Answer::Refused(refusal) => self.handle_bind_answered(now, Err(refusal)),
        }
    }

    /// The route of the session has ended.
    pub fn handle_route_ended(&mut self, now: Uptime, route: RouteId, reason: Removal) {
        self.holding.ended(route);
        match reason {
            Removal::Replaced { .. } => self.handle_close(now, StreamErrorCondition::Conflict, None),
            // What the client is told comes with the end of the node's life.
            Removal::MemberEnded => {
                if !planted!(FarewellOfTheExpelled) {
                    self.forget_who_has_seen_it();
                }
                self.discard();
            }
            Removal::Unbound => {}
        }
    }

    /// How the node treats its clients from now on. [`Service::Close`] comes with
    /// [`handle_close`](Session::handle_close).
    pub fn handle_service(&mut self, now: Uptime, service: Service) {
        match service {
            Service::Serve if self.holding.is_between_lives() => self.ask_again(),
            Service::Serve => self.handle_unpause(now),
            Service::Pause | Service::Close => self.handle_pause(now),
        }
    }

    /// The life of the node in which the session had its route is over, and the session goes on in the next. `ended` is
    /// that route, if its bind was agreed on.
    pub fn handle_moves(&mut self, now: Uptime, ended: Option<RouteId>) {
        if self.is_over() {
            self.holding.moves_at_the_end(ended);
            return;
        }
        let jid = self.bound.as_ref().map(|bound| &bound.jid);
        match self.holding.moves(jid, ended) {
            Moved::Pauses => {
                self.handle_pause(now);
                if self.serves {
                    self.ask_again();
                }
            }
            Moved::BindLost => {
                self.output.order(Order::GoesOn);
                self.continue_bind(now, Err(BindRefusal::NotServing));
                self.read(now);
            }
            Moved::GoesOn => self.output.order(Order::GoesOn),
            Moved::Nothing => {}
        }
    }

    /// Asks for the JID in this life of the node, if the session [has to](Session::has_to_ask). Only while the node
    /// serves.
    pub fn ask_again(&mut self) {
        if let Some(jid) = self.holding.asks_again() {
            self.output.order(Order::Bind { jid });
        }
    }

    /// Whether the session needs a route in this life of the node and has not asked for it.
    pub fn has_to_ask(&self) -> bool {
        self.holding.has_to_ask()
    }

    /// The route by which it holds its JID, if it has one that has not ended.
    pub fn held_route(&self) -> Option<RouteId> {
        self.holding.route()
    }

    /// The session is over: what it has to do about its route until it is done.
    pub fn leaves(&mut self) -> Leaving {
        self.holding.leaves()
    }

    /// The session is over: what does not come by this route any more, by the view, may go back before the route has
    /// ended. A view in which the last presence of the session is not shown says nothing of that.
    pub fn gives_back_early(&self) -> Option<RouteId> {
        self.holding.route().filter(|_| self.last_presence.as_ref().is_some_and(|last| last.is_settled()))
    }

    /// The session is over, and its route cannot end yet, because something that it has begun waits for the account store:
    /// what has to be agreed on so that nobody is sent to it any more. To be asked whenever something has happened.
    pub fn retreats(&mut self, session: SessionId) -> Option<Request> {
        let route = self.holding.route()?;
        let Announcement { presence, revision } = self.last_presence.as_mut()?.retreat()?;
        sometimes!("a_session_that_is_over_retreats");
        Some(Request::Announce { session, route, presence, revision })
    }

    fn handle_bind_answered(&mut self, now: Uptime, answer: Result<RouteId, BindRefusal>) {
        let answered = self.holding.answered(answer);
        if self.is_over() {
            return;
        }
        match answered {
            Answered::Bound(bound) => {
                self.output.order(Order::Holds { route: bound.route });
                self.continue_bind(now, Ok(bound));
                self.read(now);
            }
            Answered::Refused(refusal) => {
                self.continue_bind(now, Err(refusal));
                self.read(now);
            }
            Answered::Moved(route) => {
                self.output.order(Order::GoesOn);
                self.output.order(Order::Holds { route });
                self.continue_moved(route);
                if self.serves {
                    self.handle_unpause(now);
                }
            }
            Answered::Lost => self.handle_close(now, StreamErrorCondition::ResourceConstraint, None),
            Answered::Nothing => {}
        }
    }

    /// The others have ended this life of the node: whoever has seen the client was told so, and may see it elsewhere by
    /// now.
    fn forget_who_has_seen_it(&mut self) {
        if let Some(bound) = self.bound.as_mut() {
            bound.presence = None;
            bound.directed.take();
        }
    }

    /// A session that may not deliver says nothing but its farewell.
    pub(super) fn discard_what_may_not_be_delivered(&mut self) {
        if !self.may_deliver && self.bound.is_some() {
            sometimes!("a_session_ends_while_it_may_not_deliver");
            self.discard();
        }
    }

    /// Somebody else may be delivering to the client by now: what it has not been sent it is not sent any more.
    pub(super) fn discard(&mut self) {
        if !self.is_over() && !planted!(LastWordsUnchecked) {
            let is_negotiating = self.bound.is_none();
            if !is_negotiating {
                self.output.drop_bytes();
            }
            self.output.order(Order::Discard { is_negotiating });
        }
    }
}
