//! Bytes on their way to one client, written together. No memory while there are none.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use super::ClientTransport;

/// Pieces below this size are copied together, so that one write carries many of them.
const COPY_BYTES_MAX: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Outbound {
    /// Whole pieces, and the rest of the one that is being written.
    pieces: VecDeque<Bytes>,
    /// Small pieces that came last.
    tail: Vec<u8>,
    bytes: usize,
    /// A piece has been written in part.
    is_torn: bool,
    /// Something was handed to the transport that it may not have passed on.
    is_unflushed: bool,
}

impl Outbound {
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.bytes += bytes.len();
        if bytes.len() <= COPY_BYTES_MAX {
            self.tail.extend_from_slice(&bytes);
        } else {
            self.seal_tail();
            self.pieces.push_back(bytes);
        }
    }

    /// Bytes that the transport has not taken.
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// Whether the transport has passed everything on.
    pub(super) fn is_written(&self) -> bool {
        self.bytes == 0 && !self.is_unflushed
    }

    /// Drops what was not written.
    ///
    /// # Errors
    ///
    /// The client has the beginning of something whose rest is dropped: nothing that could be said would be understood.
    pub(super) fn discard(&mut self) -> Result<(), ()> {
        let result = if self.is_torn { Err(()) } else { Ok(()) };
        *self = Outbound { is_unflushed: self.is_unflushed, ..Outbound::default() };
        result
    }

    /// Writes and flushes until there is nothing more. Answers each time when the transport has taken something, with
    /// how much that was; zero when all is flushed.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        transport: &mut ClientTransport,
    ) -> Poll<io::Result<usize>> {
        let mut transport = Pin::new(transport);
        if self.bytes == 0 {
            ready!(transport.as_mut().poll_flush(cx))?;
            self.is_unflushed = false;
            return Poll::Ready(Ok(0));
        }
        if self.pieces.is_empty() {
            self.seal_tail();
        }
        let piece = self.pieces.front_mut().expect("there are bytes, so there is a piece");
        let written = ready!(transport.as_mut().poll_write(cx, piece))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        piece.advance(written);
        self.bytes -= written;
        self.is_unflushed = true;
        self.is_torn = !piece.is_empty();
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        if self.bytes == 0 {
            self.pieces = VecDeque::new();
        }
        Poll::Ready(Ok(written))
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push_back(Bytes::from(std::mem::take(&mut self.tail)));
        }
    }
}
