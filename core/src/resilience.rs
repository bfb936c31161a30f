//! What a cluster can still lose, in a number and in a sentence.
//!
//! Only voters count: a quorum is more than half of them, the absent ones included (Ongaro, "Consensus: Bridging Theory
//! and Practice", section 3.3). What is said here holds for the next loss; voters that are gone for good are replaced
//! or taken out of the count meanwhile.

/// The voters of a cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resilience {
    /// All that are counted.
    pub voters: u32,
    /// Those among them that are there.
    pub present: u32,
}

impl Resilience {
    /// How many voters must be there for anything to be agreed.
    pub fn quorum(self) -> u32 {
        self.voters / 2 + 1
    }

    /// How many of the present voters may go at once without stopping the cluster; absent if it stands still already.
    pub fn can_lose(self) -> Option<u32> {
        self.present.checked_sub(self.quorum())
    }

    /// One sentence for an operator: what the cluster can lose, and what helps.
    pub fn advice(self) -> String {
        let Some(spare) = self.can_lose() else {
            let missing = self.quorum() - self.present;
            return format!(
                "no quorum: {} of {} voters are there and nobody is served until {missing} more {} back",
                self.present,
                self.voters,
                if missing == 1 { "comes" } else { "come" }
            );
        };
        match (spare, self.voters, self.present) {
            (0, 1, _) => "you cannot lose a member: this one is alone, add two more".to_owned(),
            (0, 2, _) => "you cannot lose a member: add a witness".to_owned(),
            (0, voters, present) if present < voters => {
                format!("you cannot lose a member: {} of {voters} voters away", voters - present)
            }
            (0, ..) => "you cannot lose a member: add a witness".to_owned(),
            (1, ..) => "you can lose 1 more member".to_owned(),
            (spare, ..) => format!("you can lose {spare} more members"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_can_lose_one_and_five_can_lose_two() {
        assert_eq!(advice(3, 3), (Some(1), "you can lose 1 more member"));
        assert_eq!(advice(5, 5), (Some(2), "you can lose 2 more members"));
        assert_eq!(advice(5, 4), (Some(1), "you can lose 1 more member"));
    }

    #[test]
    fn two_servers_are_told_to_add_a_witness() {
        assert_eq!(advice(2, 2), (Some(0), "you cannot lose a member: add a witness"));
        assert_eq!(advice(4, 3), (Some(0), "you cannot lose a member: 1 of 4 voters away"));
        assert_eq!(advice(3, 2), (Some(0), "you cannot lose a member: 1 of 3 voters away"));
        assert_eq!(advice(1, 1), (Some(0), "you cannot lose a member: this one is alone, add two more"));
    }

    #[test]
    fn without_a_quorum_it_says_who_is_missing() {
        let sentence = "no quorum: 1 of 3 voters are there and nobody is served until 1 more comes back";
        assert_eq!(advice(3, 1), (None, sentence));
        assert_eq!(Resilience { voters: 5, present: 0 }.can_lose(), None);
    }

    fn advice(voters: u32, present: u32) -> (Option<u32>, &'static str) {
        let resilience = Resilience { voters, present };
        (resilience.can_lose(), resilience.advice().leak())
    }
}
