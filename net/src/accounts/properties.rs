//! Agreed properties as the account store keeps them: a text by its name, and who changed it when.
//!
//! What names there are and what may be set for them is `cresset_core::config::properties`; here a name and a value are
//! any text without U+0000, which PostgreSQL does not take.

use std::collections::BTreeMap;

use cresset_core::time::UnixMillis;

use super::StoreFuture;

/// Properties that are read in one call: more than there are names.
pub const PROPERTIES_MAX: usize = 1000;

/// Changes that are remembered; beyond it the oldest is forgotten.
pub const PROPERTY_CHANGES_MAX: usize = 1000;

/// The properties that all nodes of a cluster follow, with the changes that were made to them.
pub trait PropertyStore: Send + Sync + 'static {
    /// The properties that are set, by name; at most [`PROPERTIES_MAX`].
    fn properties(&self) -> StoreFuture<'_, BTreeMap<String, String>>;

    /// Sets or removes a property and remembers the change; answers what was set before. What is set to what it is
    /// already is no change.
    fn set_property(&self, write: PropertyWrite) -> StoreFuture<'_, Option<String>>;

    /// The changes of one property or of all, the latest first, at most `max`. At least the latest
    /// [`PROPERTY_CHANGES_MAX`] of all are remembered.
    fn property_changes(&self, name: Option<String>, max: usize) -> StoreFuture<'_, Vec<PropertyChange>>;
}

/// A property that is to be set or removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PropertyWrite {
    /// Our name for it.
    pub name: String,
    /// What it becomes; absent: its default.
    pub value: Option<String>,
    /// Who wants it.
    pub by: String,
    /// When.
    pub at: UnixMillis,
}

/// A change that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PropertyChange {
    /// Which property.
    pub name: String,
    /// What it was; absent: its default.
    pub old: Option<String>,
    /// What it became; absent: its default.
    pub new: Option<String>,
    /// Who changed it.
    pub by: String,
    /// When.
    pub at: UnixMillis,
}

impl PropertyWrite {
    /// The change that this is where the value was `old`; none if it is that already.
    pub(super) fn onto(self, old: Option<String>) -> Option<PropertyChange> {
        let PropertyWrite { name, value: new, by, at } = self;
        (old != new).then_some(PropertyChange { name, old, new, by, at })
    }
}
