//! Devices of the mock that a kernel refuses to make.

use wire::{Arg, IoctlOp, Observed, Op, Outcome};

/// The ioctl of the mock, and its operations that make a device.
const CALL: &str = "IOMMU_TEST_CMD";
const MAKES: [&str; 2] = [
    "IOMMU_TEST_OP_MOCK_DOMAIN",
    "IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS",
];

/// Whether an op was to make a device of the mock, and the kernel said EINVAL.
pub fn is_refused(op: &Op, outcome: &Outcome) -> bool {
    let is_refused = match &outcome.observed {
        Observed::Injected(injected) => is_einval(&injected.last.observed),
        observed => is_einval(observed),
    };
    is_refused && makes(op)
}

fn is_einval(observed: &Observed) -> bool {
    matches!(observed, Observed::Errno { errno, .. } if uapi::errno("EINVAL") == Some(*errno))
}

fn makes(op: &Op) -> bool {
    match op {
        Op::Ioctl(op) => makes_by(op).unwrap_or(false),
        Op::Control(op) => op.inner().first().is_some_and(|op| makes(op)),
        _ => false,
    }
}

/// `None` if it is another ioctl, or its struct is not complete.
fn makes_by(op: &IoctlOp) -> Option<bool> {
    let ioctl = uapi::ioctl(CALL).filter(|ioctl| ioctl.request == op.request)?;
    let Arg::Buffer { bytes, .. } = &op.arg else {
        return None;
    };
    let number = ioctl.layout()?.field("op")?.get(bytes)?;
    Some(
        MAKES
            .iter()
            .any(|name| uapi::constant(name) == Some(number)),
    )
}
