//! Properties and their changes.

use std::collections::BTreeMap;

use super::MemoryAccounts;
use crate::accounts::{
    PROPERTIES_MAX, PROPERTY_CHANGES_MAX, PropertyChange, PropertyStore, PropertyWrite, StoreFuture,
};

impl PropertyStore for MemoryAccounts {
    fn properties(&self) -> StoreFuture<'_, BTreeMap<String, String>> {
        self.with(|tables| {
            Ok(tables.properties.iter().take(PROPERTIES_MAX).map(|(n, v)| (n.clone(), v.clone())).collect())
        })
    }

    fn set_property(&self, write: PropertyWrite) -> StoreFuture<'_, Option<String>> {
        self.with(move |tables| {
            let old = match &write.value {
                Some(value) => tables.properties.insert(write.name.clone(), value.clone()),
                None => tables.properties.remove(&write.name),
            };
            if let Some(change) = write.onto(old.clone()) {
                tables.changes.push_front(change);
                tables.changes.truncate(PROPERTY_CHANGES_MAX);
            }
            Ok(old)
        })
    }

    fn property_changes(&self, name: Option<String>, max: usize) -> StoreFuture<'_, Vec<PropertyChange>> {
        self.with(move |tables| {
            let changes = tables.changes.iter().filter(|change| name.as_ref().is_none_or(|name| *name == change.name));
            Ok(changes.take(max).cloned().collect())
        })
    }
}
