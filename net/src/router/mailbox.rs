//! What waits for one session of this node.
//!
//! Stanzas and events wait apart, because a client that does not read holds up the former and must not hold up the
//! latter (that its route has ended, that the node pauses). One event is behind the stanzas: that a stanza of the client is
//! taken care of, because an error in its place may wait here. Nothing is allocated while nothing waits.
//!
//! A mailbox is closed by its own session, in the same step in which it is found empty: so what was accepted is always
//! dealt with, and who comes too late is told so and decides again.
//!
//! Bounds: beyond [`SESSION_QUEUE_STANZAS_MAX`] or [`SESSION_QUEUE_BYTES_MAX`], to which what the session keeps for its
//! client counts too, and beyond what the other sessions of its account leave of [`ACCOUNT_QUEUE_BYTES_MAX`] the session
//! is told once to end; what comes until its route is gone is accepted and routed again. Events are few: one for each
//! thing that the session asked for, and one for each change of the cluster.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use cresset_core::cluster::Removal;
use cresset_core::ids::{RouteId, Sequence, SessionId};
use cresset_core::jid::BareJid;
use cresset_core::limits::{ACCOUNT_QUEUE_BYTES_MAX, SESSION_QUEUE_BYTES_MAX, SESSION_QUEUE_STANZAS_MAX};
use cresset_core::node::{Answer, Service};
use cresset_core::routing::Parcel;
use cresset_core::session::{Lost, StreamErrorCondition};
use cresset_core::{planted, sometimes};
use tokio::sync::{mpsc, oneshot};

use crate::clients::Attach;
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{self, Fault, Mutex, MutexGuard, PoisonError};
use crate::witness::{self, Fact};

/// An event for one session.
#[derive(Debug)]
pub enum ToSession {
    /// The control plane answers.
    Answer(Answer),
    /// The stanza with this number is taken care of.
    Handled(Sequence),
    /// Sessions ended with their member.
    Lost(Lost),
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

const STAYS: u8 = 0;
const MOVES: u8 = 1;
const OVER: u8 = 2;

/// One session as the rest of the node sees it.
#[derive(Debug)]
pub struct SessionHandle {
    /// Its id.
    pub id: SessionId,
    generation: AtomicU64,
    revoked: AtomicBool,
    moving: AtomicU8,
    /// What waits for all sessions of the account; absent until this one is bound.
    account: OnceLock<Arc<AccountQueue>>,
    inner: Mutex<Inner>,
}

/// The weight of what waits on this node for the clients of one account.
#[derive(Debug)]
pub(super) struct AccountQueue {
    pub(super) account: BareJid,
    bytes: AtomicUsize,
}

impl AccountQueue {
    pub(super) fn new(account: BareJid) -> Self {
        AccountQueue { account, bytes: AtomicUsize::new(0) }
    }
}

#[derive(Debug, Default)]
struct Inner {
    events: VecDeque<ToSession>,
    parcels: VecDeque<Parcel>,
    /// Their weight.
    parcel_bytes: usize,
    /// The weight of what the session itself keeps for its client.
    kept_bytes: usize,
    /// How much of these two is counted for the account.
    counted: usize,
    overflowed: bool,
    closed: bool,
    waker: Option<Waker>,
    /// Whether the session is to be woken for what is taken care of.
    awaits_handled: bool,
}

impl SessionHandle {
    pub(super) fn new(id: SessionId, generation: u64) -> Self {
        let generation = AtomicU64::new(generation);
        let (account, inner) = (OnceLock::new(), Mutex::default());
        SessionHandle { id, generation, revoked: AtomicBool::new(false), moving: AtomicU8::new(STAYS), account, inner }
    }

    /// The life of the node in which the session began or has gone on; what it holds of an earlier one belongs to others.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The session goes on in that life of the node.
    pub(crate) fn goes_on_in(&self, generation: u64) {
        self.generation.store(generation, Ordering::Release);
    }

    /// The session is about to hold its JID again. Answers whether that is news, and the session goes on.
    pub(super) fn moves(&self) -> bool {
        self.moving.compare_exchange(STAYS, MOVES, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The session goes on as it is. Answers whether that is news.
    pub(super) fn has_moved(&self) -> bool {
        self.moving.compare_exchange(MOVES, STAYS, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The session does not go on, whatever becomes of its node. Answers whether it was about to.
    pub(super) fn moves_no_more(&self) -> bool {
        self.moving.swap(OVER, Ordering::AcqRel) == MOVES
    }

    /// Leaves an event; answers whether the session is still there to take it. It is woken, unless the event can wait for
    /// the next one.
    pub fn tell(&self, event: ToSession) -> bool {
        let mut inner = self.lock();
        if inner.closed {
            return false;
        }
        let may_wait = matches!(event, ToSession::Handled(_)) && !inner.awaits_handled;
        inner.events.push_back(event);
        if !may_wait {
            wake(inner);
        }
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
        inner.parcel_bytes += parcel.stanza.weight();
        inner.parcels.push_back(parcel);
        let left = self.count(&mut inner);
        let is_heavy = inner.weight() > SESSION_QUEUE_BYTES_MAX.min(left);
        let full = inner.parcels.len() > SESSION_QUEUE_STANZAS_MAX || is_heavy;
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

    /// The weight of what waits for the client, here and in the session.
    #[cfg(test)]
    pub(crate) fn weight(&self) -> usize {
        self.lock().weight()
    }

    /// The session is bound, and one of this account. Answers whether that is news.
    pub(super) fn belongs_to(&self, account: &Arc<AccountQueue>) -> bool {
        let is_news = self.account.set(account.clone()).is_ok();
        if is_news {
            self.count(&mut self.lock());
        }
        is_news
    }

    /// What waits for its account, once [`belongs_to`](SessionHandle::belongs_to) was called.
    pub(super) fn account(&self) -> Option<&Arc<AccountQueue>> {
        self.account.get()
    }

    /// All events, and stanzas until they have so many bytes: none if that is zero. [`ToSession::Handled`] stays while
    /// stanzas do. The session keeps stanzas of that weight for its client, and is woken by `Handled` only if it awaits
    /// that. For the session's own task only.
    pub(crate) fn poll_take(
        &self,
        context: &Context<'_>,
        bytes: usize,
        kept_bytes: usize,
        awaits_handled: bool,
    ) -> Poll<(VecDeque<ToSession>, Vec<Parcel>)> {
        let mut inner = self.lock();
        inner.kept_bytes = kept_bytes;
        inner.awaits_handled = awaits_handled;
        if inner.counted != inner.weight() {
            self.count(&mut inner);
        }
        let stays = |event: &ToSession| matches!(event, ToSession::Handled(_));
        let nothing = match (inner.parcels.is_empty(), bytes) {
            (true, _) => inner.events.is_empty(),
            (false, 0) => inner.events.iter().all(stays),
            (false, _) => false,
        };
        if nothing {
            inner = self.in_two_steps(Fault::SleepInTwoSteps, inner);
            inner.register(context.waker());
            return Poll::Pending;
        }
        let (mut parcels, mut taken) = (Vec::new(), 0);
        while taken < bytes
            && let Some(parcel) = inner.parcels.pop_front()
        {
            taken += parcel.stanza.weight();
            parcels.push(parcel);
        }
        inner.parcel_bytes -= taken;
        let mut events = std::mem::take(&mut inner.events);
        if inner.parcels.is_empty() {
            inner.parcels = VecDeque::new();
        } else {
            (inner.events, events) = events.into_iter().partition(stays);
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
        inner = self.in_two_steps(Fault::AttachInTwoSteps, inner);
        inner.events.push_back(ToSession::Attach(attach));
        wake(inner);
        Ok(())
    }

    /// Everything that waits; if that is nothing, the mailbox is closed. For the session's own task only.
    pub(crate) fn take_or_close(&self) -> Option<(VecDeque<ToSession>, Vec<Parcel>)> {
        let mut inner = self.lock();
        if inner.events.is_empty() && inner.parcels.is_empty() {
            inner = self.in_two_steps(Fault::CloseInTwoSteps, inner);
            inner.closed = true;
            inner.waker = None;
            (inner.parcel_bytes, inner.kept_bytes) = (0, 0);
            self.count(&mut inner);
            return None;
        }
        (inner.parcel_bytes, inner.kept_bytes) = (0, 0);
        self.count(&mut inner);
        Some((std::mem::take(&mut inner.events), std::mem::take(&mut inner.parcels).into()))
    }

    /// Counts for the account what waits for this client; answers how much more may wait for it.
    fn count(&self, inner: &mut Inner) -> usize {
        let Some(account) = self.account.get() else { return ACCOUNT_QUEUE_BYTES_MAX };
        let (weight, counted) = (inner.weight(), inner.counted);
        inner.counted = weight;
        // Relaxed: the number is all that is shared, and nothing else follows from it.
        let before = match weight >= counted {
            true => account.bytes.fetch_add(weight - counted, Ordering::Relaxed) + (weight - counted),
            false => account.bytes.fetch_sub(counted - weight, Ordering::Relaxed) - (counted - weight),
        };
        ACCOUNT_QUEUE_BYTES_MAX.saturating_sub(before)
    }

    /// The same lock; with this fault, another thread may have had it in between.
    fn in_two_steps<'a>(&'a self, fault: Fault, inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        if !sync::has(fault) {
            return inner;
        }
        drop(inner);
        self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that runs under the lock can panic half-way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn weight(&self) -> usize {
        self.parcel_bytes + self.kept_bytes
    }

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
