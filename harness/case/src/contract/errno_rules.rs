//! The errno for a malformed argument, by the family of the handler.

use uapi::FdKind;

use crate::expect::WantEnd;

/// Handlers that read their arguments in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `/dev/iommu`: `iommufd_fops_ioctl()` copies the whole struct, and the head of
    /// `linux/iommufd.h` gives each errno its meaning.
    Iommufd,
    /// Devices, groups and containers: each handler copies the part that it knows.
    Vfio,
}

impl Family {
    /// The family of the ioctls of a descriptor.
    pub fn of(on: FdKind) -> Self {
        match on {
            FdKind::Iommu => Self::Iommufd,
            FdKind::Device | FdKind::Group | FdKind::Container | FdKind::Migration => Self::Vfio,
            // None of them checks a size.
            FdKind::Kvm | FdKind::Vm | FdKind::VmDevice => Self::Vfio,
        }
    }

    /// Returns how a call with only this defect ends.
    pub fn answer(self, defect: Defect) -> WantEnd {
        let errno = match (self, defect) {
            (_, Defect::None | Defect::ZerosBehind | Defect::NotWritten) => None,
            (_, Defect::TooShort | Defect::DataShort) => Some("EINVAL"),
            // New programs detect an old kernel by this errno.
            (Self::Iommufd, Defect::GarbageBehind) => Some("E2BIG"),
            (Self::Iommufd, Defect::NothingBehind) => Some("EFAULT"),
            (Self::Vfio, Defect::GarbageBehind | Defect::NothingBehind) => None,
            (Self::Iommufd, Defect::UnknownValue) => Some("EOPNOTSUPP"),
            (Self::Vfio, Defect::UnknownValue) => Some("EINVAL"),
            (_, Defect::UnknownIndex) => Some("ENOTTY"),
            (Self::Iommufd, Defect::Reserved) => Some("EOPNOTSUPP"),
            // linux/vfio.h reserves fields without requiring zeros.
            (Self::Vfio, Defect::Reserved) => None,
            // An object of another type is treated like a missing one.
            (_, Defect::UnknownId | Defect::WrongObject) => Some("ENOENT"),
            (_, Defect::BadPointer) => Some("EFAULT"),
            (_, Defect::NoFile) => Some("EBADF"),
            (_, Defect::OtherFile) => Some("EINVAL"),
            // Also if the handler returns ENOIOCTLCMD.
            (_, Defect::OtherRequest) => Some("ENOTTY"),
            // Its file operations have no compat_ioctl, those of vfio have.
            (Self::Iommufd, Defect::From32Bits) => Some("ENOTTY"),
            (Self::Vfio, Defect::From32Bits) => None,
        };
        let number = errno.and_then(uapi::errno);
        number.map_or(WantEnd::Success, WantEnd::Errno)
    }
}

/// A defect of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// None: the size is that of the struct, or the smallest one.
    None,
    /// The size is below the smallest.
    TooShort,
    /// The size does not cover all of the flexible array.
    DataShort,
    /// The size is too large, with zeros behind the struct.
    ZerosBehind,
    /// The size is too large, with other data behind the struct.
    GarbageBehind,
    /// The size is too large, and there is no memory behind the struct.
    NothingBehind,
    /// A pointer to memory that the kernel cannot read or write as it has to.
    BadPointer,
    /// Memory without write permission that the kernel only reads.
    NotWritten,
    /// An undefined bit or value.
    UnknownValue,
    /// A value other than zero in a reserved field.
    Reserved,
    /// An index that does not select a part of the ioctl.
    UnknownIndex,
    /// An id that no object has.
    UnknownId,
    /// The id of an object of another type.
    WrongObject,
    /// A descriptor that is not open.
    NoFile,
    /// A descriptor of a file of another kind.
    OtherFile,
    /// A number that is not that of an ioctl.
    OtherRequest,
    /// None, but a 32-bit program makes the call.
    From32Bits,
}
