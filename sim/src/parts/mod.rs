//! The simulated side of each seam.

mod accounts;
mod clock;
mod disk;
mod tap;
mod transport;

pub use accounts::{PASSWORD, accounts};
pub use clock::{Drift, SkewedClock};
pub use disk::{DiskEvent, DiskObserver, DiskTroubles, Ending, Files, SimulatedDisk};
pub use transport::{CLIENT_PORT, PEER_PORT, SimulatedTransport};
