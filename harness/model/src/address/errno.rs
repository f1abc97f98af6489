//! The errnos that the calls of a walk end with.

use std::fmt;

/// An errno.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are those of errno.h")]
pub enum Errno {
    EADDRINUSE,
    EBUSY,
    EEXIST,
    EINVAL,
    ENOENT,
    ENOSPC,
    EOPNOTSUPP,
    EOVERFLOW,
    EPERM,
}

impl fmt::Display for Errno {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, to)
    }
}
