//! What a store must do with the row by which a cluster knows itself, and with its members.

use cresset_core::ids::MemberId;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::credentials::add;
use super::offline::{claim, keep};
use super::route;
use crate::accounts::{ClusterStore, Founding, Stamp, Store, StoreError};

/// After the loss of the quorum for good the accounts belong to another cluster, whose log begins anew: what routes of the
/// old one have claimed would wait until it is as long.
pub(crate) async fn another_cluster_takes_the_place_of_a_lost_one_with_all_accounts(store: &dyn Store) {
    assert_eq!(store.known_identity().await, Ok(None));
    let lost = store.identity(candidate(1)).await.expect("available");
    assert_eq!(store.form(lost.founder).await, Ok(true));
    add(store, "juliet").await;
    keep(store, "hello").await;
    assert_eq!(claim(store, route(5000), &[]).await.len(), 1);

    let anew = store.found_anew(lost.cluster_id, candidate(2)).await.expect("available");
    let again = store.found_anew(lost.cluster_id, candidate(3)).await.expect("available");

    assert_eq!(anew.cluster_id, candidate(2).cluster_id);
    assert_eq!((anew.founder, anew.formed), (candidate(2).founder, false));
    assert_ne!(anew.join_secret, lost.join_secret);
    assert_eq!(anew.fake_salt_secret, lost.fake_salt_secret);
    assert_eq!((&again, store.known_identity().await), (&anew, Ok(Some(anew.clone()))));
    assert_eq!(claim(store, route(3), &[]).await.len(), 1);
}

/// Two nodes that start together and cannot see each other must not found two clusters.
pub(crate) async fn the_first_founder_founds_for_all(store: &dyn ClusterStore) {
    let first = store.identity(candidate(1)).await.expect("available");
    let second = store.identity(candidate(2)).await.expect("available");
    assert_eq!(first, candidate(1).into_identity());
    assert_eq!(second, first);

    assert_eq!(store.form(MemberId(1)).await, Ok(true));
    let third = store.identity(candidate(3)).await.expect("available");
    assert!(third.formed);
    assert_eq!((third.cluster_id, third.founder), (first.cluster_id, MemberId(1)));
}

pub(crate) async fn a_cluster_without_identity_is_not_formed(store: &dyn ClusterStore) {
    let refused = store.form(MemberId(1)).await;
    assert!(matches!(refused, Err(StoreError::Unreadable(_))), "{refused:?}");

    let refused = store.replace_founder(MemberId(1), MemberId(2)).await;
    assert!(matches!(refused, Err(StoreError::Unreadable(_))), "{refused:?}");
}

/// Two founders would be two clusters.
pub(crate) async fn a_founder_is_replaced_until_the_cluster_is_formed_and_by_one_member_only(store: &dyn ClusterStore) {
    store.identity(candidate(1)).await.expect("available");

    let replaced = store.replace_founder(MemberId(1), MemberId(2)).await.expect("available");
    assert_eq!((replaced.founder, replaced.formed), (MemberId(2), false));
    let late = store.replace_founder(MemberId(1), MemberId(3)).await.expect("available");
    assert_eq!(late, replaced);
    assert_eq!(store.form(MemberId(1)).await, Ok(false));
    assert!(!store.identity(candidate(3)).await.expect("available").formed);

    assert_eq!(store.form(MemberId(2)).await, Ok(true));
    assert_eq!(store.form(MemberId(2)).await, Ok(true), "it may have been noted, and the answer lost");
    let formed = store.replace_founder(MemberId(2), MemberId(3)).await.expect("available");
    assert_eq!((formed.founder, formed.formed), (MemberId(2), true));
    assert_eq!(store.form(MemberId(3)).await, Ok(false));
}

pub(crate) async fn a_member_id_is_never_given_out_again(store: &dyn ClusterStore) {
    for expected in 1..4 {
        assert_eq!(store.allocate_member("same name".to_owned()).await, Ok(MemberId(expected)));
    }
}

/// Two processes with copies of one data directory: only one of them goes on.
pub(crate) async fn a_stamp_is_replaced_by_who_knows_the_last_one(store: &dyn ClusterStore) {
    let (member, other) = (MemberId(3), MemberId(u64::MAX));
    let stamp = |number, process| Stamp { number, process };
    assert_eq!(store.stamp(member).await, Ok(None));

    let first = stamp(1, u64::MAX);
    assert_eq!(store.replace_stamp(member, None, first).await, Ok(first));
    assert_eq!(store.replace_stamp(member, None, stamp(1, 7)).await, Ok(first));
    assert_eq!(store.replace_stamp(member, Some(stamp(1, 7)), stamp(2, 7)).await, Ok(first));
    let second = stamp(u64::MAX, 0);
    assert_eq!(store.replace_stamp(member, Some(first), second).await, Ok(second));
    assert_eq!(store.replace_stamp(member, Some(first), second).await, Ok(second), "the answer may have been lost");

    assert_eq!(store.stamp(member).await, Ok(Some(second)));
    let restored = store.replace_stamp(other, Some(first), second).await;
    assert_eq!(restored, Ok(second), "a store that was restored may not know the member any more");
}

fn candidate(seed: u64) -> Founding {
    Founding::draw(&mut StdRng::seed_from_u64(seed), MemberId(seed))
}
