//! The places of the clients of one node, as its listeners and connections share them.
//!
//! Who gets one is decided in [`cresset_core::admission`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cresset_core::admission::{Origin, Party, Places};

/// Counts the connections of one node. Clones count together.
#[derive(Clone, Debug)]
pub struct Admission {
    places: Arc<Mutex<Places>>,
}

/// The place of one connection; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    places: Arc<Mutex<Places>>,
    number: u64,
    stranger: Option<Origin>,
}

/// The room of one session that waits for its client; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    places: Arc<Mutex<Places>>,
}

impl Admission {
    /// So many clients at one time. Nobody is connected yet.
    pub fn new(connections_max: usize) -> Self {
        Admission { places: Arc::new(Mutex::new(Places::new(connections_max))) }
    }

    /// Clients that are connected.
    pub fn connections(&self) -> usize {
        lock(&self.places).taken()
    }

    /// A place for a connection from there, if there is one.
    pub(super) fn admit(&self, origin: Origin) -> Option<Admitted> {
        let number = lock(&self.places).take(origin)?;
        Some(Admitted { places: self.places.clone(), number, stranger: Some(origin) })
    }

    /// Room for a session that waits for its client, if there is any.
    pub(super) fn wait(&self) -> Option<Waiting> {
        lock(&self.places).begin_to_wait().then(|| Waiting { places: self.places.clone() })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        lock(&self.places).end_to_wait();
    }
}

impl Admitted {
    /// Who takes turns with this connection, which comes from there.
    pub(super) fn party(&self, origin: Origin) -> Party {
        origin.party(self.number)
    }

    /// Somebody has authenticated.
    pub(super) fn is_known(&mut self) {
        if let Some(origin) = self.stranger.take() {
            lock(&self.places).is_known(origin);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.is_known();
        lock(&self.places).leave();
    }
}

fn lock(places: &Mutex<Places>) -> MutexGuard<'_, Places> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_the_connection_is_gone() {
        let here = Origin::Own(std::net::Ipv4Addr::LOCALHOST.into());
        let admission = Admission::new(1);

        let first = admission.admit(here);
        assert!(first.is_some() && admission.admit(here).is_none());
        drop(first);

        assert_eq!(admission.connections(), 0);
        assert!(admission.admit(here).is_some());
    }
}
