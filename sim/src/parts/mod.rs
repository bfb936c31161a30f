//! The simulated side of each seam.

mod accounts;
mod clock;
mod disk;
mod tap;
mod transport;
#[cfg(cresset_simulated)]
mod witness;

pub use accounts::{PASSWORD, accounts};
pub use clock::{Drift, SkewedClock};
pub use disk::{DiskEvent, DiskObserver, DiskTroubles, Ending, Files, SimulatedDisk};
pub use transport::{CLIENT_PORT, PEER_PORT, SimulatedTransport};
#[cfg(cresset_simulated)]
pub use witness::{Listening, LookUps, disk_observer};

/// In this build nobody can read what a disk says.
#[cfg(not(cresset_simulated))]
pub fn disk_observer(_: &str, _: &crate::history::History) -> DiskObserver {
    Box::new(|_| {})
}
