//! The control lane: messages one way, no answers.

use std::convert::Infallible;

use bytes::Bytes;
use cresset_core::node::Peer;
use tokio::sync::{mpsc, oneshot};

use super::event::{LinkEvent, LinkFault};
use super::frame::FrameKind;
use super::wire::{Reading, Wire};

/// Messages that wait for one peer. Beyond it [`SendError::Full`](super::SendError::Full): the control plane says
/// everything again that still matters.
pub(super) const QUEUE_MESSAGES_MAX: usize = 256;

/// Sends what is queued, until the link ends.
pub(super) async fn send(
    mut wire: Wire,
    mut queue: mpsc::Receiver<Bytes>,
    mut closed: oneshot::Receiver<LinkFault>,
) -> Result<Infallible, LinkFault> {
    loop {
        while wire.has_room()
            && let Ok(message) = queue.try_recv()
        {
            wire.push(FrameKind::Control, &[&message]);
        }
        while wire.next_frame()?.is_some() {}
        tokio::select! {
            biased;
            fault = &mut closed => return Err(fault.unwrap_or(LinkFault::Stopped)),
            turned = wire.turn(Reading::On) => turned?,
            message = queue.recv(), if wire.has_room() => {
                let message = message.ok_or(LinkFault::Stopped)?;
                wire.push(FrameKind::Control, &[&message]);
            }
        }
    }
}

/// Reports what comes, until the link ends. A control plane that does not keep up is seen as silent by the peer, which
/// it is.
pub(super) async fn receive(
    mut wire: Wire,
    peer: Peer,
    events: mpsc::Sender<LinkEvent>,
    mut closed: oneshot::Receiver<LinkFault>,
) -> Result<Infallible, LinkFault> {
    loop {
        while let Some(frame) = wire.next_frame()? {
            if frame.kind != FrameKind::Control {
                continue;
            }
            let message = Bytes::copy_from_slice(frame.payload);
            let event = LinkEvent::Control { peer, format: wire.format(), message };
            tokio::select! {
                biased;
                fault = &mut closed => return Err(fault.unwrap_or(LinkFault::Stopped)),
                sent = events.send(event) => sent.map_err(|_| LinkFault::Stopped)?,
            }
        }
        tokio::select! {
            biased;
            fault = &mut closed => return Err(fault.unwrap_or(LinkFault::Stopped)),
            turned = wire.turn(Reading::On) => turned?,
        }
    }
}
