//! The agreed state: members and routes.

mod command;
mod route;

pub use command::{
    Batch, Command, ConflictPolicy, ExpelReason, Join, Life, Operation, Role, VersionRange,
};
pub use route::{AccountRoutes, Route, RoutePresence, RouteView};
