//! Random walks through the address spaces of an iommufd, against the oracle of `model::address`.

mod dice;
mod draw;
mod minimize;
mod options;
mod report;
mod script;
mod walker;

pub use minimize::AddressDivergence;
pub use options::AddressWalks;
