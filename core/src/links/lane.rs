//! What a link is for, and by what it is told from others.

/// What a connection is for. Each has its own, so that none waits behind another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Lane {
    /// Beats and the other messages of the control plane. No answers.
    Control,
    /// Requests of Raft and their responses.
    Raft,
    /// Parcels and what became of them.
    Data,
}

impl Lane {
    /// All of them.
    pub const ALL: [Lane; 3] = [Lane::Control, Lane::Raft, Lane::Data];

    /// Bytes of one frame's payload. A link on which a longer one is announced is closed before anything is allocated
    /// for it.
    pub const fn payload_bytes_max(self) -> usize {
        match self {
            Lane::Control | Lane::Raft => 1024 * 1024,
            Lane::Data => 512 * 1024,
        }
    }

    /// Its number in a hello.
    pub const fn number(self) -> u8 {
        match self {
            Lane::Control => 1,
            Lane::Raft => 2,
            Lane::Data => 3,
        }
    }

    /// The lane of that number, if there is one.
    pub fn of_number(number: u8) -> Option<Lane> {
        Lane::ALL.into_iter().find(|lane| lane.number() == number)
    }
}

/// Which side made a connection. The side that dialled it sends; answers come back on it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Direction {
    /// This node did.
    Dialled,
    /// The other node did.
    Accepted,
}

/// Tells two links apart that have the same ends: counted by this process, never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs of other versions know the lanes by these numbers.
    #[test]
    fn the_number_of_a_lane_is_for_ever() {
        assert_eq!(Lane::ALL.map(Lane::number), [1, 2, 3]);
        assert_eq!(
            [0, 1, 2, 3, 4].map(Lane::of_number),
            [None, Some(Lane::Control), Some(Lane::Raft), Some(Lane::Data), None]
        );
    }
}
