//! Where a stanza goes, and what is kept until it has arrived.

mod parcel;

pub use parcel::{Home, Parcel};
