//! What a stanza costs whoever keeps it.

use super::Stanza;
use crate::jid::Jid;

/// Bytes for which every stanza counts besides its texts: the value itself beside the queue that holds it, twice because
/// a queue grows by doubling, and the headers of its allocations.
pub const STANZA_OVERHEAD_BYTES: usize = 512;

impl Stanza {
    /// Bytes of memory for which the stanza counts wherever it is kept: its addresses, id, language and content, and
    /// [`STANZA_OVERHEAD_BYTES`]. Every bound in bytes on what is kept of stanzas is one on the sum of their weights.
    pub fn weight(&self) -> usize {
        let address = |jid: &Option<Jid>| jid.as_ref().map_or(0, |jid| jid.as_str().len());
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let texts = address(&self.from) + address(&self.to) + text(&self.id) + text(&self.language);
        STANZA_OVERHEAD_BYTES + texts + self.payload.len()
    }

    /// The account that has sent the stanza, as its bare JID, for quotas of senders; empty if it has no sender.
    pub fn sending_account(&self) -> &str {
        // A slash is what the resource begins with.
        self.from.as_ref().and_then(|from| from.as_str().split('/').next()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::stanza::{IqType, Kind};

    /// O9. A stanza whose content is small may be large all the same.
    #[test]
    fn everything_that_is_kept_of_a_stanza_has_its_weight() {
        let long = |bytes| "x".repeat(bytes);
        let stanza = Stanza {
            from: Some(format!("a@example.org/{}", long(100)).parse().unwrap()),
            to: Some(format!("b@example.org/{}", long(200)).parse().unwrap()),
            id: Some(long(1000)),
            language: Some(long(2000)),
            payload: long(4000).into(),
            ..Stanza::new(Kind::Iq(IqType::Get))
        };

        let addresses = 2 * "a@example.org/".len() + 100 + 200;
        assert_eq!(stanza.weight(), STANZA_OVERHEAD_BYTES + addresses + 1000 + 2000 + 4000);
    }

    #[test]
    fn the_resources_of_an_account_are_one_sender() {
        let chat = Stanza::new(Kind::Iq(IqType::Get));
        let from = |from: &str| Stanza { from: Some(from.parse().unwrap()), ..chat.clone() };

        assert_eq!(from("romeo@example.org/a/b").sending_account(), "romeo@example.org");
        assert_eq!(from("romeo@example.org").sending_account(), "romeo@example.org");
        assert_eq!(chat.sending_account(), "");
    }

    /// O9. What is kept must not hold on to more memory than it counts for.
    #[test]
    fn a_content_that_has_grown_or_shrunk_keeps_no_room_to_spare() {
        let xml = format!("<iq type='get' id='1'><q xmlns='a'>{}</q></iq>", "x".repeat(10_000));
        let element = crate::xml::Element::parse(xml.as_bytes(), crate::xml::ns::CLIENT).unwrap();
        let stanza = Stanza::from_element(element.clone()).unwrap();

        for kept in [stanza.clone(), stanza.clone().with_child(&element), stanza.answer(Some(&element))] {
            let payload = Vec::from(kept.payload);
            assert_eq!(payload.capacity(), payload.len());
        }
    }
}
