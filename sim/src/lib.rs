//! Simulated clusters of the real thing: `cresset_net`'s own entry point on a network, disks and clocks that obey a seed.
//!
//! ```text
//! seed ─▶ plan ─▶ world ──── hosts: cresset_net::run::start over parts/ ◀── streams ──▶ client (XMPP, no TLS)
//!                   │                       │                                             │
//!                 faults                    └──────────────▶ history ◀────────────────────┘
//!                                                               │
//!                                   trace (hash) ◀──────────────┴──────▶ invariants ─▶ report
//! ```
//!
//! The invariant on which everything else rests: the same seed gives the same trace, every byte on every connection
//! included, twice in one process and in another process. It holds only in a build with `--cfg tokio_unstable` (and the
//! simulator sees into nodes only with `--cfg cresset_simulated`), which is why [`run`] refuses to work in any other:
//! `cargo sim` and `cargo sim-test` set both.
//!
//! Nothing of the product is written a second time here, except a client, which is not part of the product.
//!
#![doc = include_str!("../FOUND.md")]

pub mod client;
pub mod cores;
pub mod history;
pub mod hunts;
pub mod invariants;
pub mod mutants;
pub mod open;
pub mod parts;
pub mod plan;
pub mod probes;
pub mod report;
pub mod scenario;
pub mod seeds;
pub mod shrink;
pub mod timings;
pub mod trace;
pub mod trial;
pub mod world;

pub use plan::{Episode, Fault, Plan, Target};
pub use report::{Report, Violation};
pub use scenario::Scenario;
pub use trial::{Outcome, Trial, carry_out};
pub use world::run;

/// Whether this build can repeat a run.
pub const CAN_REPEAT: bool = cfg!(all(tokio_unstable, cresset_simulated));

/// What to do if it cannot.
pub const CANNOT_REPEAT: &str = "the simulator needs a build with --cfg tokio_unstable and --cfg cresset_simulated, or no run can be repeated: use \
     `cargo sim run --seed 1` and `cargo sim-test`, and unset RUSTFLAGS, which would override the flags";
