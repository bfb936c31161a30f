//! Where a stanza goes, and what is kept until it has arrived.
//!
//! ```text
//! session ──▶ Sender ──────┐ Errand                        ┌──▶ session here
//!                          ├────────▶ whoever has hands ───┼──▶ store
//! what came ─▶ RetryQueue ─┘ ◀────── Report                └──▶ Outbox ═══ lane ═══▶ Inbox ──▶ LocalRoutes ──▶ session there
//!      ▲ back                                                      │
//!      └───────────────────────────────────────────────────────────┘
//! ```
//!
//! [`Sender`] and [`RetryQueue`] ask the table of RFC 6121 section 8 and know no links; [`Outbox`] and [`Inbox`] know links
//! and no table; [`LocalRoutes`] knows which session of this node holds which route. The `step` of a stanza is what the
//! table says or what it has to wait for; the `paths` of a sender, and the `row` of an account, see to it that a stanza
//! does not overtake an earlier one by another way.

mod alone;
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
mod tests;

pub use alone::StoredAlone;
pub use arrivals::{Arrivals, StanzaName};
pub(crate) use decide::may_go_elsewhere;
pub use decide::{ChosenRoutes, claimant, interested};
pub use errand::{Awaited, Errand, Report, Said, Sight, StoreAnswer, WaitId};
pub use frame::{DataAnswer, DataFrame, Destination, NumberRange, RANGES_PER_FRAME_MAX};
pub use inbox::{AnswersDue, Inbox, Orphan, Received};
pub use local::{Arrival, LocalRoutes, Missed, RouteEnd};
pub use outbox::{Outbox, OutboxOrder, Redecide, Refused};
pub use outgoing::{Outgoing, Share};
pub use parcel::{Home, Leftover, Parcel};
pub use paths::Way;
pub use retry::{Again, RetryOutput, RetryQueue};
pub use row::Turn;
pub use sender::{Sender, SenderOutput};
pub use step::comes_to;
