//! Writes changes into the text of a file, each beside what it replaces.

use std::ops::Range;

use super::Mutation;

/// Where in the new text a change is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Region {
    /// The number of the change.
    pub(super) number: u32,
    /// Its bytes, with what it replaces.
    pub(super) bytes: Range<usize>,
}

/// The text with these changes, and where they are. `switch` is the path of the function that says whether the change
/// of a number counts.
///
/// # Panics
///
/// If two of them overlap, or if the text is not the one in which they were found.
pub(super) fn splice(text: &str, changes: &[(u32, &Mutation)], switch: &str) -> (String, Vec<Region>) {
    let mut changes = changes.to_vec();
    changes.sort_by_key(|(_, change)| (change.splice.range.start, change.splice.range.end));
    let (mut spliced, mut regions, mut done) = (String::new(), Vec::new(), 0);
    for (number, change) in changes {
        let Range { start, end } = change.splice.range;
        assert!(done <= start, "changes overlap at byte {start} of {}", change.file);
        spliced.push_str(&text[done..start]);
        let begin = spliced.len();
        spliced.push_str(&change.splice.opening);
        spliced.push_str(&format!("{switch}({number})"));
        spliced.push_str(&change.splice.closing);
        regions.push(Region { number, bytes: begin..spliced.len() });
        done = end;
    }
    spliced.push_str(&text[done..]);
    (spliced, regions)
}

#[cfg(test)]
mod tests {
    use super::super::{draw::Draw, sites};
    use super::*;
    use crate::seeds::Seed;

    const SOURCE: &str = "
        impl<T> Lane<T> {
            fn next(&mut self, now: u64) -> Option<T> {
                if let Some(first) = self.first() && now > first.due + 2 { return self.pop(first, now); }
                while self.len() > 3 { self.trim(); }
                match now { 0 if self.open => None, _ => self.rest.pop() }
            }
            async fn close(self) { self.tell(now, till).await; self.links.end() }
        }";

    #[test]
    fn a_change_stands_beside_what_it_replaces() {
        let text = "fn f(a: u8) -> char { if a < 7 { 'a' } else { 'b' } }";
        let found = sites::of_file("core/src/a.rs", text).expect("Rust");
        let comparison = found.iter().find(|found| found.after == "a <= 7").expect("a comparison");

        let (spliced, regions) = splice(text, &[(5, comparison)], "is_on");

        assert_eq!(
            spliced,
            "fn f(a: u8) -> char { if (if is_on(5) { (a) <= (7) } else { a < 7 }) { 'a' } else { 'b' } }"
        );
        assert_eq!(&spliced[regions[0].bytes.clone()], "(if is_on(5) { (a) <= (7) } else { a < 7 })");
    }

    #[test]
    fn whatever_is_drawn_the_text_can_be_parsed() {
        let found = sites::of_file("core/src/a.rs", SOURCE).expect("Rust");
        for seed in 0..200 {
            let drawn: Vec<_> = Draw::new(Seed(seed), found.clone()).collect();
            let changes: Vec<_> = (1..).zip(&drawn).collect();

            let (spliced, regions) = splice(SOURCE, &changes, "crate::mutants::is_on");

            assert!(syn::parse_file(&spliced).is_ok(), "{spliced}");
            assert_eq!(regions.len(), drawn.len());
        }
    }

    #[test]
    fn each_mutation_by_itself_leaves_text_that_can_be_parsed() {
        for mutation in sites::of_file("core/src/a.rs", SOURCE).expect("Rust") {
            let (spliced, _) = splice(SOURCE, &[(1, &mutation)], "is_on");

            assert!(syn::parse_file(&spliced).is_ok(), "{mutation:?}: {spliced}");
        }
    }
}
