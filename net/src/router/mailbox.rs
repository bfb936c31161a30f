//! What waits for one session of this node.
//!
//! Stanzas and events wait apart, because a client that does not read holds up the former and must not hold up the
//! latter (that its route has ended, that the node pauses). Nothing is allocated while nothing waits.
//!
//! A mailbox is closed by its own session, in the same step in which it is found empty: so what was accepted is always
//! dealt with, and who comes too late is told so and decides again.
//!
//! Bounds: beyond [`SESSION_QUEUE_STANZAS_MAX`] or [`SESSION_QUEUE_BYTES_MAX`] the session is told once to end; what
//! comes until its route is gone is accepted and routed again. Events are few: one for each thing that the session
//! asked for, and one for each change of the cluster.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use cresset_core::cluster::Removal;
use cresset_core::ids::{RouteId, Sequence, SessionId};
use cresset_core::limits::{SESSION_QUEUE_BYTES_MAX, SESSION_QUEUE_STANZAS_MAX};
use cresset_core::node::{Answer, Service};
use cresset_core::routing::Parcel;
use cresset_core::session::{RoutesGone, StreamErrorCondition};
use cresset_core::{planted, sometimes};
use tokio::sync::{mpsc, oneshot};

use crate::clients::Attach;
use crate::witness::{self, Fact};

/// What a parcel costs beside its payload, roughly.
const PARCEL_BYTES: usize = 256;

/// An event for one session.
#[derive(Debug)]
pub enum ToSession {
    /// The control plane answers.
    Answer(Answer),
    /// The stanza with this number is taken care of.
    Handled(Sequence),
    /// Routes ended with their member.
    RoutesGone(Arc<RoutesGone>),
    /// Messages are stored for the account.
    Nudge,
    /// How clients are treated from now on.
    Service(Service),
    /// The session's route is not in the agreed state any more.
    RouteEnded {
        /// Which.
        route: RouteId,
        /// Why.
        reason: Removal,
    },
    /// The session has to end.
    Close {
        /// What the client is told.
        condition: StreamErrorCondition,
        /// Where it may go.
        other_host: Option<Arc<str>>,
    },
    /// More waits than may wait.
    Overflow,
    /// A client resumes this session on another transport.
    Attach(Box<Attach>),
    /// The route is about to end with the node's life, and the session is to go on: it holds what it has. The other end
    /// waits until the guard is dropped.
    Hold(mpsc::Sender<()>),
    /// The life of the node in which the session had its route is over, and the session goes on in the next one.
    Moves {
        /// The route that it had, if the bind was agreed on.
        ended: Option<RouteId>,
    },
    /// Answer when everything that came before was acknowledged or routed again.
    Pass(oneshot::Sender<()>),
}

/// One session as the rest of the node sees it.
#[derive(Debug)]
pub struct SessionHandle {
    /// Its id.
    pub id: SessionId,
    generation: AtomicU64,
    revoked: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    events: VecDeque<ToSession>,
    parcels: VecDeque<Parcel>,
    parcel_bytes: usize,
    overflowed: bool,
    closed: bool,
    waker: Option<Waker>,
}

impl SessionHandle {
    pub(super) fn new(id: SessionId, generation: u64) -> Self {
        let generation = AtomicU64::new(generation);
        SessionHandle { id, generation, revoked: AtomicBool::new(false), inner: Mutex::default() }
    }

    /// The life of the node in which the session began or has gone on; what it holds of an earlier one belongs to others.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The session goes on in that life of the node.
    pub(crate) fn goes_on_in(&self, generation: u64) {
        self.generation.store(generation, Ordering::Release);
    }

    /// Leaves an event; answers whether the session is still there to take it.
    pub fn tell(&self, event: ToSession) -> bool {
        let mut inner = self.lock();
        if inner.closed {
            return false;
        }
        inner.events.push_back(event);
        wake(inner);
        true
    }

    /// Leaves a stanza.
    ///
    /// # Errors
    ///
    /// Gives it back if the session is over.
    pub fn deliver(&self, parcel: Parcel) -> Result<(), Box<Parcel>> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(Box::new(parcel));
        }
        inner.parcel_bytes += size_of_parcel(&parcel);
        inner.parcels.push_back(parcel);
        let full = inner.parcels.len() > SESSION_QUEUE_STANZAS_MAX || inner.parcel_bytes > SESSION_QUEUE_BYTES_MAX;
        if full && !inner.overflowed && !planted!(MailboxUnbounded) {
            sometimes!("a_mailbox_overflows");
            inner.overflowed = true;
            inner.events.push_back(ToSession::Overflow);
        }
        if full && !inner.overflowed {
            witness::tell(|| Fact::Overfull { session: self.id });
        }
        wake(inner);
        Ok(())
    }

    /// The route is given to somebody else: from this moment on the session writes nothing that is not its farewell.
    pub fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
    }

    /// Whether [`revoke`](SessionHandle::revoke) was called.
    pub fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire)
    }

    /// Whether no stanza waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().parcels.is_empty()
    }

    /// All events, and stanzas until they have so many bytes: none if that is zero. For the session's own task only.
    pub(crate) fn poll_take(&self, context: &Context<'_>, bytes: usize) -> Poll<(VecDeque<ToSession>, Vec<Parcel>)> {
        let mut inner = self.lock();
        if inner.events.is_empty() && (bytes == 0 || inner.parcels.is_empty()) {
            inner.register(context.waker());
            return Poll::Pending;
        }
        let events = std::mem::take(&mut inner.events);
        let (mut parcels, mut taken) = (Vec::new(), 0);
        while taken < bytes
            && let Some(parcel) = inner.parcels.pop_front()
        {
            taken += size_of_parcel(&parcel);
            parcels.push(parcel);
        }
        inner.parcel_bytes -= taken;
        if inner.parcels.is_empty() {
            inner.parcels = VecDeque::new();
        }
        Poll::Ready((events, parcels))
    }

    /// Hands a transport over on which the session's client resumes it.
    ///
    /// # Errors
    ///
    /// Gives it back if the session is over.
    pub(crate) fn attach(&self, attach: Box<Attach>) -> Result<(), Box<Attach>> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(attach);
        }
        inner.events.push_back(ToSession::Attach(attach));
        wake(inner);
        Ok(())
    }

    /// Everything that waits; if that is nothing, the mailbox is closed. For the session's own task only.
    pub(crate) fn take_or_close(&self) -> Option<(VecDeque<ToSession>, Vec<Parcel>)> {
        let mut inner = self.lock();
        if inner.events.is_empty() && inner.parcels.is_empty() {
            inner.closed = true;
            inner.waker = None;
            return None;
        }
        inner.parcel_bytes = 0;
        Some((std::mem::take(&mut inner.events), std::mem::take(&mut inner.parcels).into()))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that runs under the lock can panic half-way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn register(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
    }
}

/// Wakes the session after the lock is free, so that it does not run into it.
fn wake(mut inner: MutexGuard<'_, Inner>) {
    let waker = inner.waker.take();
    drop(inner);
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn size_of_parcel(parcel: &Parcel) -> usize {
    parcel.stanza.payload.len() + PARCEL_BYTES
}
