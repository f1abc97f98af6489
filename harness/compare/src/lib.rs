//! Differences between kernels: what the same cases saw on two of them, and the commit that made it
//! so.

pub mod bisect;
pub mod cases;
pub mod change;
pub mod checkout;
pub mod comparison;
pub mod intended;
pub mod kernel;
pub mod report;
pub mod side;
mod step;
