//! The times on which fencing rests, as the members have agreed on them, and how they become others while members serve.
//!
//! ```text
//! entry:      ChangeTimes(after, to)                  TimesInForce(since)
//! followed:   in force │ the cautious of both          │ the later ones
//!                      └─ every active member has applied ChangeTimes ─┘
//! ```
//!
//! **No lease may outlive the silence after which another member expels its holder** (promise P1), although members
//! apply an entry at different moments. So a change is two entries. From the first one on a member follows the
//! [cautious](Times::cautious) of both: the shorter lease, the longer patience. It does so before it says that it has
//! applied the entry, and a lease that it holds is shortened with it. The leader proposes the second one when every
//! active member has said so. Then:
//!
//! * Before the second entry is applied anywhere, some members follow the former times and some the cautious ones. A
//!   lease of one and the patience of another satisfy the inequality of the former times.
//! * Once it is applied somewhere, nobody that serves follows the former times any more: all that were active have applied
//!   the first entry, and whoever has become active since has applied it on the way to its activation. The cautious and the
//!   later times satisfy the inequality of the later ones.
//! * A member that does not apply the first entry is waited for. It applies it, or it is expelled after the longer of the
//!   two silences, as its lease has ended by then: so the change comes to its end either way.
//! * A process that is started, or joins by a snapshot, serves no earlier than it has applied its own activation. Before,
//!   it may lead; but a leader ends no life for silence before it has applied everything that was agreed before it led.
//! * A lease that was granted, or asked for, before a member followed the later times is not prolonged with them: a leader
//!   that has decided to expel a member by the former ones goes on with it.
//! * An entry that was proposed for another change names the entry before that one, and changes nothing: whoever proposes
//!   may do so again, and a proposal may be late.
//!
//! What an operator wants while a change is under way is refused: two changes at once would need four steps.
//!
//! A cluster begins without agreed times, as does one whose programs knew none: each member follows its file, and the
//! links see to it that the files are alike. The first leader of a cluster in which all follow
//! [`TIMES_SINCE_VERSION`] or a later one proposes its own, by the same two entries: the founder's, or those that all
//! files say.

use serde::{Deserialize, Serialize};

use crate::cluster::{Outcome, Rejection};
use crate::fencing::Times;
use crate::ids::LogIndex;

/// The version of the agreed state from which on the times are a part of it.
pub const TIMES_SINCE_VERSION: u32 = 2;

/// The times on which the members have agreed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct AgreedTimes {
    in_force: Option<Times>,
    /// The entry that put them in force; 0 if there are none.
    since: LogIndex,
    change: Option<TimesChange>,
}

/// A change of the times that is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TimesChange {
    /// What they are to become.
    pub to: Times,
    /// The entry that began the change.
    pub since: LogIndex,
}

impl AgreedTimes {
    /// These are in force, whether or not they may be.
    #[cfg(test)]
    pub(super) fn of(times: Times) -> AgreedTimes {
        AgreedTimes { in_force: Some(times), since: LogIndex(1), change: None }
    }

    /// Those that all members follow; absent if nothing was agreed on yet, so that each follows its file.
    pub fn in_force(&self) -> Option<Times> {
        self.in_force
    }

    /// The entry that put them in force, by which a change of them is proposed; 0 if there are none.
    pub fn since(&self) -> LogIndex {
        self.since
    }

    /// The change that is under way.
    pub fn change(&self) -> Option<TimesChange> {
        self.change
    }

    /// What the members want: what the times are to become, or what they are.
    pub fn wanted(&self) -> Option<Times> {
        self.change.map(|change| change.to).or(self.in_force)
    }

    /// What a member follows whose file says these.
    pub fn followed(&self, by_file: Times) -> Times {
        let present = self.in_force.unwrap_or(by_file);
        self.change.map_or(present, |change| present.cautious(change.to))
    }

    /// What is wrong with these, which no entry can have set, a sentence each.
    pub(super) fn refusals(&self) -> Vec<String> {
        let all = self.in_force.into_iter().chain(self.change.map(|change| change.to));
        all.flat_map(|times| times.refusals()).collect()
    }

    pub(super) fn begin(&mut self, index: LogIndex, after: LogIndex, to: Times) -> Outcome {
        if self.wanted() == Some(to) {
            return Outcome::AlreadyDone;
        }
        if self.change.is_some() {
            return Outcome::Rejected(Rejection::TimesAreChanging);
        }
        if after != self.since {
            return Outcome::Rejected(Rejection::TimesHaveChanged);
        }
        if !to.refusals().is_empty() {
            return Outcome::Rejected(Rejection::UnsafeTimes);
        }
        self.change = Some(TimesChange { to, since: index });
        Outcome::Done
    }

    pub(super) fn end(&mut self, index: LogIndex, since: LogIndex) -> Outcome {
        match self.change {
            Some(change) if change.since == since => {
                *self = AgreedTimes { in_force: Some(change.to), since: index, change: None };
                Outcome::Done
            }
            Some(_) | None => Outcome::AlreadyDone,
        }
    }
}
