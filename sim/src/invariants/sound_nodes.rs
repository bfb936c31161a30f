//! No node ends by itself while its disk and its account store are good (P12), and none writes to a client what its own
//! parser would refuse (architecture section 7).

use crate::history::{Event, Record};
use crate::report::Violation;

pub(super) fn check(history: &[Record]) -> Vec<Violation> {
    let faults = history.iter().filter_map(|record| match &record.event {
        Event::Failed { .. } | Event::UnreadableOutput { .. } => {
            Some(Violation { invariant: "sound_nodes", at: Some(record.at), text: record.event.to_string() })
        }
        _ => None,
    });
    faults.collect()
}
