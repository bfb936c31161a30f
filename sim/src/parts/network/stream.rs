//! One connection, watched. What passes is part of the trace, and what a node tells its clients is part of the history.
//!
//! What comes from another node while the link is troubled waits in `arrived`, each piece until its time has come and
//! the way is open, and what follows waits behind it: so TCP looks to a program when packets are lost.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use turmoil::net::TcpStream;

use super::switchboard::{End, Fate, Passage, Switchboard};
use crate::parts::tap::Tap;
use crate::trace::{self, Detail, Trace};

/// Bytes that may wait at the end that reads. Beyond it the writer waits.
const ARRIVED_BYTES_MAX: usize = 256 * 1024;

/// Bytes that are taken off the network at a time.
const PIECE_BYTES: usize = 16 * 1024;

/// One connection of a node.
pub struct Stream {
    /// Absent once it was reset.
    inner: Option<TcpStream>,
    host: Arc<str>,
    trace: Trace,
    end: End,
    /// What the switchboard knows this end by.
    number: u64,
    switchboard: Switchboard,
    arrived: VecDeque<Arrival>,
    arrived_bytes: usize,
    timer: Option<Pin<Box<Sleep>>>,
    /// Listens to what a node tells a client.
    tap: Option<Tap>,
}

/// Something that has come in.
struct Arrival {
    /// Before which it may not be seen.
    at: Duration,
    what: Arrived,
}

enum Arrived {
    Bytes(Bytes),
    End,
    Reset,
}

impl Stream {
    pub(super) fn new(
        inner: TcpStream,
        host: Arc<str>,
        switchboard: Switchboard,
        trace: Trace,
        tap: Option<Tap>,
    ) -> io::Result<Stream> {
        let end = (inner.local_addr()?, inner.peer_addr()?);
        Ok(Stream {
            inner: Some(inner),
            host,
            trace,
            end,
            number: switchboard.open(end),
            switchboard,
            arrived: VecDeque::new(),
            arrived_bytes: 0,
            timer: None,
            tap,
        })
    }

    fn note(&self, arrow: &str, bytes: &[u8]) {
        let (local, remote) = (self.end.0.port(), self.end.1);
        let what = format_args!("{local} {arrow} {remote}: {} bytes", bytes.len());
        self.trace.note_bytes(Detail::Packets, &self.host, what, bytes);
    }

    fn note_reset(&self) {
        let (local, remote) = (self.end.0.port(), self.end.1);
        self.trace.note(Detail::Packets, &self.host, format_args!("{local} ✕ {remote}"));
    }

    /// The connection is gone, as this end sees it.
    fn reset(&mut self) -> io::Error {
        if self.inner.take().is_some() {
            self.note_reset();
        }
        self.arrived.clear();
        io::ErrorKind::ConnectionReset.into()
    }

    /// Takes off the network what is there, and decides when each piece may be seen.
    fn take_arrivals(&mut self, context: &mut Context<'_>, passage: Passage) {
        let mut space = [0; PIECE_BYTES];
        let is_over =
            |arrived: &VecDeque<Arrival>| arrived.back().is_some_and(|last| !matches!(last.what, Arrived::Bytes(_)));
        while self.arrived_bytes < ARRIVED_BYTES_MAX && !is_over(&self.arrived) {
            let Some(inner) = &mut self.inner else { return };
            let mut buffer = ReadBuf::new(&mut space);
            let Poll::Ready(read) = Pin::new(inner).poll_read(context, &mut buffer) else { return };
            let what = match read {
                Ok(()) if buffer.filled().is_empty() => Arrived::End,
                Ok(()) => Arrived::Bytes(Bytes::copy_from_slice(buffer.filled())),
                Err(_) => Arrived::Reset,
            };
            if let Arrived::Bytes(bytes) = &what {
                self.arrived_bytes += bytes.len();
            }
            let late = if passage.is_troubled { self.switchboard.lateness() } else { Duration::ZERO };
            let at = trace::now() + late;
            let at = self.arrived.back().map_or(at, |last| last.at.max(at));
            self.arrived.push_back(Arrival { at, what });
        }
    }

    /// Hands out the first thing that has arrived, when its time has come.
    fn poll_arrived(
        &mut self,
        context: &mut Context<'_>,
        passage: Passage,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if passage.is_held {
            return Poll::Pending;
        }
        let Some(first) = self.arrived.front() else { return Poll::Pending };
        let now = trace::now();
        if first.at > now {
            let timer = self.timer.insert(Box::pin(sleep(first.at - now)));
            ready!(timer.as_mut().poll(context));
        }
        self.timer = None;
        let Some(first) = self.arrived.front_mut() else { return Poll::Pending };
        match &mut first.what {
            Arrived::Bytes(bytes) => {
                let count = bytes.len().min(buffer.remaining());
                buffer.put_slice(&bytes[..count]);
                bytes.advance(count);
                self.arrived_bytes -= count;
                if bytes.is_empty() {
                    self.arrived.pop_front();
                }
                Poll::Ready(Ok(()))
            }
            Arrived::End if passage.fate == Fate::ResetAtEnd => Poll::Ready(Err(self.reset())),
            Arrived::End => Poll::Ready(Ok(())),
            Arrived::Reset => Poll::Ready(Err(self.reset())),
        }
    }

    /// Says half of it, and then the connection is reset.
    fn break_off(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> io::Error {
        let half = &bytes[..bytes.len() / 2];
        if let Some(inner) = &mut self.inner
            && !half.is_empty()
            && let Poll::Ready(Ok(count)) = Pin::new(inner).poll_write(context, half)
        {
            self.wrote(&bytes[..count]);
        }
        self.switchboard.break_off(self.end);
        self.reset()
    }

    fn wrote(&mut self, bytes: &[u8]) {
        self.note("▶", bytes);
        if let Some(tap) = &mut self.tap {
            tap.wrote(bytes, drop);
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let passage = self.switchboard.before_read(self.end, context);
        match passage.fate {
            Fate::Reset => return Poll::Ready(Err(self.reset())),
            Fate::Forsaken => return Poll::Pending,
            Fate::Sound | Fate::ResetAtNextWrite | Fate::ResetAtEnd => {}
        }
        if self.inner.is_none() {
            return Poll::Ready(Err(self.reset()));
        }
        let before = buffer.filled().len();
        let is_plain = passage.fate != Fate::ResetAtEnd && !passage.is_held && !passage.is_troubled;
        let result = if is_plain && self.arrived.is_empty() {
            let Some(inner) = &mut self.inner else { return Poll::Ready(Err(self.reset())) };
            ready!(Pin::new(inner).poll_read(context, buffer))
        } else {
            self.take_arrivals(context, passage);
            ready!(self.poll_arrived(context, passage, buffer))
        };
        self.note("◀", &buffer.filled()[before..]);
        Poll::Ready(result)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let passage = self.switchboard.before_write(self.end, context);
        match passage.fate {
            Fate::Reset => return Poll::Ready(Err(self.reset())),
            Fate::ResetAtNextWrite => return Poll::Ready(Err(self.break_off(context, bytes))),
            // Nobody hears it, and it does not know that.
            Fate::Forsaken => return Poll::Ready(Ok(bytes.len())),
            Fate::Sound | Fate::ResetAtEnd => {}
        }
        let Some(inner) = &mut self.inner else { return Poll::Ready(Err(self.reset())) };
        let result = ready!(Pin::new(inner).poll_write(context, bytes));
        match result {
            Ok(count) => {
                self.wrote(&bytes[..count]);
                Poll::Ready(Ok(count))
            }
            // The reset is on its way and has not arrived.
            Err(_) if passage.is_held || !self.arrived.is_empty() => Poll::Ready(Ok(bytes.len())),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let passage = self.switchboard.before_write(self.end, context);
        match (&mut self.inner, passage.fate) {
            (Some(inner), Fate::Sound | Fate::ResetAtEnd | Fate::ResetAtNextWrite) => {
                Pin::new(inner).poll_shutdown(context)
            }
            (_, Fate::Forsaken) => Poll::Ready(Ok(())),
            (None, _) | (Some(_), Fate::Reset) => Poll::Ready(Err(self.reset())),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.switchboard.close(self.end, self.number);
    }
}
