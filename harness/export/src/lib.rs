//! Exports a case as a C program that needs only the kernel's headers and reads like one written by
//! hand, so that a kernel developer can attach it to a mail.
//!
//! The case is compiled as for a guest whose devices and groups have placeholder names for the
//! program's arguments. Its ops and their checks are then written as C. A case without a
//! counterpart in C gives an [`ExportError`].

mod argument;
mod buffer;
mod call;
mod check;
mod error;
mod helper;
mod number;
mod op;
mod placeholders;
mod program;
mod sides;
mod step;
mod text;
mod variables;

pub use error::ExportError;
pub use program::{Argument, Program, program};
