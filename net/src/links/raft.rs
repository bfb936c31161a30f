//! The Raft lane: requests one way, their responses back, many at a time.
//!
//! A request has a number; its response carries the same one. Numbers belong to one connection.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use cresset_core::node::Peer;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot};

use super::event::{CALL_BYTES_MAX, LinkFault, RaftService};
use super::frame::{Frame, FrameKind};
use super::wire::{Reading, Wire};

/// Requests that wait for the socket. Beyond it callers wait, within their deadlines.
pub(super) const QUEUE_CALLS_MAX: usize = 64;

/// Requests on their way on one link. Beyond it this side sends no more, and the other side reads no more.
const CALLS_MAX: usize = 256;

/// A request and who waits for its response.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) request: Bytes,
    pub(super) response: oneshot::Sender<Bytes>,
}

/// Sends requests and hands out responses, until the link ends.
pub(super) async fn send(
    mut wire: Wire,
    mut queue: mpsc::Receiver<Call>,
    mut closed: oneshot::Receiver<LinkFault>,
) -> Result<Infallible, LinkFault> {
    let mut calls = Calls::default();
    loop {
        while let Some(frame) = wire.next_frame()? {
            calls.answered(frame)?;
        }
        while calls.has_room(&wire)
            && let Ok(call) = queue.try_recv()
        {
            calls.begin(call, &mut wire);
        }
        tokio::select! {
            biased;
            fault = &mut closed => return Err(fault.unwrap_or(LinkFault::Stopped)),
            turned = wire.turn(Reading::On) => turned?,
            call = queue.recv(), if calls.has_room(&wire) => calls.begin(call.ok_or(LinkFault::Stopped)?, &mut wire),
        }
    }
}

/// The requests on their way.
#[derive(Default)]
struct Calls {
    last: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Bytes>>,
}

impl Calls {
    fn has_room(&self, wire: &Wire) -> bool {
        self.waiting.len() < CALLS_MAX && wire.has_room()
    }

    fn begin(&mut self, call: Call, wire: &mut Wire) {
        // Nobody waits any more: the deadline passed in the queue.
        if call.response.is_closed() {
            return;
        }
        self.last += 1;
        wire.push(FrameKind::Request, &[&self.last.to_le_bytes(), &call.request]);
        self.waiting.insert(self.last, call.response);
    }

    fn answered(&mut self, frame: Frame<'_>) -> Result<(), LinkFault> {
        if frame.kind != FrameKind::Response {
            return Ok(());
        }
        let (number, response) = numbered(frame.payload)?;
        let waiting = self.waiting.remove(&number).ok_or(LinkFault::Malformed("a response without a request"))?;
        if waiting.send(Bytes::copy_from_slice(response)).is_err() {
            tracing::trace!(number, "a response that nobody waits for any more");
        }
        Ok(())
    }
}

/// Answers requests, until the link ends.
pub(super) async fn serve(
    mut wire: Wire,
    peer: Peer,
    service: Arc<dyn RaftService>,
    mut closed: oneshot::Receiver<LinkFault>,
) -> Result<Infallible, LinkFault> {
    // Bounded by `CALLS_MAX` and the frames of one record beyond it.
    let mut serving: FuturesUnordered<BoxFuture<'static, (u64, Bytes)>> = FuturesUnordered::new();
    loop {
        while let Some(frame) = wire.next_frame()? {
            if frame.kind == FrameKind::Request {
                let (number, request) = numbered(frame.payload)?;
                let response = service.handle(peer, Bytes::copy_from_slice(request));
                serving.push(response.map(move |response| (number, response)).boxed());
            }
        }
        let reading = if serving.len() < CALLS_MAX && wire.has_room() { Reading::On } else { Reading::Paused };
        tokio::select! {
            biased;
            fault = &mut closed => return Err(fault.unwrap_or(LinkFault::Stopped)),
            Some((number, response)) = serving.next() => {
                if response.len() > CALL_BYTES_MAX {
                    return Err(LinkFault::Malformed("a response that is too long to be sent"));
                }
                wire.push(FrameKind::Response, &[&number.to_le_bytes(), &response]);
            }
            turned = wire.turn(reading) => turned?,
        }
    }
}

fn numbered(payload: &[u8]) -> Result<(u64, &[u8]), LinkFault> {
    let (number, rest) =
        payload.split_first_chunk().ok_or(LinkFault::Malformed("a request or response without number"))?;
    Ok((u64::from_le_bytes(*number), rest))
}
