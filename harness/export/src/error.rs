//! Why a case cannot be exported.

/// Why a case could not be exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The case does not compile for the offered machine.
    #[error(
        "{case} needs {need}, which the platform does not offer; try another one with \
             --platform"
    )]
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
        /// What has no counterpart.
        what: String,
    },
    /// An op that restores the machine after the case has no counterpart in C.
    #[error("{case}: restoring the machine at its end has no counterpart in C: {what}")]
    Restore {
        /// Id of the case.
        case: String,
        /// What has no counterpart.
        what: String,
    },
}
