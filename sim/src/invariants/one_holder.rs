//! P1: for each full JID at most one node delivers at any moment.
//!
//! From the moment at which a node tells a client that it holds a JID, nobody writes a stanza to any earlier holder of
//! that JID. Both are seen in the bytes that nodes write. Within the same millisecond the order is not known.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::history::{Event, Record};
use crate::report::Violation;

struct Holder<'a> {
    node: &'a str,
    client: SocketAddr,
    since: Duration,
}

pub(super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut holders: BTreeMap<&str, Holder<'_>> = BTreeMap::new();
    let mut violations = Vec::new();
    for record in history {
        match &record.event {
            Event::Holds { node, client, jid } => {
                holders.insert(jid, Holder { node, client: *client, since: record.at });
            }
            Event::Delivers { node, client, jid, id } => {
                let Some(holder) = holders.get(jid.as_str()) else { continue };
                let is_holder = holder.client == *client && holder.node == node;
                if !is_holder && record.at > holder.since {
                    let text = format!(
                        "{node} wrote '{id}' to {jid} at {client}, which {} at {} holds since {:.3} s",
                        holder.client,
                        holder.node,
                        holder.since.as_secs_f64()
                    );
                    violations.push(Violation { invariant: "one_holder", at: Some(record.at), text });
                }
            }
            _ => {}
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::at;
    use super::*;

    fn holds(milliseconds: u64, node: &str, port: u16) -> Record {
        let client = SocketAddr::from(([10, 0, 0, 9], port));
        at(milliseconds, Event::Holds { node: node.to_owned(), client, jid: "u1@d/sim".to_owned() })
    }

    fn delivers(milliseconds: u64, node: &str, port: u16) -> Record {
        let client = SocketAddr::from(([10, 0, 0, 9], port));
        let (jid, id) = ("u1@d/sim".to_owned(), "x".to_owned());
        at(milliseconds, Event::Delivers { node: node.to_owned(), client, jid, id })
    }

    #[test]
    fn delivering_to_the_present_holder_is_right() {
        assert_eq!(check(&[holds(1, "n1", 1), delivers(2, "n1", 1), holds(3, "n2", 2), delivers(4, "n2", 2)]), []);
    }

    #[test]
    fn delivering_to_an_earlier_holder_is_caught() {
        let found = check(&[holds(1, "n1", 1), holds(3, "n2", 2), delivers(4, "n1", 1)]);

        assert_eq!(found.len(), 1);
        assert_eq!(found[0].at, Some(Duration::from_millis(4)));
    }
}
