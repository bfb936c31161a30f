//! Parcels for routes that this node has not applied yet: their senders have seen more of the log.

use std::collections::VecDeque;

use cresset_core::limits::EARLY_BYTES_MAX;
use cresset_core::routing::Parcel;
use cresset_core::sometimes;

/// Parcels that wait for their routes, at most [`EARLY_BYTES_MAX`] of them.
#[derive(Debug, Default)]
pub(super) struct Early {
    parcels: VecDeque<Parcel>,
    bytes: usize,
}

impl Early {
    /// Lets a parcel wait.
    ///
    /// # Errors
    ///
    /// Gives it back if too much waits.
    pub(super) fn push(&mut self, parcel: Parcel) -> Result<(), Box<Parcel>> {
        let bytes = self.bytes + parcel.stanza.weight();
        if bytes > EARLY_BYTES_MAX {
            sometimes!("too_much_comes_before_its_route");
            return Err(Box::new(parcel));
        }
        self.bytes = bytes;
        self.parcels.push_back(parcel);
        Ok(())
    }

    /// Everything that waits, in order.
    pub(super) fn take(&mut self) -> VecDeque<Parcel> {
        self.bytes = 0;
        std::mem::take(&mut self.parcels)
    }
}

#[cfg(test)]
mod tests {
    use cresset_core::ids::RouteId;
    use cresset_core::routing::{Home, Turn};
    use cresset_core::stanza::{Kind, MessageType, Stanza};

    use super::*;

    /// O9.
    #[test]
    fn what_comes_too_early_is_bounded_by_its_weight() {
        let payload = bytes::Bytes::from(vec![b'x'; 250_000]);
        let stanza = Stanza { payload, ..Stanza::new(Kind::Message(MessageType::Chat)) };
        let parcel = Parcel { stanza, route: RouteId::default(), home: Home::Here { turn: Turn::default() } };
        let mut early = Early::default();

        let taken = (0..100).filter(|_| early.push(parcel.clone()).is_ok()).count();

        assert_eq!(taken, EARLY_BYTES_MAX / parcel.stanza.weight());
        assert_eq!(early.take().len(), taken);
        assert!(early.push(parcel).is_ok());
    }
}
