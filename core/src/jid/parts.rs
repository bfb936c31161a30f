//! The three parts of an address, prepared, owned and borrowed.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::{JidError, prepare, resource, text};

/// Defines the owned and the borrowed form of one part.
macro_rules! part {
    ($part:ident, $reference:ident, $what:literal, $prepare:path) => {
        #[doc = concat!("The prepared ", $what, " of an address.")]
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $part(String);

        #[doc = concat!("The ", $what, " of an address, within it.")]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $reference<'a>(&'a str);

        impl $part {
            #[doc = concat!("Reads and prepares a ", $what, ".")]
            ///
            /// # Errors
            ///
            /// It is empty, too long, or none that can be prepared.
            pub fn new(text: &str) -> Result<$part, JidError> {
                $prepare(text).map(|prepared| $part(prepared.into_owned()))
            }

            /// Its text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Its text.
            pub fn into_inner(self) -> String {
                self.0
            }
        }

        impl<'a> $reference<'a> {
            /// For what is prepared.
            pub(super) fn of(prepared: &'a str) -> $reference<'a> {
                $reference(prepared)
            }

            /// Its text.
            pub fn as_str(&self) -> &'a str {
                self.0
            }

            /// A copy that stands by itself.
            pub fn to_owned(self) -> $part {
                $part(self.0.to_owned())
            }
        }

        text::text!($part);

        impl Deref for $part {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $reference<'_> {
            type Target = str;

            fn deref(&self) -> &str {
                self.0
            }
        }

        impl Borrow<str> for $part {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $reference<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }

        impl PartialEq<$part> for $reference<'_> {
            fn eq(&self, other: &$part) -> bool {
                self.0 == other.0
            }
        }
    };
}

part!(NodePart, NodeRef, "part before the `@`", prepare::node);
part!(DomainPart, DomainRef, "domain", prepare::domain);
part!(ResourcePart, ResourceRef, "resource", resource::prepare);
