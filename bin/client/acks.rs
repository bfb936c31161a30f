//! The counters of XEP-0198: what we sent and the server acknowledged, what came in and we acknowledge.
//!
//! Invariant: `acked <= sent`, in the wrapping arithmetic of the XEP (counters go round at 2^32).

use super::stanza::Stanza;
use std::io::Write;

/// The counters of one stream, or of one session if it is resumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Acks {
    sent: u32,
    acked: u32,
    received: u32,
    asked: bool,
}

impl Acks {
    /// Counts stanzas (message, presence, iq) that were written.
    pub(crate) fn sent(&mut self, stanzas: u32) {
        self.sent = self.sent.wrapping_add(stanzas);
    }

    /// Counts a stanza (message, presence, iq) that came in.
    pub(crate) fn received(&mut self) {
        self.received = self.received.wrapping_add(1);
    }

    /// How many stanzas of ours are not acknowledged.
    pub(crate) fn outstanding(&self) -> u32 {
        self.sent.wrapping_sub(self.acked)
    }

    /// How many stanzas of the server were counted.
    pub(crate) fn inbound(&self) -> u32 {
        self.received
    }

    /// Takes the server's `h`: how many more stanzas are acknowledged by it. An `h` beyond what was sent, or one
    /// that goes back, is a server's mistake and acknowledges nothing.
    pub(crate) fn acknowledged(&mut self, h: u32) -> u32 {
        self.asked = false;
        let newly = h.wrapping_sub(self.acked);
        if newly > self.outstanding() {
            return 0;
        }
        self.acked = h;
        newly
    }

    /// Writes `<r/>` if something is outstanding and no question is open.
    pub(crate) fn ask_into(&mut self, out: &mut Vec<u8>) {
        if !self.asked && self.outstanding() > 0 {
            self.asked = true;
            out.extend_from_slice(b"<r xmlns='urn:xmpp:sm:3'/>");
        }
    }

    /// Writes our `<a/>`.
    pub(crate) fn answer_into(&self, out: &mut Vec<u8>) {
        write!(out, "<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.received).expect("writing to memory cannot fail");
    }

    /// The stream was replaced by another one that carries the same session on; an open question went with it.
    pub(crate) fn resumed(&mut self) {
        self.asked = false;
    }

    /// The `h` of an `<a/>`.
    pub(crate) fn h(stanza: &Stanza<'_>) -> Option<u32> {
        std::str::from_utf8(stanza.attribute(b"h")?).ok()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_are_cumulative_and_go_round() {
        let mut acks = Acks { sent: u32::MAX - 1, acked: u32::MAX - 1, ..Acks::default() };
        acks.sent(4);

        assert_eq!(acks.acknowledged(u32::MAX), 1);
        assert_eq!(acks.acknowledged(2), 3);
        assert_eq!(acks.outstanding(), 0);
    }

    /// A server that acknowledges more than was sent must not make the generator believe it.
    #[test]
    fn more_than_was_sent_is_not_acknowledged() {
        let mut acks = Acks::default();
        acks.sent(3);

        assert_eq!(acks.acknowledged(4), 0);
        assert_eq!(acks.acknowledged(2), 2);
        assert_eq!(acks.acknowledged(1), 0);
        assert_eq!(acks.outstanding(), 1);
    }

    #[test]
    fn one_question_is_open_at_a_time() {
        let mut acks = Acks::default();
        let mut out = Vec::new();
        acks.ask_into(&mut out);
        assert!(out.is_empty());

        acks.sent(2);
        acks.ask_into(&mut out);
        acks.ask_into(&mut out);
        assert_eq!(out, b"<r xmlns='urn:xmpp:sm:3'/>");

        acks.acknowledged(1);
        out.clear();
        acks.ask_into(&mut out);
        assert!(!out.is_empty());
    }
}
