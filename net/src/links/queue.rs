//! The queue of a data lane: sessions put in on their threads, the lane's task takes out on its own.
//!
//! ```text
//! sessions ──send──▶ room? ──▶ queue ──take──▶ the lane's task
//!    ▲                                             │ close, take the rest, drop
//!    └──────────── refused, once it is over ◀──────┘
//! ```
//!
//! The invariant: what was accepted is taken, and whoever is refused is refused after all that was accepted has been dealt
//! with. A session that is refused concludes that what it sent before has come back, and sends the next by another way;
//! an earlier answer would let the next one overtake.
//!
//! It has room for [`LANE_QUEUE_BYTES_MAX`]; beyond it senders wait in the order in which they came.

use std::sync::Arc;

use cresset_core::limits::LANE_QUEUE_BYTES_MAX;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, TryAcquireError, mpsc};

use super::data::ToLane;
use crate::sync::{self, Fault};

/// Where sessions put in.
#[derive(Debug)]
pub(super) struct Inlet<O, P> {
    queue: mpsc::UnboundedSender<Queued<O, P>>,
    room: Arc<Room>,
}

/// Where the lane's task takes out. The queue is over when it is dropped.
#[derive(Debug)]
pub(super) struct Outlet<O, P> {
    queue: mpsc::UnboundedReceiver<Queued<O, P>>,
    room: Arc<Room>,
}

#[derive(Debug)]
struct Queued<O, P> {
    request: ToLane<O, P>,
    bytes: u32,
}

#[derive(Debug)]
struct Room {
    /// Bytes for which there is room. Closed when nothing more is accepted.
    free: Semaphore,
    /// Has nothing to give. Closed when everything that was accepted has been dealt with.
    over: Semaphore,
}

/// An empty queue.
pub(super) fn queue<O, P>() -> (Inlet<O, P>, Outlet<O, P>) {
    let (to_queue, queue) = mpsc::unbounded_channel();
    let room = Arc::new(Room { free: Semaphore::new(LANE_QUEUE_BYTES_MAX), over: Semaphore::new(0) });
    (Inlet { queue: to_queue, room: room.clone() }, Outlet { queue, room })
}

impl<O, P> Clone for Inlet<O, P> {
    fn clone(&self) -> Self {
        Inlet { queue: self.queue.clone(), room: self.room.clone() }
    }
}

impl<O, P> Inlet<O, P> {
    /// Whether nothing is accepted any more, and all that was accepted has been dealt with.
    pub(super) fn is_over(&self) -> bool {
        self.room.over.is_closed()
    }

    /// Puts something in; waits as long as there is no room.
    ///
    /// # Errors
    ///
    /// The queue is over; what was to be put in comes back.
    pub(super) async fn send(&self, request: ToLane<O, P>) -> Result<(), ToLane<O, P>> {
        let bytes = bytes_of(&request);
        let refused = match self.room.free.acquire_many(bytes).await {
            Ok(room) => {
                room.forget();
                sync::others_run();
                match self.queue.send(Queued { request, bytes }) {
                    Ok(()) => return Ok(()),
                    Err(refused) => refused.0.request,
                }
            }
            Err(_) => request,
        };
        self.room.is_over().await;
        Err(refused)
    }

    /// As [`send`](Self::send) for those who cannot wait.
    ///
    /// # Errors
    ///
    /// The queue is over, or [`send`](Self::send) would have to wait for room or for the end.
    #[allow(clippy::result_large_err, reason = "what is not taken comes back as it was")]
    pub(super) fn try_send(&self, request: ToLane<O, P>) -> Result<(), TrySendError<ToLane<O, P>>> {
        let bytes = bytes_of(&request);
        match self.room.free.try_acquire_many(bytes) {
            Ok(room) => room.forget(),
            Err(TryAcquireError::NoPermits) => return Err(TrySendError::Full(request)),
            Err(TryAcquireError::Closed) => return Err(self.refused(request)),
        }
        sync::others_run();
        self.queue.send(Queued { request, bytes }).map_err(|refused| self.refused(refused.0.request))
    }

    fn refused(&self, request: ToLane<O, P>) -> TrySendError<ToLane<O, P>> {
        if self.is_over() { TrySendError::Closed(request) } else { TrySendError::Full(request) }
    }
}

impl<O, P> Outlet<O, P> {
    /// The next; none if the queue is closed and nothing is left in it.
    pub(super) async fn take(&mut self) -> Option<ToLane<O, P>> {
        let queued = self.queue.recv().await?;
        Some(self.room.freed_by(queued))
    }

    /// The next, if there is one at this moment.
    pub(super) fn try_take(&mut self) -> Option<ToLane<O, P>> {
        let queued = self.queue.try_recv().ok()?;
        Some(self.room.freed_by(queued))
    }

    /// Accepts nothing more. What was accepted is still to be taken.
    pub(super) fn close(&mut self) {
        self.queue.close();
        sync::others_run();
        if !sync::has(Fault::WaitersNotTold) {
            self.room.free.close();
        }
    }
}

impl<O, P> Drop for Outlet<O, P> {
    fn drop(&mut self) {
        self.close();
        sync::others_run();
        self.room.over.close();
    }
}

impl Room {
    fn freed_by<O, P>(&self, queued: Queued<O, P>) -> ToLane<O, P> {
        self.free.add_permits(queued.bytes as usize);
        queued.request
    }

    async fn is_over(&self) {
        if sync::has(Fault::RefusedBeforeDrained) {
            return;
        }
        let over = self.over.acquire().await;
        debug_assert!(over.is_err(), "it has nothing to give");
    }
}

fn bytes_of<O, P>(request: &ToLane<O, P>) -> u32 {
    u32::try_from(request.weight()).expect("it is bounded by the room of the queue")
}

#[cfg(test)]
mod tests {
    use cresset_core::ids::RouteId;
    use futures_util::FutureExt;

    use super::*;

    /// The session that is refused would send the next stanza by another way, while the one before is still in the queue.
    #[tokio::test]
    async fn nobody_is_refused_while_something_that_was_accepted_waits() {
        let (inlet, mut outlet) = queue::<(), u8>();
        inlet.send(pass(1)).await.expect("there is room");
        outlet.close();

        let mut refused = Box::pin(inlet.send(pass(2)));
        assert_eq!(refused.as_mut().now_or_never(), None);
        assert_eq!(inlet.try_send(pass(3)), Err(TrySendError::Full(pass(3))));
        assert!(!inlet.is_over());
        assert_eq!((outlet.take().await, outlet.take().await), (Some(pass(1)), None));
        drop(outlet);

        assert_eq!(refused.await, Err(pass(2)));
        assert_eq!(inlet.try_send(pass(3)), Err(TrySendError::Closed(pass(3))));
        assert!(inlet.is_over());
    }

    fn pass(number: u8) -> ToLane<(), u8> {
        ToLane::Pass { route: RouteId::default(), pass: number }
    }
}
