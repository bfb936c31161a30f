//! The next step of a stanza: where it goes by what a view shows, or what it has to wait for first.
//!
//! ```text
//! stanza ──▶ said for somebody who was replaced? ──▶ under way on an ended route? ──▶ the table ──▶ somebody logs out?
//!                 │ nothing                              │ wait                         │              │ wait
//!                 ▼                                      ▼                              ▼              ▼
//!               Done                                   Await                  Deliver | Store | Bounce | Done
//! ```
//!
//! Whoever asks carries the step out. After a wait, and after a stanza has come back, he asks again. The invariant: what
//! one sender says to one account goes by [`Paths`] that know every route on which something earlier may be under way.
//!
//! It keeps nothing: what waits stands with its sender, or in a [`Row`](super::row::Row).

use std::time::Duration;

use smallvec::SmallVec;

use crate::cluster::RouteView;
use crate::ids::RouteId;
use crate::jid::{BareJid, DomainPart};
use crate::limits::{ABANDONED_WAY_WAIT_MAX, REROUTES_MAX};
use crate::routing::decide::{ChosenRoutes, Decision, account_for, decide, is_stale_farewell, may_go_elsewhere};
use crate::routing::paths::{Paths, Way};
use crate::sometimes;
use crate::stanza::{ErrorCondition, Kind, PresenceType, Recipient, Stanza};

/// Who asks, and so whose the paths are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asker {
    /// The session that has said it.
    Sender,
    /// A [`Row`](super::row::Row), for a session that held this route.
    Row {
        /// The route; absent if it is not known any more, or the server itself has said it.
        own: Option<RouteId>,
    },
}

/// What is to be done about a stanza.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Nothing: it counts as handled.
    Done,
    /// It waits until nothing is under way on these routes and, if a sender asks, until what is earlier to the same account
    /// is decided. Then the next step is asked for. Nothing of the same sender to the account goes before it.
    Await {
        /// For whom it is.
        account: BareJid,
        /// The routes. The paths have forgotten them.
        ways: SmallVec<[Way; 1]>,
        /// The wait for the routes is given up after this time: whoever holds them may keep others waiting.
        at_most: Option<Duration>,
    },
    /// A session of this account goes on in the present life of the node and is about to hold its JID again: the next step
    /// is asked for when the view has moved on.
    AwaitMove {
        /// For whom it is.
        account: BareJid,
    },
    /// A copy goes to each of these; never none.
    Deliver {
        /// Whose routes they are.
        account: BareJid,
        /// The routes, which the paths know from here on.
        chosen: ChosenRoutes,
    },
    /// It is stored for this account.
    Store {
        /// Which.
        account: BareJid,
    },
    /// This error goes in its place, by the same paths. The sender is to have it before the stanza counts as handled.
    Bounce(Box<Stanza>),
}

/// Decides by the view about a stanza that came back so many times.
pub(super) fn next_step(
    domain: &DomainPart,
    view: &impl RouteView,
    asker: Asker,
    paths: &mut Paths,
    stanza: &Stanza,
    came_back: u8,
) -> Step {
    let own = match asker {
        Asker::Sender => paths.own(),
        Asker::Row { own } => own,
    };
    if is_said_for_another(view, own, stanza) {
        sometimes!("who_was_replaced_is_silent");
        return Step::Done;
    }
    let Some(recipient) = Recipient::of(domain, stanza) else { return Step::Done };
    let account = account_for(recipient, stanza);
    if let Some(account) = account.as_ref().filter(|account| view.is_moving(account)) {
        sometimes!("a_stanza_waits_for_who_is_about_to_hold_his_jid_again");
        return Step::AwaitMove { account: account.clone() };
    }
    let routes = account.as_ref().and_then(|account| view.routes_of(account));
    let routes = routes.as_deref();
    if let Some(account) = &account {
        let ways = paths.ended(account, routes);
        if !ways.is_empty() {
            sometimes!("a_sender_waits_for_an_ended_path");
            return Step::Await { account: account.clone(), ways, at_most: None };
        }
    }
    let decision = decide(recipient, routes, stanza);
    if let (Asker::Sender, Some(account), Some(routes)) = (asker, &account, routes) {
        let ways = paths.abandoned(account, routes, decision.chosen());
        if !ways.is_empty() {
            sometimes!("a_sender_waits_for_whoever_logs_out");
            return Step::Await { account: account.clone(), ways, at_most: Some(ABANDONED_WAY_WAIT_MAX) };
        }
    }
    match (decision, account) {
        (Decision::Deliver(_), Some(_)) if came_back > REROUTES_MAX => {
            sometimes!("a_stanza_comes_back_too_often");
            bounce(stanza, ErrorCondition::RecipientUnavailable)
        }
        (Decision::Deliver(chosen), Some(account)) => {
            let is_fleeting = !may_go_elsewhere(stanza);
            chosen.iter().for_each(|route| paths.take(&account, route, is_fleeting));
            Step::Deliver { account, chosen }
        }
        (Decision::Store, Some(account)) => Step::Store { account },
        (Decision::Bounce(condition), _) => bounce(stanza, condition),
        // Nothing is delivered to, or stored for, what is no account.
        (Decision::Drop | Decision::Deliver(_) | Decision::Store, _) => Step::Done,
    }
}

/// Whether the view shows that this is for the session with that route.
pub fn comes_to(domain: &DomainPart, view: &impl RouteView, route: RouteId, stanza: &Stanza) -> bool {
    let Some(recipient) = Recipient::of(domain, stanza) else { return false };
    let Some(account) = account_for(recipient, stanza) else { return false };
    let routes = view.routes_of(&account);
    decide(recipient, routes.as_deref(), stanza).chosen().iter().any(|chosen| chosen.id == route)
}

/// Only a farewell needs a second look at the view.
fn is_said_for_another(view: &impl RouteView, own: Option<RouteId>, stanza: &Stanza) -> bool {
    if stanza.kind != Kind::Presence(PresenceType::Unavailable) {
        return false;
    }
    let account = stanza.from.as_ref().map(|from| from.to_bare());
    let routes = account.and_then(|account| view.routes_of(&account));
    is_stale_farewell(routes.as_deref(), own, stanza)
}

/// The error of an error is nothing.
fn bounce(stanza: &Stanza, condition: ErrorCondition) -> Step {
    stanza.bounce(condition, None).map_or(Step::Done, |error| Step::Bounce(Box::new(error)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::cluster::{AccountRoutes, Route};
    use crate::routing::tests::shown::{Shown, domain, id, juliet, message, route};
    use crate::stanza::MessageType;

    #[test]
    fn a_message_goes_by_a_route_that_the_paths_know_from_then_on() {
        let (balcony, mut paths) = (route(1, Some(0)), Paths::default());

        let step = next(&[&balcony], Asker::Sender, &mut paths, &message(), 0);

        assert_eq!(step, Step::Deliver { account: juliet(), chosen: ChosenRoutes::from_elem(balcony, 1) });
        assert_eq!(paths.hand_over(&juliet()).len(), 1);
    }

    /// P4.
    #[test]
    fn what_follows_waits_for_a_route_that_has_ended_and_is_stored_then() {
        let mut paths = Paths::default();
        next(&[&route(1, Some(0))], Asker::Sender, &mut paths, &message(), 0);

        let step = next(&[], Asker::Sender, &mut paths, &message(), 0);

        assert!(matches!(step, Step::Await { at_most: None, ways, .. } if ways[0].route == id(1)));
        assert_eq!(next(&[], Asker::Sender, &mut paths, &message(), 0), Step::Store { account: juliet() });
    }

    /// O7: somebody who stays connected and acknowledges nothing keeps nobody waiting for longer.
    #[test]
    fn a_sender_waits_for_a_while_for_who_logs_out_and_a_row_does_not() {
        let leaves = route(1, None);
        for (asker, is_awaited) in [(Asker::Sender, true), (Asker::Row { own: None }, false)] {
            let mut paths = Paths::default();
            next(&[&route(1, Some(0))], Asker::Sender, &mut paths, &message(), 0);

            let step = next(&[&leaves], asker, &mut paths, &message(), 0);

            let is_await = matches!(&step, Step::Await { at_most: Some(ABANDONED_WAY_WAIT_MAX), .. });
            assert_eq!(is_await, is_awaited, "{step:?}");
        }
    }

    /// P2. An error of the life before would be for nobody.
    #[test]
    fn nothing_is_decided_about_somebody_who_is_about_to_hold_his_jid_again() {
        let to = Some(route(1, None).jid.clone().into());
        let error = Stanza { kind: Kind::Message(MessageType::Error), to, ..message() };
        let step =
            |view: &Moving| next_step(&domain(), view, Asker::Row { own: None }, &mut Paths::of_row(), &error, 0);

        assert_eq!(step(&Moving(true)), Step::AwaitMove { account: juliet() });
        assert_eq!(step(&Moving(false)), Step::Done);
    }

    #[test]
    fn what_comes_back_too_often_becomes_an_error() {
        let balcony = route(1, Some(0));
        let step = |came_back| next(&[&balcony], Asker::Sender, &mut Paths::default(), &message(), came_back);

        assert!(matches!(step(REROUTES_MAX), Step::Deliver { .. }));
        assert!(
            matches!(step(REROUTES_MAX + 1), Step::Bounce(error) if error.kind == Kind::Message(MessageType::Error))
        );
    }

    #[test]
    fn the_error_of_an_error_is_nothing() {
        let balcony = route(1, Some(0));
        let error =
            Stanza { kind: Kind::Message(MessageType::Error), to: Some(balcony.jid.clone().into()), ..message() };

        let step = next(&[&balcony], Asker::Sender, &mut Paths::default(), &error, REROUTES_MAX + 1);

        assert_eq!(step, Step::Done);
    }

    #[test]
    fn a_session_that_was_replaced_does_not_say_farewell_for_the_new_one() {
        let (replaced, present) = (id(1), route(2, Some(0)));
        let farewell = Stanza {
            from: Some(present.jid.clone().into()),
            ..Stanza { kind: Kind::Presence(PresenceType::Unavailable), ..message() }
        };
        let step = |own| next(&[&present], Asker::Row { own: Some(own) }, &mut Paths::of_row(), &farewell, 0);

        assert_eq!(step(replaced), Step::Done);
        assert!(matches!(step(present.id), Step::Deliver { .. }));
    }

    #[test]
    fn what_is_for_a_session_comes_to_it_while_the_view_shows_so() {
        let (domain, here, away) = (domain(), route(1, Some(0)), route(1, None));
        let comes = |route: &Arc<Route>| comes_to(&domain, &Shown(vec![route.clone()]), id(1), &message());

        assert!(comes(&here));
        assert!(!comes(&away), "it would be stored");
        assert!(!comes_to(&domain, &Shown(vec![here]), id(2), &message()));
    }

    /// Shows no routes, and whether a session is about to hold one.
    struct Moving(bool);

    impl RouteView for Moving {
        fn routes_of(&self, _account: &BareJid) -> Option<AccountRoutes> {
            None
        }

        fn is_moving(&self, _account: &BareJid) -> bool {
            self.0
        }
    }

    fn next(routes: &[&Arc<Route>], asker: Asker, paths: &mut Paths, stanza: &Stanza, came_back: u8) -> Step {
        let view = Shown(routes.iter().map(|route| (*route).clone()).collect());
        next_step(&domain(), &view, asker, paths, stanza, came_back)
    }
}
