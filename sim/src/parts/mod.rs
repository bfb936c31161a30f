//! The simulated side of each seam.

mod accounts;
mod clock;
mod disk;
mod gate;
mod network;
mod tap;
#[cfg(cresset_simulated)]
mod witness;

pub use accounts::{FallibleAccounts, Outage, PASSWORD, accounts};
pub use clock::{Drift, SkewedClock, WallClock};
pub use disk::{DiskEvent, DiskObserver, DiskTrouble, Ending, Files, SimulatedDisk};
pub use gate::Gate;
pub use network::{CLIENT_PORT, PEER_PORT, SimulatedTransport, Stream, Switchboard};
pub(crate) use tap::Tap;
#[cfg(cresset_simulated)]
pub use witness::{Listening, LookUps, disk_observer};

/// In this build nobody can read what a disk says.
#[cfg(not(cresset_simulated))]
pub fn disk_observer(_: &str, _: &crate::history::History) -> DiskObserver {
    Box::new(|_| {})
}
