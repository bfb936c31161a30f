//! Who waits to hear that a stanza is in other hands.
//!
//! A client that is never told of one stanza is told of none that follows, so a [`Ticket`] must not be forgotten. Code that
//! drops one without a word is wrong: the session is ended, so that its client comes again, and the program stops there if
//! it has its assertions.
//!
//! Not every drop is that. Nobody is to be told any more, and nothing happens, if
//!
//! * the session is over: it has closed its mailbox;
//! * the node is over: its runtime ends, or its process is killed in a simulation, and its tasks are dropped as they are,
//!   outside of their polls ([`is_working`]); or a task finds that the mesh or the router is gone, and says so
//!   ([`abandon`](crate::runtime::abandon));
//! * there is a panic already.

use std::sync::Arc;

use cresset_core::ids::Sequence;
use cresset_core::routing::Share;
use cresset_core::session::StreamErrorCondition;
use futures_util::FutureExt;

use super::Router;
use super::mailbox::{SessionHandle, ToSession};
use crate::links::Peer;
use crate::runtime::is_working;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, PoisonError};

/// Somebody who is told once that a stanza is taken care of: by [`done`](Ticket::done), never by dropping it.
///
/// # Panics
///
/// When it is dropped by a task at work, if the program has its assertions (see the module).
#[derive(Debug)]
pub struct Ticket {
    /// Absent once it was told.
    whom: Option<Whom>,
}

/// Who is told.
#[derive(Debug)]
enum Whom {
    /// A session of this node, whose client may be told of the stanza to which it has given that number.
    Session { session: Arc<SessionHandle>, number: Sequence },
    /// The owner that gave the parcel of that number back and keeps its copy until then. The router knows its link.
    Owner { router: Arc<Router>, peer: Peer, number: Sequence },
    /// Several copies of the stanza are under way; the last one to arrive tells.
    Shared(Arc<Shared>),
    /// Both of these.
    Both(Box<(Ticket, Ticket)>),
}

/// A ticket that waits for several copies.
#[derive(Debug)]
struct Shared {
    left: AtomicUsize,
    ticket: Mutex<Option<Ticket>>,
}

impl Ticket {
    /// That of a session of this node for its client's stanza of that number.
    pub fn of(session: Arc<SessionHandle>, number: Sequence) -> Ticket {
        Ticket::to(Whom::Session { session, number })
    }

    /// That of an owner that gave a parcel back.
    pub(super) fn confirming(router: Arc<Router>, peer: Peer, number: Sequence) -> Ticket {
        Ticket::to(Whom::Owner { router, peer, number })
    }

    /// Tells.
    pub fn done(mut self) {
        match self.whom.take().expect("it is told once") {
            // A session that is over has nobody to tell.
            Whom::Session { session, number } => drop(session.tell(ToSession::Handled(number))),
            Whom::Owner { router, peer, number } => {
                let Some(mesh) = router.mesh() else { return };
                let confirm = async move { mesh.confirm(peer, number).await };
                let mut confirm = Box::pin(confirm);
                if confirm.as_mut().now_or_never().is_none() {
                    crate::runtime::spawn(confirm);
                }
            }
            Whom::Shared(shared) => {
                if shared.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    let ticket = shared.ticket.lock().unwrap_or_else(PoisonError::into_inner).take();
                    ticket.into_iter().for_each(Ticket::done);
                }
            }
            Whom::Both(both) => {
                both.0.done();
                both.1.done();
            }
        }
    }

    pub(super) fn both(one: Option<Ticket>, other: Option<Ticket>) -> Option<Ticket> {
        match (one, other) {
            (Some(one), Some(other)) => Some(Ticket::to(Whom::Both(Box::new((one, other))))),
            (one, other) => one.or(other),
        }
    }

    fn to(whom: Whom) -> Ticket {
        Ticket { whom: Some(whom) }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(whom) = self.whom.take() else { return };
        if is_working() && !std::thread::panicking() {
            whom.forgotten();
        }
    }
}

impl Whom {
    /// Somebody who waits would wait for ever.
    fn forgotten(self) {
        match self {
            Whom::Session { session, number } => {
                let condition = StreamErrorCondition::InternalServerError;
                if session.tell(ToSession::Close { condition, other_host: None }) {
                    tracing::error!(session = %session.id, %number, "a stanza was forgotten; its session ends");
                    stop("a session is never told of a stanza");
                }
            }
            // The owner keeps its copy until this life is over. Confirming would be a lie.
            Whom::Owner { router, peer, number } => {
                if router.mesh().is_some() {
                    tracing::error!(member = %peer.member, %number, "a parcel that was given back was forgotten");
                    stop("an owner is never told of a parcel that it gave back");
                }
            }
            // Those that it has are dropped as well, and each sees to itself; shared ones with the last of their copies.
            Whom::Shared(_) | Whom::Both(_) => {}
        }
    }
}

impl Share for Ticket {
    fn share(self, copies: usize) -> Vec<Ticket> {
        let shared = Shared { left: AtomicUsize::new(copies), ticket: Mutex::new(Some(self)) };
        let shared = Arc::new(shared);
        (0..copies).map(|_| Ticket::to(Whom::Shared(shared.clone()))).collect()
    }
}

/// In production one client has suffered, and the node goes on for the others; a test has to fail.
fn stop(why: &str) {
    if cfg!(debug_assertions) {
        panic!("{why}");
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;

    use cresset_core::ids::SessionId;

    use super::*;
    use crate::runtime::{abandon, polled};

    fn session() -> Arc<SessionHandle> {
        Arc::new(SessionHandle::new(SessionId(1), 0))
    }

    fn ticket(session: &Arc<SessionHandle>) -> Ticket {
        Ticket::of(session.clone(), Sequence(1))
    }

    #[tokio::test]
    #[should_panic(expected = "a session is never told of a stanza")]
    async fn a_forgotten_ticket_is_a_panic() {
        let session = session();

        polled(async { drop(ticket(&session)) }).await;
    }

    /// The client comes again, and is asked what it has heard of.
    #[tokio::test]
    async fn a_session_of_which_a_ticket_is_forgotten_ends() {
        let session = session();

        let forgets = polled(async { drop(ticket(&session)) });
        AssertUnwindSafe(forgets).catch_unwind().await.expect_err("it is told here as well");

        let (events, _) = session.take_or_close().expect("something waits");
        assert!(matches!(events.front(), Some(ToSession::Close { .. })), "{events:?}");
    }

    #[tokio::test]
    #[should_panic(expected = "a session is never told of a stanza")]
    async fn a_ticket_of_which_one_copy_is_forgotten_is_a_panic() {
        let session = session();
        let copies = Ticket::both(Some(ticket(&session)), None).expect("one").share(2);

        polled(async {
            let mut copies = copies.into_iter();
            copies.next().into_iter().for_each(Ticket::done);
            drop(copies);
        })
        .await;
    }

    #[tokio::test]
    async fn a_ticket_is_told_once_when_all_its_copies_are() {
        let session = session();
        let told = || session.take_or_close().map(|(events, _)| events.len());

        polled(async {
            let both = Ticket::both(Some(ticket(&session)), Some(ticket(&session))).expect("two");
            let mut copies = both.share(2).into_iter();
            copies.next().expect("two").done();
            copies.next().expect("two").done();
        })
        .await;

        assert_eq!((told(), told()), (Some(2), None));
    }

    /// A session that says its farewell does not wait for what others have of it.
    #[tokio::test]
    async fn a_ticket_of_a_session_that_is_over_may_be_dropped() {
        let session = session();
        assert!(session.take_or_close().is_none());

        polled(async { drop(ticket(&session)) }).await;
    }

    /// The runtime of a node that stops or is killed drops its tasks in any order, sessions after what waits for them.
    #[tokio::test]
    async fn a_ticket_may_go_with_its_node() {
        let session = session();
        let (dropped, given_up) = (ticket(&session), ticket(&session));

        let mut task = polled(async move {
            let _dropped = dropped;
            std::future::pending::<()>().await;
        });
        assert!((&mut task).now_or_never().is_none());
        drop(task);
        polled(async move { abandon(given_up) }).await;

        assert!(session.take_or_close().is_none(), "it is told nothing");
    }
}
