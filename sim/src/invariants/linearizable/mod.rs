//! P5: binds, unbinds and changes of membership take effect one after the other, each between its call and its answer;
//! a look-up sees everything that was answered before it began, on every node, and never goes back on one node.
//!
//! Two checkers that do not trust each other. [`index`] believes the numbers of holdings, which are positions in the log,
//! and is fast enough for every run. [`search`] believes only what was asked, answered and found, and looks for an order
//! that explains it (Wing and Gong, "Testing and Verifying Concurrent Objects", 1993; Lowe, "Testing for
//! Linearizability", 2017).

pub(super) mod index;
pub(super) mod search;
