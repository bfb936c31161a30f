//! What a client draws, each concern from a seed of its own, so that one more draw here shifts nothing there.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::stream::Fuse;
use super::{Role, User};

/// Elements within which a flapping client's connection breaks: the login has five or six.
const FUSE_ELEMENTS_MAX: u32 = 12;

/// Bytes within which it breaks: the login has some 700.
const FUSE_BYTES_MAX: usize = 1600;

/// The generators of one client.
pub(super) struct Drawn {
    pauses: StdRng,
    absences: StdRng,
    cuts: StdRng,
    races: StdRng,
    sessions: StdRng,
}

/// How somebody goes away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Absence {
    /// He says so.
    Told,
    /// His connection is gone without a word, as in a tunnel.
    Silent,
}

impl Drawn {
    pub(super) fn new(user: &User, role: Role) -> Self {
        let number = user.number as u64;
        let of = |concern: &str| {
            let concern = match role {
                Role::First => concern.to_owned(),
                Role::Rival => format!("rival's {concern}"),
                Role::Watch => format!("watch's {concern}"),
            };
            user.seed.generator(&concern, number)
        };
        Drawn {
            pauses: of("user"),
            absences: of("absences"),
            cuts: of("cuts"),
            races: of("races"),
            sessions: of("sessions"),
        }
    }

    /// Before the next connection, if the last one was some good.
    pub(super) fn short_pause(&mut self) -> Duration {
        milliseconds(&mut self.pauses, 50, 150)
    }

    /// Before the next connection, if the last one was none.
    pub(super) fn long_pause(&mut self) -> Duration {
        milliseconds(&mut self.pauses, 200, 600)
    }

    /// How long somebody who leaves now and then stays.
    pub(super) fn stay(&mut self) -> Duration {
        milliseconds(&mut self.absences, 1500, 9000)
    }

    /// How somebody goes away, and for how long.
    pub(super) fn absence(&mut self) -> (Absence, Duration) {
        let absence = if self.absences.random_bool(0.7) { Absence::Told } else { Absence::Silent };
        (absence, milliseconds(&mut self.absences, 300, 4000))
    }

    /// For how long a session is to be kept, in seconds, if the client says so at all.
    pub(super) fn seconds_max(&mut self) -> Option<u64> {
        self.sessions.random_bool(0.5).then(|| self.sessions.random_range(1..=10))
    }

    /// When a flapping client's connection breaks.
    pub(super) fn fuse(&mut self) -> Fuse {
        if self.cuts.random_bool(0.5) {
            Fuse::Elements(self.cuts.random_range(1..=FUSE_ELEMENTS_MAX))
        } else {
            Fuse::Bytes(self.cuts.random_range(1..=FUSE_BYTES_MAX))
        }
    }

    /// Whether a connection that breaks stays open at the node's side.
    pub(super) fn is_half_open(&mut self) -> bool {
        self.cuts.random_bool(0.3)
    }

    /// How long a connection lasts before there is another race.
    pub(super) fn until_race(&mut self) -> Duration {
        milliseconds(&mut self.races, 100, 1500)
    }

    /// Whether the second of two that race goes to another node.
    pub(super) fn races_elsewhere(&mut self) -> bool {
        self.races.random_bool(0.25)
    }
}

fn milliseconds(random: &mut StdRng, from: u64, to: u64) -> Duration {
    Duration::from_millis(random.random_range(from..to))
}
