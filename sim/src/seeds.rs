//! One seed, and from it one for each concern, so that one more draw here does not shift what is drawn there.

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The seed of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    /// The seed of one concern, of which there may be several by number.
    pub fn of(self, concern: &str, number: u64) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.0.to_be_bytes());
        hash.update(number.to_be_bytes());
        hash.update(concern);
        let sum = hash.finalize();
        u64::from_be_bytes(sum[..8].try_into().expect("SHA-256 has 32 bytes"))
    }

    /// A generator for one concern.
    pub fn generator(self, concern: &str, number: u64) -> StdRng {
        StdRng::seed_from_u64(self.of(concern, number))
    }
}
