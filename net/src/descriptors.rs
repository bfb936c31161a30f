//! The file descriptors of this process: how many it may have, and what it looks like when they are used up.

use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process have as many file descriptors as it may: the limit that holds for it is raised to the one up to
/// which it may be raised. Gives how many that are.
pub fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files cannot be raised");
        }
    }
    let descriptors = getrlimit(Resource::Nofile).current;
    descriptors.and_then(|descriptors| usize::try_from(descriptors).ok()).unwrap_or(usize::MAX)
}

/// Whether an operation failed because neither this process nor the system has a file descriptor for it: it may succeed
/// as soon as another one is closed.
pub fn are_used_up(error: &io::Error) -> bool {
    let number = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE].iter().any(|used_up| number == Some(used_up.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O1.
    #[test]
    fn the_limit_is_as_high_as_it_may_be() {
        let descriptors = raise();

        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert!(limit.current.is_none_or(|current| usize::try_from(current) == Ok(descriptors)));
    }

    #[test]
    fn a_shortage_is_told_from_a_failure() {
        assert!(are_used_up(&io::Error::from_raw_os_error(24)) && are_used_up(&io::Error::from_raw_os_error(23)));
        assert!(!are_used_up(&io::Error::from_raw_os_error(5)) && !are_used_up(&io::ErrorKind::NotFound.into()));
    }
}
