//! A case as a C program of its own, which needs nothing but the kernel's headers and reads as if
//! a person had written it: what a kernel developer attaches to a mail.
//!
//! The case is compiled as for a guest, whose devices and groups have names that stand for the
//! program's arguments, and its ops and their checks are written as C. What cannot be carried
//! over is an [`ExportError`].

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
mod step;
mod text;
mod variables;

pub use error::ExportError;
pub use program::{Argument, Program, program};
