//! What the file descriptors of a process are for.
//!
//! A client costs one descriptor. What else needs them must find them whatever clients do: the log and its snapshots,
//! links, the database, the operator, whoever asks how the node is.

use std::fmt;

use crate::limits::DESCRIPTORS_RESERVED;

/// How many clients a process has descriptors for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Descriptors that the process may have.
    pub descriptors: usize,
    /// Connections of clients at one time.
    pub connections_max: usize,
    /// What the operator has asked for.
    pub wanted: usize,
}

impl Budget {
    /// With so many descriptors, `wanted` being what the operator asks for. Where there are few, three quarters of them are
    /// kept from clients.
    pub fn new(descriptors: usize, wanted: usize) -> Budget {
        let reserved = DESCRIPTORS_RESERVED.min(descriptors / 4 * 3);
        Budget { descriptors, connections_max: wanted.min(descriptors - reserved), wanted }
    }

    /// Whether there are descriptors for fewer clients than were asked for.
    pub fn is_short(&self) -> bool {
        self.connections_max < self.wanted
    }
}

/// In words for the operator.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Budget { descriptors, connections_max, wanted } = self;
        write!(f, "{connections_max} at most, with {descriptors} file descriptors")?;
        if self.is_short() {
            write!(f, " ({wanted} are configured: raise the limit of open files, as with LimitNOFILE= or ulimit -n)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O1.
    #[test]
    fn clients_get_what_is_left_after_the_reserve() {
        let of = |descriptors, wanted| Budget::new(descriptors, wanted).connections_max;

        assert_eq!(of(1_048_576, 50_000), 50_000);
        assert_eq!(of(4096, 50_000), 4096 - DESCRIPTORS_RESERVED);
        assert_eq!(of(1024, 50_000), 512);
        assert_eq!(of(256, 50_000), 64);
        assert_eq!(of(256, 5), 5);
        assert_eq!(of(usize::MAX, 50_000), 50_000);
    }

    #[test]
    fn an_operator_is_told_what_to_raise() {
        assert_eq!(Budget::new(1_048_576, 50_000).to_string(), "50000 at most, with 1048576 file descriptors");
        assert!(Budget::new(1024, 50_000).to_string().contains("(50000 are configured: raise the limit of open files"));
    }
}
