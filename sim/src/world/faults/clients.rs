//! Clients that misbehave, which they do themselves when they are told, and the account store that is not there.

use std::ops::Range;

use super::steps::Action;
use super::*;

impl Breaker {
    pub(super) fn begin_with_clients(
        &mut self,
        number: usize,
        time: Range<Duration>,
        fault: &Fault,
        node: Option<usize>,
    ) {
        #[allow(clippy::wildcard_enum_match_arm, reason = "only faults of clients come here")]
        match fault {
            Fault::Rival { user } => self.trouble(number, *user, Trouble::Rival),
            Fault::Flapping { user } => self.trouble(number, *user, Trouble::Flapping),
            Fault::ResumptionRace { user } => self.trouble(number, *user, Trouble::ResumptionRace),
            Fault::SlowReader { user } => self.trouble(number, *user, Trouble::SlowReader),
            Fault::NeverAcknowledges { user } => self.trouble(number, *user, Trouble::NeverAcknowledges),
            Fault::Storm { times, .. } => {
                if let Some(node) = node {
                    self.repeat(number, time, *times, || Action::Storm(node));
                }
            }
            Fault::StoreStalls => {
                self.world.store.close();
                self.undo_later(number, Undo::OpenStore);
            }
            Fault::StoreFails => {
                self.world.outage.begin();
                self.undo_later(number, Undo::EndOutage);
            }
            _ => {}
        }
    }

    fn trouble(&mut self, number: usize, user: usize, trouble: Trouble) {
        self.world.weather.begin(user, trouble);
        self.undo_later(number, Undo::Calm(user, trouble));
    }
}
