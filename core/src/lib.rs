//! Every decision that Cresset takes, as machines without input or output.
//!
//! Nothing here reads a clock, a socket, a file or a source of entropy, takes a lock, or is `async`: facts come in
//! (`handle_*(now, fact)`), orders go out (`poll_output()`, which only pops), and `poll_timeout()` says when to call
//! `handle_timeout(now)`. Calls that come too early or twice change nothing. The order of outputs is the order of
//! effects. `cresset-net` carries the orders out; `cresset-sim` attacks both.
//!
//! ```text
//! 5  session     one client: bytes in, orders out
//! 4  routing     where a stanza goes; handed over and not yet settled      node   the control plane as one machine
//!    services    what the account and the domain answer                            links  which link to which process is up
//! 3  stanza      message, presence, iq; whom they are for; stanza errors      discovery   where members may be
//! 2  xml         framing, elements, writing        cluster   agreed state     liveness   lease, silence, evidence
//!    config      the configuration file, typed      sasl      SCRAM and PLAIN, keys of passwords
//! 1  time, limits, ids, jid, wire, resilience, admission, fencing      the ground
//!    probe, planted                                where the simulator looks in; nothing in any other build
//! ```
//!
//! A room imports only rooms on floors below its own, and no two rooms import each other.

pub mod admission;
pub mod cluster;
pub mod config;
pub mod discovery;
pub mod fencing;
pub mod ids;
pub mod jid;
pub mod limits;
pub mod links;
pub mod liveness;
pub mod node;
pub mod planted;
pub mod probe;
pub mod resilience;
pub mod routing;
pub mod sasl;
pub mod services;
pub mod session;
pub mod stanza;
pub mod time;
pub mod wire;
pub mod xml;
