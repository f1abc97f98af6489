//! Why a case is no C program.

/// Why a case could not be exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The case does not compile for the offered machine.
    #[error("{case}: the machine does not meet its need: {need}; try another --platform")]
    Need {
        /// Id of the case.
        case: String,
        /// The need.
        need: String,
    },
    /// A step has no counterpart in C.
    #[error("{case}: step {step} ({label}) has no counterpart in C: {what}")]
    Step {
        /// Id of the case.
        case: String,
        /// Number of the step, from 1.
        step: usize,
        /// What it does.
        label: String,
        /// What is not understood.
        what: String,
    },
    /// What is undone after the case has no counterpart in C.
    #[error("{case}: what is undone at its end has no counterpart in C: {what}")]
    Restore {
        /// Id of the case.
        case: String,
        /// What is not understood.
        what: String,
    },
}
