//! What a store must do with the properties that all nodes follow.

use std::collections::BTreeMap;

use cresset_core::time::UnixMillis;
use futures_util::future::join_all;

use crate::accounts::{PROPERTY_CHANGES_MAX, PropertyChange, PropertyStore, PropertyWrite};

pub(crate) async fn a_property_is_set_changed_and_removed_and_every_change_is_remembered(store: &dyn PropertyStore) {
    assert_eq!(store.properties().await, Ok(BTreeMap::new()));
    let write = async |name, value, at| store.set_property(property(name, value, at)).await.expect("available");

    assert_eq!(write("b", Some("1"), 1).await, None);
    assert_eq!(write("a", Some("ä'\""), 2).await, None);
    assert_eq!(write("b", Some("2"), 3).await, Some("1".to_owned()));
    assert_eq!(write("b", Some("2"), 4).await, Some("2".to_owned()));
    assert_eq!(write("b", None, 5).await, Some("2".to_owned()));
    assert_eq!(write("b", None, 6).await, None);

    assert_eq!(store.properties().await, Ok(BTreeMap::from([("a".to_owned(), "ä'\"".to_owned())])));
    let change = |name, old, new, at| {
        let PropertyWrite { name, value: new, by, at } = property(name, new, at);
        PropertyChange { name, old: Option::<&str>::map(old, str::to_owned), new, by, at }
    };
    let of_b = [change("b", Some("2"), None, 5), change("b", Some("1"), Some("2"), 3), change("b", None, Some("1"), 1)];
    assert_eq!(store.property_changes(Some("b".to_owned()), 10).await, Ok(of_b.to_vec()));
    let latest = [of_b[0].clone(), of_b[1].clone(), change("a", None, Some("ä'\""), 2)];
    assert_eq!(store.property_changes(None, 3).await, Ok(latest.to_vec()));
    assert_eq!(store.property_changes(Some("c".to_owned()), 3).await, Ok(Vec::new()));
}

/// Two operators change the same property: the history says what each of them replaced.
pub(crate) async fn changes_of_one_property_at_once_follow_each_other(store: &dyn PropertyStore) {
    let values: Vec<String> = (0..40).map(|number| number.to_string()).collect();

    let written = join_all(values.iter().map(|value| store.set_property(property("a", Some(value), 1)))).await;

    assert!(written.iter().all(Result::is_ok), "{written:?}");
    let changes = store.property_changes(None, 100).await.expect("available");
    assert_eq!(changes.len(), values.len());
    assert!(changes.windows(2).all(|pair| pair[0].old == pair[1].new), "{changes:?}");
    let value = store.properties().await.expect("available").remove("a");
    assert_eq!(changes.first().map(|change| &change.new), Some(&value));
}

pub(crate) async fn only_so_many_changes_of_properties_are_remembered(store: &dyn PropertyStore) {
    let values: Vec<String> = (0..=PROPERTY_CHANGES_MAX).map(|number| number.to_string()).collect();
    for some in values.chunks(500) {
        let written = join_all(some.iter().map(|value| store.set_property(property("a", Some(value), 1)))).await;
        assert!(written.iter().all(Result::is_ok), "{written:?}");
    }

    let changes = store.property_changes(None, usize::MAX).await.expect("available");

    assert_eq!(changes.len(), PROPERTY_CHANGES_MAX);
    assert!(changes.last().expect("there are some").old.is_some(), "the first change is forgotten");
}

fn property(name: &str, value: Option<&str>, at: u64) -> PropertyWrite {
    let by = "root@host".to_owned();
    PropertyWrite { name: name.to_owned(), value: value.map(str::to_owned), by, at: UnixMillis(at) }
}
