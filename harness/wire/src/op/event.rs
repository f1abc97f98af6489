//! Eventfds, and waiting for them.

use crate::{Fd, NewFd, Timeout, operand::ops};

ops! {
    /// Eventfds, and waiting for them.
    pub enum EventOp {
        /// `eventfd(2)`.
        Eventfd {
            /// Receives the descriptor.
            save: NewFd,
        },
        /// Wait until a descriptor is readable; `ret` is 1 if it was, or 0 at the deadline.
        Wait {
            /// Which descriptor.
            fd: Fd,
            /// Deadline.
            timeout: Timeout,
        },
        /// Wait until an eventfd is signalled, and read its count; `ret` is the count, or 0 at the
        /// deadline.
        Events {
            /// Which eventfd.
            fd: Fd,
            /// Deadline.
            timeout: Timeout,
        },
        /// Add 1 to an eventfd.
        Signal {
            /// Which eventfd.
            fd: Fd,
        },
    }
}
