//! Keeps account of what was promised to romeo and juliet, and what became of it.

use std::collections::BTreeMap;

use crate::client::Message;

/// What was promised, what was heard, and what came back.
#[derive(Default)]
pub(super) struct Tally {
    rounds: u32,
    promised: Vec<String>,
    heard: BTreeMap<String, u32>,
    told: Vec<String>,
}

/// What came of all messages.
pub(super) struct Outcome {
    promised: usize,
    /// Ids of what was promised and never seen again.
    pub(super) lost: Vec<String>,
    twice: usize,
    /// Ids of what was heard more often than once for the failover and once besides.
    pub(super) more: Vec<String>,
    told: usize,
}

impl Tally {
    /// A number that no other part of the talk has.
    pub(super) fn next(&mut self) -> u32 {
        self.rounds += 1;
        self.rounds
    }

    /// These were acknowledged: they must arrive, or come back.
    pub(super) fn promise(&mut self, ids: Vec<String>) {
        self.promised.extend(ids);
    }

    /// These arrived, or came back as errors.
    pub(super) fn hear(&mut self, messages: impl IntoIterator<Item = Message>) {
        for message in messages {
            if message.bounced.is_some() {
                self.told.push(message.id);
            } else {
                *self.heard.entry(message.id).or_default() += 1;
            }
        }
    }

    /// Whether something that was promised is neither here nor there.
    pub(super) fn is_missing_something(&self) -> bool {
        self.promised.iter().any(|id| !self.heard.contains_key(id) && !self.told.contains(id))
    }

    /// What has become of all of it so far.
    pub(super) fn close(&self) -> Outcome {
        let is_lost = |id: &&String| !self.heard.contains_key(*id) && !self.told.contains(id);
        Outcome {
            promised: self.promised.len(),
            lost: self.promised.iter().filter(is_lost).cloned().collect(),
            twice: self.heard.values().filter(|times| **times == 2).count(),
            more: self.heard.iter().filter(|(_, times)| **times > 2).map(|(id, _)| id.clone()).collect(),
            told: self.told.len(),
        }
    }
}

impl Outcome {
    /// For the person who watches.
    pub(super) fn sentence(&self) -> String {
        format!(
            "of {} acknowledged messages {} were lost, {} came back as errors, {} were heard twice, {} more often",
            self.promised,
            self.lost.len(),
            self.told,
            self.twice,
            self.more.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_promised_and_not_heard_is_lost_unless_it_came_back() {
        let mut tally = Tally::default();
        tally.promise(["a", "b", "c", "d"].map(str::to_owned).to_vec());

        tally.hear([message("a", None), message("a", None), message("b", None), message("c", Some("gone"))]);

        assert!(tally.is_missing_something());
        let outcome = tally.close();
        assert_eq!(outcome.lost, ["d"]);
        assert_eq!((outcome.promised, outcome.twice, outcome.told), (4, 1, 1));
    }

    fn message(id: &str, bounced: Option<&str>) -> Message {
        Message {
            from: "romeo@localhost/drill".to_owned(),
            id: id.to_owned(),
            body: String::new(),
            delayed: false,
            bounced: bounced.map(str::to_owned),
        }
    }
}
