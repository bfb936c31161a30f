//! How much may wait in the store for an account that is away.
//!
//! The store counts, and asks here. One sender may have only a part of what an account may have, so that nobody can keep
//! all others from being heard.

use crate::limits::{
    OFFLINE_BYTES_MAX, OFFLINE_BYTES_PER_SENDER_MAX, OFFLINE_MESSAGES_MAX, OFFLINE_MESSAGES_PER_SENDER_MAX,
};

/// The bounds on what waits for one account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OfflineQuota {
    /// For all that waits.
    pub account: Waiting,
    /// For what one account has sent of it.
    pub sender: Waiting,
}

/// Messages that wait, or that may.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Waiting {
    /// How many.
    pub messages: u64,
    /// Their weight ([`Stanza::weight`](crate::stanza::Stanza::weight)).
    pub bytes: u64,
}

impl Waiting {
    /// With one more message of that weight.
    #[must_use]
    pub fn and_one(self, weight: usize) -> Waiting {
        Waiting { messages: self.messages.saturating_add(1), bytes: self.bytes.saturating_add(weight as u64) }
    }

    /// Whether it is within a bound.
    pub fn is_within(self, bound: Waiting) -> bool {
        self.messages <= bound.messages && self.bytes <= bound.bytes
    }
}

impl Default for OfflineQuota {
    fn default() -> Self {
        let account = Waiting { messages: OFFLINE_MESSAGES_MAX, bytes: OFFLINE_BYTES_MAX };
        let sender = Waiting { messages: OFFLINE_MESSAGES_PER_SENDER_MAX, bytes: OFFLINE_BYTES_PER_SENDER_MAX };
        OfflineQuota { account, sender }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_once_and_by_its_weight() {
        let bound = Waiting { messages: 2, bytes: 300 };

        let two = Waiting::default().and_one(100).and_one(200);
        assert!(two.is_within(bound));
        assert!(!two.and_one(0).is_within(bound), "three");
        assert!(!two.is_within(Waiting { bytes: 299, ..bound }));
    }
}
