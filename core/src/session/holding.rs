//! What a session has of the agreed state: the route by which its JID is held.
//!
//! ```text
//!  Nothing ──asks──▶ Asked ──bound──▶ Held ──ended──▶ Ended
//!                      │ refused       │ ▲  └─leaves─▶ Released ──ended──▶ Ended
//!                      ▼               │ │ bound
//!                   Nothing     moves  ▼ │
//!                                   Moves ──asks again──▶ AskedAgain
//!                                      ▲── not serving ──┘
//! ```
//!
//! A bind that is under way cannot be called back: a session that is over waits for its answer, and gives the route back.

use crate::ids::RouteId;
use crate::jid::FullJid;
use crate::node::BindRefusal;
use crate::session::facts::Bound;
use crate::sometimes;

/// What a session has of the agreed state.
#[derive(PartialEq, Eq, Debug, Default)]
pub(super) enum Holding {
    /// No route, and it waits for none.
    #[default]
    Nothing,
    /// A bind was asked for and not answered.
    Asked(FullJid),
    /// This route.
    Held(RouteId),
    /// The life of the node in which it had a route is over, and it has to ask for one in the next.
    Moves(FullJid),
    /// It has asked for one.
    AskedAgain(FullJid),
    /// It is over and has asked for the end of its route.
    Released(RouteId),
    /// Its route has ended.
    Ended(RouteId),
}

/// What follows from the answer to a bind.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Answered {
    /// The client is to be told.
    Bound(Bound),
    /// The client is to be told that it does not get the JID.
    Refused(BindRefusal),
    /// The session goes on in the next life of its node, with this route.
    Moved(RouteId),
    /// The session does not get its JID again: it is to end.
    Lost,
    /// Nothing.
    Nothing,
}

/// What follows when the life of the node is over in which a session is.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Moved {
    /// It does nothing until it has its JID again, for which it [asks again](Holding::asks_again).
    Pauses,
    /// Its bind was agreed on and is not answered any more: it goes on without.
    BindLost,
    /// It goes on in the next life.
    GoesOn,
    /// Nothing: it waits already, or is about to end.
    Nothing,
}

/// What a session that is over has to do about its route.
#[derive(PartialEq, Eq, Debug)]
pub enum Leaving {
    /// Nothing more. This was its last route.
    Done(Option<RouteId>),
    /// It asks for the end of this one, and waits.
    Unbind(RouteId),
    /// It waits: for the answer to its bind, or for the end of its route.
    Waits,
}

impl Holding {
    /// The route, if it has one that has not ended.
    pub(super) fn route(&self) -> Option<RouteId> {
        match self {
            Holding::Held(route) | Holding::Released(route) => Some(*route),
            Holding::Nothing | Holding::Asked(_) | Holding::Moves(_) | Holding::AskedAgain(_) | Holding::Ended(_) => {
                None
            }
        }
    }

    /// Whether it has to ask for its JID in another life of the node.
    pub(super) fn has_to_ask(&self) -> bool {
        matches!(self, Holding::Moves(_))
    }

    /// Whether it has to ask, or waits for the answer.
    pub(super) fn is_between_lives(&self) -> bool {
        matches!(self, Holding::Moves(_) | Holding::AskedAgain(_))
    }

    /// It asks for its JID.
    pub(super) fn asks(&mut self, jid: FullJid) {
        *self = Holding::Asked(jid);
    }

    /// The JID for which it is to ask, if it needs its route and has not asked.
    pub(super) fn asks_again(&mut self) -> Option<FullJid> {
        let Holding::Moves(jid) = self else { return None };
        let jid = jid.clone();
        *self = Holding::AskedAgain(jid.clone());
        Some(jid)
    }

    /// Its bind is answered.
    pub(super) fn answered(&mut self, answer: Result<RouteId, BindRefusal>) -> Answered {
        match (std::mem::take(self), answer) {
            (Holding::Asked(jid), Ok(route)) => {
                *self = Holding::Held(route);
                Answered::Bound(Bound { jid, route })
            }
            (Holding::AskedAgain(_), Ok(route)) => {
                *self = Holding::Held(route);
                Answered::Moved(route)
            }
            (Holding::AskedAgain(jid), Err(BindRefusal::NotServing)) => {
                *self = Holding::Moves(jid);
                Answered::Nothing
            }
            (Holding::AskedAgain(_), Err(BindRefusal::TooManySessions)) => Answered::Lost,
            (Holding::Asked(_), Err(refusal)) => Answered::Refused(refusal),
            // The route has ended meanwhile, and there is nothing to be told but that.
            (other, _) => {
                *self = other;
                Answered::Nothing
            }
        }
    }

    /// This route, which it had or was about to have, has ended.
    pub(super) fn ended(&mut self, route: RouteId) {
        *self = Holding::Ended(route);
    }

    /// The life of the node is over in which it had its route, and the session goes on with that JID. `ended` is its route,
    /// if its bind was agreed on.
    pub(super) fn moves(&mut self, jid: Option<&FullJid>, ended: Option<RouteId>) -> Moved {
        match (&self, ended) {
            (Holding::Held(_), _) | (Holding::AskedAgain(_), Some(_)) => {
                if let Some(jid) = jid {
                    *self = Holding::Moves(jid.clone());
                }
                Moved::Pauses
            }
            // Its answer waited for others to know, and does not come any more.
            (Holding::Asked(_), Some(_)) => {
                sometimes!("a_node_moves_before_a_bind_is_answered");
                *self = Holding::Nothing;
                Moved::BindLost
            }
            (Holding::Nothing | Holding::Asked(_), _) => Moved::GoesOn,
            (Holding::Moves(_) | Holding::AskedAgain(_) | Holding::Released(_) | Holding::Ended(_), _) => {
                Moved::Nothing
            }
        }
    }

    /// As [`moves`](Holding::moves), of a session that is over.
    pub(super) fn moves_at_the_end(&mut self, ended: Option<RouteId>) {
        let ended = match self {
            Holding::Held(route) | Holding::Released(route) => Some(*route),
            Holding::Asked(_) | Holding::AskedAgain(_) => ended,
            Holding::Nothing | Holding::Moves(_) | Holding::Ended(_) => None,
        };
        if let Some(route) = ended {
            *self = Holding::Ended(route);
        }
    }

    /// The session is over: what it has to do until it is done.
    pub(super) fn leaves(&mut self) -> Leaving {
        match self {
            Holding::Nothing | Holding::Moves(_) => Leaving::Done(None),
            Holding::Ended(route) => Leaving::Done(Some(*route)),
            Holding::Asked(_) | Holding::AskedAgain(_) | Holding::Released(_) => Leaving::Waits,
            Holding::Held(route) => {
                let route = *route;
                *self = Holding::Released(route);
                Leaving::Unbind(route)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::LogIndex;

    #[test]
    fn a_session_that_is_over_waits_for_its_bind_and_gives_the_route_back() {
        let mut holding = Holding::default();
        holding.asks(jid());

        assert_eq!(holding.leaves(), Leaving::Waits);
        holding.answered(Ok(route(1)));
        assert_eq!(holding.leaves(), Leaving::Unbind(route(1)));
        assert_eq!(holding.leaves(), Leaving::Waits, "once is enough");
        holding.ended(route(1));
        assert_eq!(holding.leaves(), Leaving::Done(Some(route(1))));
    }

    #[test]
    fn a_session_asks_for_its_jid_in_the_next_life_until_it_is_served() {
        let mut holding = Holding::Held(route(1));

        assert_eq!(holding.moves(Some(&jid()), Some(route(1))), Moved::Pauses);
        assert_eq!(holding.asks_again(), Some(jid()));
        assert_eq!(holding.asks_again(), None, "it has asked");
        assert_eq!(holding.answered(Err(BindRefusal::NotServing)), Answered::Nothing);
        assert_eq!(holding.asks_again(), Some(jid()));
        assert_eq!(holding.answered(Ok(route(2))), Answered::Moved(route(2)));
    }

    #[test]
    fn a_session_that_does_not_get_its_jid_again_ends() {
        let mut holding = Holding::AskedAgain(jid());

        assert_eq!(holding.answered(Err(BindRefusal::TooManySessions)), Answered::Lost);
        assert_eq!(holding.leaves(), Leaving::Done(None));
    }

    #[test]
    fn a_bind_whose_answer_does_not_come_any_more_is_lost() {
        let mut holding = Holding::Asked(jid());

        assert_eq!(holding.moves(None, None), Moved::GoesOn, "it is not agreed on yet");
        assert_eq!(holding.moves(None, Some(route(1))), Moved::BindLost);
        assert_eq!(holding.answered(Ok(route(1))), Answered::Nothing);
    }

    #[test]
    fn the_route_of_a_session_that_is_over_ends_with_the_life_of_its_node() {
        for mut holding in [Holding::Held(route(1)), Holding::Released(route(1)), Holding::Asked(jid())] {
            holding.moves_at_the_end(Some(route(1)));
            assert_eq!(holding.leaves(), Leaving::Done(Some(route(1))));
        }
    }

    fn jid() -> FullJid {
        "juliet@capulet.example/balcony".parse().unwrap()
    }

    fn route(number: u64) -> RouteId {
        RouteId { index: LogIndex(number), position: 0 }
    }
}
