//! The links between members: which link to which process is up, and which ones have to go.
//!
//! ```text
//!            hands were shaken ── enter ──▶┌───────────┐── link ─────────▶ whoever sends
//!            a link has ended ─── leave ──▶│ LinkTable │
//! agreed ── set_current, ban ─────────────▶│           │── poll_closed ──▶ links to close, and why
//! dialled ── want ────────────────────────▶└───────────┘
//! ```
//!
//! The invariant: **no link of a process that is remembered as over is in the table, and none of an unknown process on
//! the data lane.** What is in the table and what is not never depends on when the driver gets to close a connection.
//!
//! Not here: connections, queues, handshakes, and when an address is dialled again. The driver keeps what it needs for a
//! link beside it in the table, whatever that is. Time plays no part.

mod lane;
mod processes;
mod table;

pub use lane::{Direction, Lane, LinkId};
pub use table::{Candidate, CloseReason, Closed, LinkTable, NotEntered, Refusal, Slot};
