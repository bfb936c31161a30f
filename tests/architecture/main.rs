//! The rules about what each crate never does, as tests: the architecture, held by the build.
//!
//! ```text
//! files ─▶ source (comments, strings and tests blanked) ─▶ paths (what is named, `use` trees opened) ─▶ rules ─▶ breaches
//! ```
//!
//! Each rule is a function of sources, so that each is shown to fail on a planted breach, beside the test that holds
//! it against the repository. They are text searches: whoever wants to get around them can; whoever errs is told.

mod crates;
mod entropy_of_maps;
mod names;
mod paths;
mod probes;
mod rooms;
mod source;
mod top_level;
