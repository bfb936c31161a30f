//! Connections that clients have lost.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::history::{Connection, Event, Record, WITHOUT_A_WORD};

/// A time: from when, to when.
pub(super) type Span = (Duration, Duration);

/// The ends of connections in any of those times that were not their clients' own will, and each in words.
pub(super) fn losses<'a>(history: &'a [Record], times: &[Span]) -> Vec<(&'a Record, String)> {
    let mut up: BTreeSet<&Connection> = BTreeSet::new();
    let mut losses = Vec::new();
    for record in history {
        match &record.event {
            Event::LoggedIn { connection, .. } | Event::Resumed { connection, .. } => drop(up.insert(connection)),
            Event::LoggedOut { connection, .. } => drop(up.remove(connection)),
            Event::Disconnected { connection, node, reason } => {
                let is_then = times.iter().any(|(from, to)| *from < record.at && record.at <= *to);
                if up.remove(connection) && reason != WITHOUT_A_WORD && is_then {
                    losses.push((record, format!("{connection} has lost {node}: {reason}")));
                }
            }
            _ => {}
        }
    }
    losses
}
