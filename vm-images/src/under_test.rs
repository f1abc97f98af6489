//! The code under test, and since when the kernel has it.

use uapi::Series;

/// Its folder in a source tree.
pub(crate) const IOMMUFD: &str = "drivers/iommu/iommufd";
/// The first series that has it.
pub(crate) const FIRST_SERIES: Series = Series { major: 6, minor: 2 };
