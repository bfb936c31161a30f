//! Who may take a place at a node: clients, and strangers on the ports that are not for clients.
//!
//! ```text
//! descriptors of the process ─▶ Budget ─▶ how many clients at all
//!                                             │
//! Origin ─▶ Host, Network ──▶ Places ─────────┴▶ a place for a client, or none
//!                        └──▶ Seats ───────────▶ a seat while somebody proves what it wants, and who has to go for it
//! state of the node ─────────▶ Door ────────────▶ whether the client is served here, elsewhere, or not at all
//! processor time ────────────▶ Allowance, Turns ▶ whose work is done next
//! ```
//!
//! Invariants: no host and no network holds more than a share of what is free, as long as it has not authenticated. On
//! ports where a stranger has to prove something first, somebody who does so at once is never sent away for somebody
//! who keeps silent, and nobody is before it could be looked at.
//!
//! Not here: sockets, tasks, locks. What is called costs no time to measure: one look-up, or one walk over the seats.

mod allowance;
mod budget;
mod door;
mod network;
mod origin;
mod places;
mod seats;
mod turns;

pub use allowance::Allowance;
pub use budget::Budget;
pub use door::Door;
pub use network::{Host, Network};
pub use origin::{Origin, Party};
pub use places::Places;
pub use seats::{Seated, Seats};
pub use turns::Turns;
