//! A session that goes on while its node leaves a cluster or joins one: it holds its JID by another route then. Between
//! the two nothing is read from the client or written to it: another session may hold its JID already.
//!
//! ```text
//! hold: paused, what was delivered is settled with other members ─▶ the route ends ─▶ bound again: moved ─▶ unpaused
//! ```
//!
//! What other members had handed over and was not delivered they decide about again, because the route has ended. What
//! was claimed in the store stays claimed by the former route, by which it is forgotten when it has arrived.

use crate::ids::RouteId;
use crate::session::announce::Next;
use crate::session::state::Claim;
use crate::session::{Order, Session};
use crate::sometimes;

impl Session {
    /// Nothing is delivered any more, and what was is answered for here.
    pub(super) fn hold(&mut self) {
        self.paused = true;
        let Some(bound) = self.bound.as_mut() else { return };
        for home in bound.deliveries.adopt_written() {
            self.output.order(Order::Settle(home));
        }
    }

    /// Goes on by another route.
    pub(super) fn continue_moved(&mut self, route: RouteId) {
        let Some(bound) = self.bound.as_mut() else { return };
        sometimes!("a_session_moves_to_another_route");
        bound.former_route = Some(bound.route);
        bound.route = route;
        // What was not settled in time is decided about by its home as well.
        drop(bound.deliveries.adopt_written());
        bound.deliveries.leave_to_members();
        self.earlier.forget_who_waits();
        let next = bound.presence.is_some().then_some(Next::BroadcastAgain);
        let announcement = bound.announcer.begin_again(next);
        // An answer that has come may be claimed by somebody else by now.
        let has_answer = self.offline_answer.take().is_some();
        bound.claim = match bound.claim {
            Claim::Asked | Claim::AskedTooEarly | Claim::AskedBefore if !has_answer => Claim::AskedBefore,
            Claim::Idle if !bound.announcer.wanted().accepts_messages() => Claim::Idle,
            Claim::Idle | Claim::Planned | Claim::Asked | Claim::AskedTooEarly | Claim::AskedBefore => Claim::Planned,
        };
        self.order_announcement(announcement);
        self.do_what_is_announced();
    }
}
