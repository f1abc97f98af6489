//! Eventfds, and waiting for them.

use crate::{Fd, NewFd, Timeout, operand::ops};

ops! {
    /// Eventfds, and waiting for them.
    pub enum EventOp {
        /// Create an eventfd with a count of 0, by `eventfd(2)`.
        Eventfd {
            /// Receives the descriptor.
            save: NewFd,
        },
        /// Wait until a descriptor is readable; `ret` is 1 if it was, or 0 at the deadline.
        Wait {
            /// The descriptor to wait for.
            fd: Fd,
            /// How long to wait at most.
            timeout: Timeout,
        },
        /// Wait until an eventfd is signalled, and read its count; `ret` is the count, or 0 at the
        /// deadline.
        Events {
            /// Descriptor of the eventfd.
            fd: Fd,
            /// How long to wait at most.
            timeout: Timeout,
        },
        /// Add 1 to an eventfd.
        Signal {
            /// Descriptor of the eventfd.
            fd: Fd,
        },
    }
}
