//! What addresses and their parts have in common: they are read from text and written as text.

/// For a type with `new(&str) -> Result<Self, JidError>` and `as_str(&self) -> &str`.
macro_rules! text {
    ($name:ident) => {
        impl std::str::FromStr for $name {
            type Err = $crate::jid::JidError;

            fn from_str(text: &str) -> Result<$name, Self::Err> {
                $name::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::jid::JidError;

            fn try_from(text: String) -> Result<$name, Self::Error> {
                $name::new(&text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(super) use text;
