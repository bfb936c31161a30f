//! Links between processes: who reaches whom, connections, and what is under way on them.
//!
//! ```text
//! dial ── hello ─▶ accept? ── answer ─▶ up │ messages in order, late, held while a path is cut │ closed, reset, silent
//! ```
//!
//! A connection keeps the order and loses nothing while both of its ends are there, as TCP does; a path that is cut holds
//! what is under way until it is whole again. An end that is gone answers with a reset if there is a machine to do so.
//! Whatever a node concludes from that is decided elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use cresset_core::ids::{BootId, MemberId};
pub(super) use cresset_core::links::Lane;
use cresset_core::links::{Direction, LinkId, Refusal};
use cresset_core::node::ControlMessage;
use cresset_core::routing::DataAnswer;
use rand::RngExt;
use rand::rngs::StdRng;

use super::queue::Moment;
use super::raft;

/// Which end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub(super) enum Side {
    Dialler,
    Acceptor,
}

impl Side {
    pub(super) fn other(self) -> Side {
        match self {
            Side::Dialler => Side::Acceptor,
            Side::Acceptor => Side::Dialler,
        }
    }

    /// The connection as the process at this end sees it.
    pub(super) fn direction(self) -> Direction {
        match self {
            Side::Dialler => Direction::Dialled,
            Side::Acceptor => Direction::Accepted,
        }
    }

    /// The end at which a process sees a connection so.
    pub(super) fn of(direction: Direction) -> Side {
        match direction {
            Direction::Dialled => Side::Dialler,
            Direction::Accepted => Side::Acceptor,
        }
    }

    fn at(self) -> usize {
        match self {
            Side::Dialler => 0,
            Side::Acceptor => 1,
        }
    }
}

/// The number of a connection.
pub(super) type ConnectionId = usize;

/// One life of the links of one process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) host: usize,
    pub(super) process: u32,
    pub(super) mesh: u32,
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct End {
    pub(super) place: Place,
    pub(super) member: MemberId,
    pub(super) boot: BootId,
    /// Its place in the table of the process at this end, once it has one.
    pub(super) link: Option<LinkId>,
    pub(super) is_open: bool,
    /// When the last message that is under way to this end arrives.
    arrives: Moment,
    /// Since when nothing of the other end can reach this one.
    pub(super) deaf_since: Option<Moment>,
}

impl End {
    /// It is open if it has a link.
    pub(super) fn new(place: Place, member: MemberId, boot: BootId, link: Option<LinkId>) -> End {
        End { place, member, boot, link, is_open: link.is_some(), arrives: Moment::default(), deaf_since: None }
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) lane: Lane,
    ends: [End; 2],
    pub(super) begun: Moment,
    /// It ended without a word on it.
    pub(super) is_cut_off: bool,
}

impl Connection {
    pub(super) fn new(lane: Lane, dialler: End, acceptor: End, begun: Moment) -> Connection {
        Connection { lane, ends: [dialler, acceptor], begun, is_cut_off: false }
    }

    pub(super) fn end(&self, side: Side) -> &End {
        &self.ends[side.at()]
    }

    pub(super) fn end_mut(&mut self, side: Side) -> &mut End {
        &mut self.ends[side.at()]
    }
}

/// What is said on a connection.
#[derive(Debug)]
pub(super) enum Wire {
    Control(ControlMessage),
    Question(raft::Question),
    Answer(raft::Answer),
    Frame(Bytes),
    DataAnswer(DataAnswer),
    /// The other end was closed in good order, or its process died.
    Ended,
    /// There is no other end.
    Reset,
}

/// Something on its way from one machine to another.
#[derive(Debug)]
pub(super) enum Packet {
    /// To one end of a connection.
    Said { connection: ConnectionId, to: Side, wire: Wire },
    /// A process wants to connect.
    Hello { dial: Dial, to: usize },
    /// It is let in, by this connection, or not.
    HelloAnswer { dial: Dial, answer: Result<ConnectionId, Refused> },
}

/// One attempt to connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Dial {
    pub(super) from: Place,
    pub(super) to: usize,
    pub(super) lane: Lane,
    pub(super) attempt: u32,
}

/// Why a process was not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// Nobody listens there.
    Port,
    /// The process that listens there gives it no link.
    Link(Refusal),
}

/// The ways between machines.
#[derive(Debug)]
pub(super) struct Paths {
    random: StdRng,
    latency: (Duration, Duration),
    /// The worst latencies that episodes ask for.
    pub(super) slow: Vec<Duration>,
    /// How many of a hundred packets are lost, by episode.
    pub(super) loss: Vec<u8>,
    /// How many cuts there are on a way, from and to.
    cuts: BTreeMap<(usize, usize), u32>,
    held: BTreeMap<(usize, usize), Vec<Packet>>,
}

/// After this a lost packet is sent again.
const RETRANSMISSION: Duration = Duration::from_millis(200);

impl Paths {
    pub(super) fn new(random: StdRng, latency: (Duration, Duration)) -> Paths {
        Paths { random, latency, slow: Vec::new(), loss: Vec::new(), cuts: BTreeMap::new(), held: BTreeMap::new() }
    }

    pub(super) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts.get(&(from, to)).is_some_and(|cuts| *cuts > 0)
    }

    /// Whether it was whole before.
    pub(super) fn cut(&mut self, from: usize, to: usize) -> bool {
        let cuts = self.cuts.entry((from, to)).or_default();
        *cuts += 1;
        *cuts == 1
    }

    /// What was held, if it is whole from now on.
    pub(super) fn mend(&mut self, from: usize, to: usize) -> Option<Vec<Packet>> {
        let cuts = self.cuts.get_mut(&(from, to)).filter(|cuts| **cuts > 0)?;
        *cuts -= 1;
        (*cuts == 0).then(|| self.held.remove(&(from, to)).unwrap_or_default())
    }

    pub(super) fn hold(&mut self, from: usize, to: usize, packet: Packet) {
        self.held.entry((from, to)).or_default().push(packet);
    }

    /// How long a packet takes.
    pub(super) fn draw_latency(&mut self) -> Duration {
        let (least, most) = self.latency;
        let worst = self.slow.iter().copied().max();
        let mut time = match worst {
            Some(worst) if self.random.random_ratio(1, 20) => worst * 10,
            Some(worst) => self.random.random_range(least..=worst.max(least)),
            None => self.random.random_range(least..=most.max(least)),
        };
        if let Some(percent) = self.loss.iter().copied().max() {
            let mut again = RETRANSMISSION;
            // A link on which nothing comes for longer is closed as silent.
            for _ in 0..3 {
                if !self.random.random_ratio(u32::from(percent.min(90)), 100) {
                    break;
                }
                time += again;
                again *= 2;
            }
        }
        time
    }

    /// Some time shorter than this.
    pub(super) fn draw_below(&mut self, time: Duration) -> Duration {
        self.random.random_range(Duration::ZERO..time)
    }

    /// When a message that is said now arrives at this end.
    pub(super) fn arrival(&mut self, now: Moment, end: &mut End) -> Moment {
        let at = now.after(self.draw_latency()).max(end.arrives);
        end.arrives = at;
        at
    }
}
