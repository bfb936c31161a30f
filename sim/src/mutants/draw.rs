//! Draws mutations from a seed.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;

use super::{Kind, Mutation};
use crate::seeds::Seed;

/// Mutations in an order that a seed decides, of which no two overlap. The same seed and source are the same order.
pub struct Draw {
    random: StdRng,
    left: BTreeMap<Kind, Vec<Mutation>>,
    weights: Vec<(Kind, u64)>,
    drawn: Vec<Mutation>,
}

impl Draw {
    /// Prepares to draw from all that there are.
    ///
    /// A kind is drawn with a probability that grows with the square root of how many there are of it: otherwise nearly
    /// all were comparisons and dropped calls, or the few lost awaits would be in every sample.
    pub fn new(seed: Seed, all: Vec<Mutation>) -> Draw {
        let mut left: BTreeMap<Kind, Vec<Mutation>> = BTreeMap::new();
        for mutation in all {
            left.entry(mutation.kind).or_default().push(mutation);
        }
        let weights = left.iter().map(|(kind, of)| (*kind, of.len().isqrt() as u64)).collect();
        Draw { random: seed.generator("mutants", 0), left, weights, drawn: Vec::new() }
    }

    /// The next kind of which something is left.
    fn kind(&mut self) -> Option<Kind> {
        self.weights.retain(|(kind, _)| self.left.get(kind).is_some_and(|of| !of.is_empty()));
        let sum: u64 = self.weights.iter().map(|(_, weight)| weight).sum();
        if sum == 0 {
            return None;
        }
        let mut rest = self.random.random_range(0..sum);
        for (kind, weight) in &self.weights {
            if rest < *weight {
                return Some(*kind);
            }
            rest -= weight;
        }
        None
    }
}

impl Iterator for Draw {
    type Item = Mutation;

    fn next(&mut self) -> Option<Mutation> {
        loop {
            let kind = self.kind()?;
            let of_kind = self.left.get_mut(&kind)?;
            let chosen = of_kind.swap_remove(self.random.random_range(0..of_kind.len()));
            if !self.drawn.iter().any(|drawn| drawn.overlaps(&chosen)) {
                self.drawn.push(chosen.clone());
                return Some(chosen);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sites;
    use super::*;

    const SOURCE: &str = "
        fn all(a: u64, b: u64) -> bool {
            if a < b + 1 && !(b == 3) { tell(a, b); }
            ask(b);
            a.min(b) > 7
        }
        async fn sent(to: Peer) { to.say(1).await; to.go(); }";

    fn drawn(seed: u64) -> Vec<Mutation> {
        Draw::new(Seed(seed), sites::of_file("core/src/a.rs", SOURCE).expect("Rust")).collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_and_another_one_does_not() {
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }

    #[test]
    fn no_two_of_a_sample_change_the_same_text() {
        for seed in 0..50 {
            let drawn = drawn(seed);

            assert!(drawn.len() > 4, "{drawn:?}");
            for (place, one) in drawn.iter().enumerate() {
                assert!(!drawn[place + 1..].iter().any(|other| other.overlaps(one)), "{one:?} of {drawn:?}");
            }
        }
    }
}
