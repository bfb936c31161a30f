//! One connection after its handshake: frames in, frames out, both at once in one task.
//!
//! ```text
//! push ─▶ queued frames ─▶ sealed records ─▶ stream
//! next_frame ◀─ assembly ◀─ opened records ◀─ input ◀─ stream
//! ```
//!
//! [`turn`](Wire::turn) moves bytes in both directions and may be dropped at any await; nothing is lost by that, so
//! it fits into a `select!`. Many frames share a record and many records a write: what is pushed between two turns goes
//! out together. There is no task, no lock and no copy beyond the seal between a queue and the socket.
//!
//! A link says that it is alive when it has nothing else to say, and is silent when nothing came for
//! [`SILENT_BEATS_MAX`] beats. Beats are counted, not measured: a process that was stopped does not take its own absence
//! for the other's.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use cresset_core::wire::LinkFormat;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Interval, MissedTickBehavior};

use super::event::LinkFault;
use super::frame::{self, Assembly, Frame, FrameKind};
use super::identity::Lane;
use super::record::{BODY_BYTES_MAX, LENGTH_BYTES, PIECE_BYTES_MAX, Sealing};
use crate::transport::Migrate;

/// How often a link says that it is alive.
const BEAT: Duration = Duration::from_millis(500);

/// Beats without a sign of the other side after which a link is closed, so after 2 s. Shorter than a lease, so that a
/// network that comes back finds fresh connections and not ones that wait for a retransmission.
const SILENT_BEATS_MAX: u32 = 4;

/// Bytes of frames and records that wait for the socket before a link takes no more.
const WAITING_BYTES_MAX: usize = 256 * 1024;

/// Bytes of records that are sealed ahead of the socket.
const SEALED_BYTES_MAX: usize = 128 * 1024;

/// Room for input that every link has. It grows to [`INPUT_BYTES_MAX`] when a longer record comes.
const INPUT_BYTES_MIN: usize = 4096;

/// Room for input at most: two records.
const INPUT_BYTES_MAX: usize = 2 * (LENGTH_BYTES + BODY_BYTES_MAX);

/// Whether a turn reads. A side that cannot take more pauses, and TCP pushes back on the other side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reading {
    On,
    Paused,
}

/// A connection of whichever transport. One virtual call for each system call, and links need no type parameter.
pub(super) type BoxedStream = Box<dyn Stream>;

/// What a link needs of a connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// See [`Migrate::migrate`].
    fn migrate(self: Box<Self>) -> io::Result<BoxedStream>;
}

impl<S: AsyncRead + AsyncWrite + Migrate + Unpin + Send + 'static> Stream for S {
    fn migrate(self: Box<Self>) -> io::Result<BoxedStream> {
        Ok(Box::new(Migrate::migrate(*self)?))
    }
}

/// A connection that carries sealed frames.
pub(super) struct Wire {
    stream: BoxedStream,
    sealing: Sealing,
    /// On which both ends agreed.
    format: LinkFormat,
    assembly: Assembly,
    /// Input as it came; valid between `input_start` and `input_end`.
    input: Vec<u8>,
    input_start: usize,
    input_end: usize,
    /// Frames that are not sealed yet.
    queued: Vec<u8>,
    /// Records, of which `written` bytes are on the socket.
    sealed: Vec<u8>,
    written: usize,
    beats: Interval,
    /// Something was pushed since the last beat.
    spoke: bool,
    /// Beats since something came.
    unheard: u32,
}

impl Wire {
    /// A connection whose handshake is done.
    pub(super) fn new(stream: BoxedStream, sealing: Sealing, lane: Lane, format: LinkFormat) -> Wire {
        Wire {
            stream,
            sealing,
            format,
            assembly: Assembly::new(lane, format),
            input: vec![0; INPUT_BYTES_MIN],
            input_start: 0,
            input_end: 0,
            queued: Vec::new(),
            sealed: Vec::new(),
            written: 0,
            beats: beats(),
            spoke: false,
            unheard: 0,
        }
    }

    /// Goes on with the connection on the threads of the caller.
    ///
    /// # Errors
    ///
    /// Those of the system; the connection is closed then.
    pub(super) fn migrate(self) -> io::Result<Wire> {
        Ok(Wire { stream: self.stream.migrate()?, beats: beats(), ..self })
    }

    /// How its frames and what they carry are written.
    pub(super) fn format(&self) -> LinkFormat {
        self.format
    }

    /// Adds a frame to what goes out with the next turn.
    pub(super) fn push(&mut self, kind: FrameKind, parts: &[&[u8]]) {
        frame::append(self.format, kind, parts, &mut self.queued);
        self.spoke = true;
    }

    /// Whether more should be pushed. Beyond the bound nothing is refused, because an answer has to go out, but who can
    /// wait waits.
    pub(super) fn has_room(&self) -> bool {
        self.queued.len() + self.sealed.len() - self.written < WAITING_BYTES_MAX
    }

    /// Whether something waits for the socket.
    pub(super) fn is_idle(&self) -> bool {
        self.queued.is_empty() && self.written == self.sealed.len()
    }

    /// The next frame of what came.
    ///
    /// # Errors
    ///
    /// As [`Assembly::next`].
    pub(super) fn next_frame(&mut self) -> Result<Option<Frame<'_>>, LinkFault> {
        self.assembly.next()
    }

    /// Moves bytes. Returns when some moved; to be called again after [`next_frame`](Self::next_frame) has no more.
    ///
    /// # Errors
    ///
    /// The end of the stream, an error of it, or a record that is not what was sent. Frames that came before are there
    /// all the same.
    pub(super) async fn turn(&mut self, reading: Reading) -> Result<(), LinkFault> {
        poll_fn(|context| self.poll_turn(context, reading)).await
    }

    /// A beat has come: says that this side is there if it said nothing since the last one, and judges the other side.
    ///
    /// # Errors
    ///
    /// [`LinkFault::Silent`]. A side that does not read cannot judge and does not.
    fn handle_beat(&mut self, reading: Reading) -> Result<(), LinkFault> {
        if !self.spoke && self.is_idle() {
            self.push(FrameKind::Alive, &[]);
        }
        self.spoke = false;
        match reading {
            Reading::On if self.unheard >= SILENT_BEATS_MAX => return Err(LinkFault::Silent),
            Reading::On => self.unheard += 1,
            Reading::Paused => self.unheard = 0,
        }
        Ok(())
    }

    /// From here on another format is written than was agreed on.
    #[cfg(test)]
    pub(super) fn disagree(&mut self, format: LinkFormat) {
        self.format = format;
    }

    /// The keys of the connection, to make another one of them.
    #[cfg(test)]
    pub(super) fn into_sealing(self) -> Sealing {
        self.sealing
    }

    fn poll_turn(&mut self, context: &mut Context<'_>, reading: Reading) -> Poll<Result<(), LinkFault>> {
        while self.beats.poll_tick(context).is_ready() {
            self.handle_beat(reading)?;
        }
        let wrote = self.poll_write(context);
        // Who has gone may have said something before.
        if reading == Reading::On && self.poll_read(context)?.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if wrote? { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Writes until the socket is full or nothing waits; says whether anything was written.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Result<bool, LinkFault> {
        let mut wrote = false;
        loop {
            self.seal();
            if self.written == self.sealed.len() {
                return Ok(wrote);
            }
            match Pin::new(&mut self.stream).poll_write(context, &self.sealed[self.written..]) {
                Poll::Ready(Ok(0)) => return Err(LinkFault::Reset),
                Poll::Ready(Ok(count)) => {
                    self.written += count;
                    wrote = true;
                }
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => return Ok(wrote),
            }
        }
    }

    /// Seals what is queued when the records before it are on the socket.
    fn seal(&mut self) {
        if self.written < self.sealed.len() {
            return;
        }
        self.sealed.clear();
        self.written = 0;
        let mut taken = 0;
        for piece in self.queued.chunks(PIECE_BYTES_MAX) {
            if self.sealed.len() >= SEALED_BYTES_MAX {
                break;
            }
            self.sealing.seal(piece, &mut self.sealed);
            taken += piece.len();
        }
        self.queued.drain(..taken);
        if self.queued.is_empty() && self.queued.capacity() > WAITING_BYTES_MAX {
            self.queued.shrink_to(WAITING_BYTES_MAX);
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), LinkFault>> {
        let mut room = ReadBuf::new(&mut self.input[self.input_end..]);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut room))?;
        let count = room.filled().len();
        if count == 0 {
            return Poll::Ready(Err(LinkFault::Ended));
        }
        self.input_end += count;
        self.unheard = 0;
        Poll::Ready(self.open())
    }

    /// Opens the records that are whole and makes room for the rest of the one that is not.
    fn open(&mut self) -> Result<(), LinkFault> {
        loop {
            let input = &self.input[self.input_start..self.input_end];
            let Some(length) = input.first_chunk::<LENGTH_BYTES>() else { break };
            let body = usize::from(u16::from_be_bytes(*length));
            let Some(body) = input.get(LENGTH_BYTES..LENGTH_BYTES + body) else { break };
            self.input_start += LENGTH_BYTES + body.len();
            self.sealing.open(body, self.assembly.tail())?;
        }
        self.input.copy_within(self.input_start..self.input_end, 0);
        self.input_end -= self.input_start;
        self.input_start = 0;
        // A record that does not fit, or a sender that fills the buffer, deserves the bigger one.
        if self.input_end * 2 > self.input.len() && self.input.len() < INPUT_BYTES_MAX {
            self.input.resize(INPUT_BYTES_MAX, 0);
        }
        Ok(())
    }
}

fn beats() -> Interval {
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats
}
