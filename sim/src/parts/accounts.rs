//! The account store that all nodes of a world share.

use cresset_core::jid::NodePart;
use cresset_core::sasl::{Hash, Password, ScramKeys};
use cresset_net::accounts::memory::MemoryAccounts;
use cresset_net::accounts::{Accounts, Added, Credentials};
use futures_util::FutureExt;

/// Everybody's password.
pub const PASSWORD: &str = "secret";

/// As cheap as they come: what makes passwords hard to guess is not what is simulated.
const ITERATIONS: u32 = 1;

/// A store with these accounts.
pub fn accounts<'a>(names: impl IntoIterator<Item = &'a str>) -> MemoryAccounts {
    let store = MemoryAccounts::new();
    let password = Password::new(PASSWORD).expect("the password is a good one");
    let keys = |hash| ScramKeys::derive(hash, &password, b"salt of a simulation".to_vec(), ITERATIONS);
    let credentials: Credentials = Hash::ALL.into_iter().map(keys).collect();
    for name in names {
        let name = NodePart::new(name).expect("the name is a localpart").into_owned();
        let added = store.add(name, credentials.clone()).now_or_never().expect("the store answers at once");
        assert_eq!(added, Ok(Added::Created), "every user has a name of his own");
    }
    store
}
