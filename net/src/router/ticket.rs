//! Who waits to hear that a stanza is in other hands.

use std::sync::Arc;

use cresset_core::ids::Sequence;
use cresset_core::routing::Share;
use futures_util::FutureExt;

use super::Router;
use super::mailbox::{SessionHandle, ToSession};
use crate::links::Peer;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, PoisonError};

/// Somebody who is told once that a stanza is taken care of: by [`done`](Ticket::done), never by dropping it.
#[derive(Debug)]
pub enum Ticket {
    /// A session of this node, whose client may be told.
    Session {
        /// Which.
        session: Arc<SessionHandle>,
        /// The client's count of the stanza.
        number: Sequence,
    },
    /// The owner that gave a parcel back and keeps its copy until then.
    Confirm {
        /// Whose link can tell it.
        router: Arc<Router>,
        /// The owner.
        peer: Peer,
        /// Its number there.
        number: Sequence,
    },
    /// Several copies of the stanza are under way; the last one to arrive tells.
    Shared(Arc<Shared>),
    /// Both of these.
    Both(Box<(Ticket, Ticket)>),
}

/// A ticket that waits for several copies.
#[derive(Debug)]
pub struct Shared {
    left: AtomicUsize,
    ticket: Mutex<Option<Ticket>>,
}

impl Ticket {
    /// Tells.
    pub fn done(self) {
        match self {
            // A session that is over has nobody to tell.
            Ticket::Session { session, number } => drop(session.tell(ToSession::Handled(number))),
            Ticket::Confirm { router, peer, number } => {
                let Some(mesh) = router.mesh() else { return };
                let confirm = async move { mesh.confirm(peer, number).await };
                let mut confirm = Box::pin(confirm);
                if confirm.as_mut().now_or_never().is_none() {
                    crate::runtime::spawn(confirm);
                }
            }
            Ticket::Shared(shared) => {
                if shared.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    let ticket = shared.ticket.lock().unwrap_or_else(PoisonError::into_inner).take();
                    ticket.into_iter().for_each(Ticket::done);
                }
            }
            Ticket::Both(both) => {
                both.0.done();
                both.1.done();
            }
        }
    }

    pub(super) fn both(one: Option<Ticket>, other: Option<Ticket>) -> Option<Ticket> {
        match (one, other) {
            (Some(one), Some(other)) => Some(Ticket::Both(Box::new((one, other)))),
            (one, other) => one.or(other),
        }
    }
}

impl Share for Ticket {
    fn share(self, copies: usize) -> Vec<Ticket> {
        let shared = Shared { left: AtomicUsize::new(copies), ticket: Mutex::new(Some(self)) };
        let shared = Arc::new(shared);
        (0..copies).map(|_| Ticket::Shared(shared.clone())).collect()
    }
}
