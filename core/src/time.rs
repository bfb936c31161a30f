//! Three kinds of time that cannot be mixed up: [`Uptime`] (this node's monotonic time, for every decision),
//! [`UnixMillis`] (for people and delay stamps; no decision depends on it) and
//! [`LogIndex`](crate::ids::LogIndex) (for the cluster).

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Time since this node started, counting time in which the machine was suspended.
///
/// It cannot be serialised, because it means nothing on another node, and it has no `now()`: the caller says what
/// time it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Uptime(Duration);

impl Uptime {
    /// The moment at which the node started.
    pub const ZERO: Uptime = Uptime(Duration::ZERO);

    /// The moment that lies `since_start` after the start of the node.
    pub const fn new(since_start: Duration) -> Self {
        Uptime(since_start)
    }

    /// The moment `milliseconds` after the start of the node.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Uptime(Duration::from_millis(milliseconds))
    }

    /// How long after `earlier` this moment is; zero if it is not after it.
    pub fn since(self, earlier: Uptime) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Time since the start of the node.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// This moment less `duration`, not before the start of the node.
    pub fn back(self, duration: Duration) -> Uptime {
        Uptime(self.0.saturating_sub(duration))
    }
}

impl Add<Duration> for Uptime {
    type Output = Uptime;

    /// Saturates: a moment that never comes is still a moment.
    fn add(self, duration: Duration) -> Uptime {
        Uptime(self.0.saturating_add(duration))
    }
}

impl fmt::Display for Uptime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0.as_secs(), self.0.subsec_millis())
    }
}

/// Wall-clock time in milliseconds since 1970-01-01 UTC. For people: delay stamps, logs, `cluster status`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The date and time in the profile of XEP-0082, `2026-11-23T01:02:03.004Z`.
    pub fn to_xmpp(self) -> String {
        let (seconds, milliseconds) = (self.0 / 1000, self.0 % 1000);
        let (days, of_day) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil_from_days(days);
        format!(
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{milliseconds:03}Z",
            of_day / 3600,
            of_day / 60 % 60,
            of_day % 60
        )
    }
}

/// Year, month and day of the proleptic Gregorian calendar for a count of days since 1970-01-01
/// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_day_is_written_as_one() {
        assert_eq!(UnixMillis(951_782_400_123).to_xmpp(), "2000-02-29T00:00:00.123Z");
        assert_eq!(UnixMillis(0).to_xmpp(), "1970-01-01T00:00:00.000Z");
        assert_eq!(UnixMillis(1_795_395_723_004).to_xmpp(), "2026-11-23T01:02:03.004Z");
    }

    #[test]
    fn a_moment_before_another_is_no_time_after_it() {
        assert_eq!(Uptime::from_millis(5).since(Uptime::from_millis(9)), Duration::ZERO);
    }
}
