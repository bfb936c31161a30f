//! The simulated side of each seam. The disk is `cresset_net`'s own in memory, one for each node, which outlives the
//! node's processes: each boot takes a reopened handle, and what older handles still write is lost.

mod accounts;
mod clock;
mod tap;
mod transport;

pub use accounts::{PASSWORD, accounts};
pub use clock::{Drift, SkewedClock};
pub use transport::{CLIENT_PORT, PEER_PORT, SimulatedTransport};
