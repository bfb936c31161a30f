//! Where a stanza goes, and what is kept until it has arrived.
//!
//! ```text
//! stanza + view of the routes ──next_step──▶ Step ──▶ session here
//!                                             │
//!                                             └──▶ Outbox ═══ lane ═══▶ Inbox ──▶ LocalRoutes ──▶ session there
//! ```
//!
//! [`next_step`] asks the table of RFC 6121 section 8 and knows no links; [`Outbox`] and [`Inbox`] know links and no table;
//! [`LocalRoutes`] knows which session of this node holds which route; [`Paths`] and [`Row`] see to it that a stanza does
//! not overtake an earlier one by another way.

mod arrivals;
mod decide;
mod errand;
mod frame;
mod inbox;
mod local;
mod outbox;
mod outgoing;
mod parcel;
mod paths;
mod retry;
mod row;
mod sender;
mod step;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use arrivals::{Arrivals, StanzaName};
pub use decide::{ChosenRoutes, claimant, interested, may_go_elsewhere, recipient};
pub use errand::{Awaited, Errand, Report, Said, Sight, StoreAnswer, WaitId};
pub use frame::{DataAnswer, DataFrame, NumberRange, RANGES_PER_FRAME_MAX};
pub use inbox::{Inbox, Orphan, Received};
pub use local::{Arrival, LocalRoutes, Missed, RouteEnd};
pub use outbox::{Outbox, OutboxOrder, Redecide, Refused};
pub use outgoing::{Outgoing, Share};
pub use parcel::{Home, Leftover, Parcel};
pub use paths::{Paths, Way};
pub use retry::{Again, RetryOutput, RetryQueue};
pub use row::{Row, Turn};
pub use sender::{Sender, SenderOutput};
pub use step::{Asker, Step, comes_to, next_step};
