//! What a store must do with accounts and their keys.

use cresset_core::jid::NodePart;
use cresset_core::sasl::{Hash, Password, ScramKeys};

use super::name;
use super::offline::{claim, keep};
use super::roster::{item, set, whole};
use super::route;
use crate::accounts::{
    ACCOUNTS_PER_CALL_MAX, AccountStore, Added, Credentials, Existing, Keys, NewAccount, Store, StoreError, Written,
};

pub(crate) async fn keys_are_found_by_hash_until_the_account_is_removed(store: &dyn AccountStore) {
    let credentials = credentials("secret");

    assert_eq!(store.add(name("juliet"), credentials.clone()).await, Ok(Added::Created));

    for hash in Hash::ALL {
        assert_eq!(keys(store, name("juliet"), hash).await, Ok(credentials.of(hash).cloned()));
        assert_eq!(keys(store, name("romeo"), hash).await, Ok(None));
    }
    assert_eq!(store.remove(name("juliet")).await, Ok(Written::Done));
    assert_eq!(store.remove(name("juliet")).await, Ok(Written::NoSuchAccount));
    assert_eq!(keys(store, name("juliet"), Hash::Sha1).await, Ok(None));
    assert_eq!(store.exists(name("juliet")).await, Ok(false));
}

/// O4: what a stranger is shown of names that do not exist has the mix that the accounts have.
pub(crate) async fn nobody_is_drawn_like_some_account_and_mostly_the_same(store: &dyn AccountStore) {
    let draws: Vec<i64> = (0..400_u64).map(|n| n.wrapping_mul(0x0123_4567_89ab_cdef).cast_signed()).collect();
    let drawn = async || {
        let mut drawn = Vec::new();
        for draw in draws.iter().chain(&[i64::MIN, 0, i64::MAX]) {
            match store.credentials(name("nobody"), *draw).await.expect("available") {
                Keys::Drawn(keys) => drawn.push(keys),
                Keys::Own(keys) => panic!("nobody has {keys:?}"),
            }
        }
        drawn
    };
    assert!(drawn().await.iter().all(|keys| *keys == Credentials::default()));

    // One in four was imported from elsewhere, with one hash and other rounds.
    let imported = |n: u8| Credentials::from_iter([keys_of(Hash::Sha1, n, 4096)]);
    let usual = |n: u8| Credentials::from_iter(Hash::ALL.map(|hash| keys_of(hash, n, 10_000)));
    let account = |n: u8| if n.is_multiple_of(4) { imported(n) } else { usual(n) };
    for n in 0..100 {
        store.add(name(&format!("user{n}")), account(n)).await.expect("available");
    }
    let first = drawn().await;
    assert!(first.iter().all(|keys| (0..100).any(|n| *keys == account(n))));
    let share = first.iter().filter(|keys| keys.of(Hash::Sha256).is_none()).count();
    assert!((20..=200).contains(&share), "{share} of {} look imported", first.len());
    assert_eq!(drawn().await, first);

    store.add(name("another"), usual(200)).await.expect("available");
    store.remove(name("user1")).await.expect("available");
    let second = drawn().await;
    let changed = first.iter().zip(&second).filter(|(first, second)| first != second).count();
    assert!(changed <= first.len() / 4, "{changed} of {}", first.len());
    assert_eq!(store.credentials(name("user4"), 0).await, Ok(Keys::Own(account(4))));

    // It may not be seen from outside that an account has no keys at all.
    store.add(name("keyless"), Credentials::default()).await.expect("available");
    assert_eq!(store.credentials(name("keyless"), 0).await, Ok(Keys::Own(Credentials::default())));
}

pub(crate) async fn an_account_that_exists_is_not_added_again(store: &dyn AccountStore) {
    let first = credentials("first");

    assert_eq!(store.add(name("juliet"), first.clone()).await, Ok(Added::Created));
    assert_eq!(store.add(name("juliet"), credentials("second")).await, Ok(Added::Exists));

    assert_eq!(keys(store, name("juliet"), Hash::Sha256).await, Ok(first.of(Hash::Sha256).cloned()));
}

pub(crate) async fn keys_are_changed_only_where_there_is_an_account(store: &dyn AccountStore) {
    add(store, "juliet").await;
    let only_sha256: Credentials = credentials("second").of(Hash::Sha256).cloned().into_iter().collect();

    assert_eq!(store.change_credentials(name("juliet"), only_sha256.clone()).await, Ok(Written::Done));
    assert_eq!(store.change_credentials(name("romeo"), only_sha256.clone()).await, Ok(Written::NoSuchAccount));

    let stored = keys(store, name("juliet"), Hash::Sha256).await;
    assert_eq!(stored, Ok(only_sha256.of(Hash::Sha256).cloned()));
    assert_eq!(keys(store, name("juliet"), Hash::Sha1).await, Ok(None));
    assert_eq!(store.exists(name("romeo")).await, Ok(false));
}

pub(crate) async fn many_accounts_are_added_at_once_and_taken_names_are_told(store: &dyn AccountStore) {
    let account = |localpart, password| NewAccount { name: name(localpart), credentials: credentials(password) };
    add(store, "juliet").await;
    let batch = vec![account("juliet", "new"), account("romeo", "one"), account("romeo", "two")];

    let kept = store.add_many(batch.clone(), Existing::Keep).await;
    assert_eq!(kept, Ok(vec![Added::Exists, Added::Created, Added::Exists]));
    let romeo = keys(store, name("romeo"), Hash::Sha1).await;
    assert_eq!(romeo, Ok(credentials("one").of(Hash::Sha1).cloned()));

    let updated = store.add_many(batch, Existing::Update).await;
    assert_eq!(updated, Ok(vec![Added::Updated; 3]));
    let romeo = keys(store, name("romeo"), Hash::Sha1).await;
    assert_eq!(romeo, Ok(credentials("two").of(Hash::Sha1).cloned()));
}

pub(crate) async fn too_many_accounts_in_one_call_are_refused_whole(store: &dyn AccountStore) {
    let account = NewAccount { name: name("juliet"), credentials: Credentials::default() };

    let refused = store.add_many(vec![account; ACCOUNTS_PER_CALL_MAX + 1], Existing::Keep).await;

    assert!(matches!(refused, Err(StoreError::TooMuch(_))), "{refused:?}");
    assert_eq!(store.exists(name("juliet")).await, Ok(false));
}

pub(crate) async fn names_are_listed_in_pages(store: &dyn AccountStore) {
    for localpart in ["romeo", "ähm", "juliet", "a"] {
        add(store, localpart).await;
    }

    let first = store.list(None, 3).await.expect("available");
    let second = store.list(first.last().cloned(), 3).await.expect("available");
    let third = store.list(second.last().cloned(), 3).await.expect("available");

    assert_eq!(first, [name("a"), name("juliet"), name("romeo")]);
    assert_eq!(second, [name("ähm")]);
    assert_eq!(third, []);
}

pub(crate) async fn a_removed_account_leaves_nothing_to_its_successor(store: &dyn Store) {
    add(store, "juliet").await;
    keep(store, "hello").await;
    set(store, "juliet", &item("romeo@m.lit")).await;

    store.remove(name("juliet")).await.expect("available");
    store.add(name("juliet"), Credentials::default()).await.expect("available");

    assert_eq!(whole(store, "juliet").await, Vec::new());
    assert_eq!(claim(store, route(1), &[]).await, []);
    assert_eq!(store.offline_count(name("juliet")).await, Ok(0));
    assert_eq!(keys(store, name("juliet"), Hash::Sha256).await, Ok(None));
}

/// Keys that nobody has a password for.
fn keys_of(hash: Hash, n: u8, iterations: u32) -> ScramKeys {
    ScramKeys { hash, salt: vec![n; 16], iterations, stored_key: vec![n; 32], server_key: vec![n; 32] }
}

/// An account's own keys for one hash.
async fn keys(store: &dyn AccountStore, account: NodePart, hash: Hash) -> Result<Option<ScramKeys>, StoreError> {
    Ok(match store.credentials(account, 0).await? {
        Keys::Own(credentials) => credentials.of(hash).cloned(),
        Keys::Drawn(_) => None,
    })
}

/// Keys of a password, cheap ones.
pub(crate) fn credentials(password: &str) -> Credentials {
    let password = Password::new(password).expect("a password");
    Hash::ALL.into_iter().map(|hash| ScramKeys::derive(hash, &password, vec![1, 2, 3], 2)).collect()
}

/// Adds an account.
pub(crate) async fn add(store: &dyn AccountStore, localpart: &str) {
    assert_eq!(store.add(name(localpart), credentials("secret")).await, Ok(Added::Created));
}
