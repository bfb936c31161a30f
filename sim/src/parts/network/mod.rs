//! The network of a world as its nodes see it: turmoil's, with what goes wrong between nodes on top.
//!
//! Turmoil itself drops what it cuts, and answers a dropped request to connect with a refusal, which is the evidence of
//! a crash; and what it holds, it holds in both directions. So everything that goes wrong on a link goes wrong here, at
//! the end that reads.

mod stream;
mod switchboard;
mod transport;

pub use stream::Stream;
pub use switchboard::Switchboard;
pub use transport::{CLIENT_PORT, PEER_PORT, SimulatedTransport};
