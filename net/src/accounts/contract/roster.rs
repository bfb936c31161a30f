//! What a store must do with rosters.

use cresset_core::limits::{ROSTER_BYTES_MAX, ROSTER_ITEMS_MAX, ROSTER_PART_BYTES_MAX};
use cresset_core::session::{RosterItem, Subscription};
use futures_util::future::join_all;

use super::credentials::add;
use super::name;
use crate::accounts::{RosterStore, RosterWrite, Store};

/// Writes that a test has under way at one time: on the slowest machine done before one of them has waited for seconds.
const WRITES_AT_ONCE: usize = 250;

pub(crate) async fn a_contact_is_put_in_changed_and_taken_out(store: &dyn Store) {
    add(store, "juliet").await;
    let (romeo, nurse) = (item("romeo@m.lit"), item("nurse@c.lit"));
    for item in [&romeo, &nurse] {
        assert_eq!(set(store, "juliet", item).await, RosterWrite::Done(item.clone()));
    }
    assert_eq!(whole(store, "juliet").await, vec![nurse.clone(), romeo]);

    let renamed = RosterItem { name: None, groups: Vec::new(), ..item("romeo@m.lit") };
    assert_eq!(set(store, "juliet", &renamed).await, RosterWrite::Done(renamed.clone()));
    assert_eq!(set(store, "nobody", &renamed).await, RosterWrite::NoSuchAccount);

    assert_eq!(store.remove_contact(name("juliet"), nurse.jid.clone()).await, Ok(true));
    assert_eq!(store.remove_contact(name("juliet"), nurse.jid).await, Ok(false));
    assert_eq!(whole(store, "juliet").await, vec![renamed]);
    assert_eq!(whole(store, "nobody").await, Vec::new());
}

pub(crate) async fn a_full_roster_takes_no_further_contact(store: &dyn Store) {
    add(store, "juliet").await;
    let contact = |number| item(&format!("c{number}@example.org"));
    // A store may refuse what waits longer for room than it lets anybody wait, so not all of them at once.
    for numbers in (0..ROSTER_ITEMS_MAX).collect::<Vec<_>>().chunks(WRITES_AT_ONCE) {
        let writes = numbers.iter().map(async |number| set(store, "juliet", &contact(*number)).await);
        assert!(join_all(writes).await.iter().all(|written| matches!(written, RosterWrite::Done(_))));
    }

    assert_eq!(set(store, "juliet", &contact(ROSTER_ITEMS_MAX)).await, RosterWrite::Full);
    assert_eq!(set(store, "juliet", &contact(0)).await, RosterWrite::Done(contact(0)));
    assert_eq!(whole(store, "juliet").await.len(), ROSTER_ITEMS_MAX);
}

/// O11.
pub(crate) async fn a_roster_is_bounded_by_its_bytes_and_read_in_parts(store: &dyn Store) {
    add(store, "juliet").await;
    let large = |number: usize, bytes: usize| RosterItem {
        groups: vec!["x".repeat(bytes)],
        ..item(&format!("c{number:0>3}@example.org"))
    };
    let stored = "c000@example.org".len() + "a name".len() + "[\"\"]".len();
    let fitting = ROSTER_BYTES_MAX / 100_000;
    for number in 0..fitting {
        let written = set(store, "juliet", &large(number, 100_000 - stored)).await;
        assert!(matches!(written, RosterWrite::Done(_)), "{number}");
    }

    assert_eq!(set(store, "juliet", &large(fitting, 100_000)).await, RosterWrite::Full);
    assert_eq!(set(store, "juliet", &large(0, 200_000)).await, RosterWrite::Full);
    assert!(matches!(set(store, "juliet", &large(fitting, 10)).await, RosterWrite::Done(_)));
    assert!(matches!(set(store, "juliet", &large(0, 10)).await, RosterWrite::Done(_)));

    let first = store.roster(name("juliet"), None).await.expect("available");
    assert_eq!((first.items.len(), first.is_last), (1 + ROSTER_PART_BYTES_MAX / 100_000, false));
    let all = whole(store, "juliet").await;
    assert_eq!(all.len(), fitting + 1);
    assert!(all.is_sorted_by(|one, next| one.jid < next.jid));
}

/// All items of a roster, from all its parts.
pub(super) async fn whole(store: &dyn RosterStore, account: &str) -> Vec<RosterItem> {
    let mut items: Vec<RosterItem> = Vec::new();
    loop {
        let after = items.last().map(|item| item.jid.clone());
        let part = store.roster(name(account), after).await.expect("available");
        items.extend(part.items);
        if part.is_last {
            return items;
        }
    }
}

pub(super) async fn set(store: &dyn RosterStore, account: &str, item: &RosterItem) -> RosterWrite {
    let RosterItem { jid, name: called, groups, .. } = item.clone();
    store.set_contact(name(account), jid, called, groups).await.expect("available")
}

pub(super) fn item(jid: &str) -> RosterItem {
    RosterItem {
        jid: jid.parse().expect("a JID"),
        name: Some("a name".to_owned()),
        subscription: Subscription::None,
        asked: false,
        groups: vec!["Friends".to_owned(), "\"[".to_owned()],
    }
}
