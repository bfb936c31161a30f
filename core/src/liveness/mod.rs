//! May I serve, who is silent, who has crashed: small machines that the safety of a takeover rests on.
//!
//! ```text
//! member                                    leader
//!   Lease::ask ───────── beat ─────────────▶ heard (Silence)
//!                                            its own beats, answered by a quorum (Quorum)
//!   Lease::granted ◀──── grant ───────────── once a round that began after the ask was answered by a quorum
//! ```
//!
//! The invariant: **a member whose life was ended for silence holds no lease any more.** A lease runs from the moment
//! at which the member *asked*. A leader grants an ask only after a quorum has answered a round of beats that the
//! leader began after the ask reached it, so no member of another term can have become leader before the ask. A leader
//! ends a life for silence only after it has heard nothing of it, and no leader before it can have granted it anything
//! ([`FormerLeaders`]), for longer than a lease can last on the slowest clock. Hence the lease has run out by then,
//! whoever granted it.
//!
//! The lengths of leases and silences are agreed on, and may become others while leases run: see
//! [`AgreedTimes`](crate::cluster::AgreedTimes).
//!
//! Evidence of a crash ([`Evidence`]) is another matter: it is believed without waiting, because a process that is gone
//! serves nobody. It may be wrong: something between the nodes cuts their connections and refuses new ones. So a member
//! that sees its links closed by as many as could end its life gives its lease up before they can have agreed to. What
//! is left is a firewall that resets one end only: then two members may serve one JID until the older lease runs out,
//! though frames of the ended life are refused all the same. For such networks the evidence can be switched off.

mod evidence;
mod former;
mod lease;
mod quorum;
mod separation;
mod silence;

pub use evidence::{Evidence, LogEnd};
pub use former::{Answered, FormerLeaders};
pub use lease::Lease;
pub use quorum::{Quorum, VoterSets, has_quorum};
pub use separation::Separation;
pub use silence::{Patience, Silence};
