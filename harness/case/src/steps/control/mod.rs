//! Steps that are made of steps.

pub mod fail_nth;
pub mod process;
pub mod repeat;
pub mod together;
