//! What operators do on purpose.

use cresset_core::config::properties::ENABLED;
use cresset_core::time::UnixMillis;
use cresset_net::accounts::{PropertyStore, PropertyWrite};
use futures_util::FutureExt;

use super::*;

impl Breaker {
    /// Clustering is off for as long as any episode wants it off.
    pub(super) fn switch_off(&mut self, number: usize) {
        self.switched_off += 1;
        self.throw_the_switch(false);
        self.undo_later(number, Undo::SwitchOn);
    }

    pub(super) fn switch_on(&mut self) {
        self.switched_off = self.switched_off.saturating_sub(1);
        if self.switched_off == 0 {
            self.throw_the_switch(true);
        }
    }

    fn throw_the_switch(&self, is_on: bool) {
        let write = PropertyWrite {
            name: ENABLED.to_owned(),
            value: Some(is_on.to_string()),
            by: "operator".to_owned(),
            at: UnixMillis(0),
        };
        let written = self.world.accounts.set_property(write).now_or_never();
        assert!(matches!(written, Some(Ok(_))), "the store itself is always there: {written:?}");
    }
}
