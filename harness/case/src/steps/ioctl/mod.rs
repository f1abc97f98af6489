//! An ioctl step: the request's name is the key, the struct's field names are the keys of
//! its body.
//!
//! Fields that are not given are zero, and `size`/`argsz` is correct. Besides the fields there are
//! the keys of [`keys`], the name of the struct's flexible array, and `value`, `fd` or `string` for
//! an argument that is not a struct.

mod argument;
mod call;
pub mod fields;
pub mod keys;
pub mod layout;
pub mod named;
pub mod payload;
pub mod since;
pub mod unknown;
mod wants;

pub use call::{IA32_CONFIG, Ioctl, MOCK_CONFIG, Newer, OPTIONS_OF_CALLS, Unnamed};
