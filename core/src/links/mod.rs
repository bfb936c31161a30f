//! The links between members: connections of which both ends know who the other one is.

mod lane;

pub use lane::{Direction, Lane, LinkId};
