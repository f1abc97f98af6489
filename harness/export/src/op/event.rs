//! Eventfds, and waiting for them.

use wire::EventOp;

use crate::call::{Call, Caller};

impl Caller<'_> {
    pub fn event(&self, op: &EventOp) -> Result<Call, String> {
        Ok(match op {
            EventOp::Eventfd { save } => {
                Call::new("eventfd(0, EFD_CLOEXEC)".to_owned()).saving(&save.0)
            }
            EventOp::Wait { fd, timeout } => {
                Call::new(format!("wait_for({}, {})", self.fd(fd)?, timeout.0))
            }
            EventOp::Events { fd, timeout } => {
                Call::new(format!("take_events({}, {})", self.fd(fd)?, timeout.0))
            }
            EventOp::Signal { fd } => Call::new(format!("signal_event({})", self.fd(fd)?)),
        })
    }
}
