//! The uAPI as data: the ioctls, structures and constants of `linux/iommufd.h` and `linux/vfio.h`,
//! the mock's `iommufd_test.h`, what `linux/kvm.h` has about vfio, and the errno names.
//!
//! Nothing here performs an ioctl. Consumers look things up by name ([`ioctl`],
//! [`structure`], [`constant`], [`errno`]), encode with [`Field::set`] and [`Field::parse`],
//! and decode with [`Field::get`] and [`Field::text`].
//!
//! The tables are written for Linux 7.3 on x86-64 ([`SERIES`]). The runner's test `layout.rs`
//! compares them with the kernel's own headers as compiled by a C compiler.

#![warn(missing_docs)]

#[macro_use]
mod declare;

mod constants;
mod decode;
mod errno;
mod expression;
mod header;
mod history;
mod iommufd;
mod kvm;
mod lookup;
mod mock;
mod pci_regs;
mod series;
mod types;
mod vfio_container;
mod vfio_device;
mod vfio_group;

pub use decode::{BytesError, NameError, enum_name, enum_value, flags_text, flags_value};
pub use errno::{ERRNOS, errno, errno_name};
pub use header::{Header, LEFT_OUT, fits};
pub use history::{Evidence, Part, Since, history};
pub use lookup::{
    capability, constant, constant_named, constants, ioctl, ioctls, structs, structure,
};
pub use series::{BadSeries, Series};
pub use types::{
    Arg, Capability, Choice, Constant, Dir, Element, FdKind, Field, Ioctl, Kind, Object, Pointee,
    Struct, Tail, Unit, Width,
};

/// The kernel series the tables were written for.
pub const SERIES: Series = Series { major: 7, minor: 3 };
/// Header of iommufd, as a C program includes it.
pub const IOMMUFD_H: &str = "linux/iommufd.h";
/// Header of vfio, as a C program includes it.
pub const VFIO_H: &str = "linux/vfio.h";
/// Header of KVM, as a C program includes it. The tables have a part of it.
pub const KVM_H: &str = "linux/kvm.h";
/// Header of PCI configuration space, as a C program includes it. The tables have a part of it.
pub const PCI_REGS_H: &str = "linux/pci_regs.h";
/// Header of the iommufd mock. It is part of the kernel's sources, not of its installed headers.
pub const MOCK_H: &str = "iommufd_test.h";
