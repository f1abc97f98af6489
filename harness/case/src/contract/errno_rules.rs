//! What a handler answers to a malformed argument, by the family it belongs to.

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
        }
    }

    /// How a call ends that has this and nothing else wrong with it.
    pub fn answer(self, defect: Defect) -> WantEnd {
        let errno = match (self, defect) {
            (_, Defect::None | Defect::ZerosBehind | Defect::NotWritten) => None,
            (_, Defect::TooShort | Defect::DataShort) => Some("EINVAL"),
            // By this a new program tells an old kernel from a new one.
            (Self::Iommufd, Defect::GarbageBehind) => Some("E2BIG"),
            (Self::Iommufd, Defect::NothingBehind) => Some("EFAULT"),
            (Self::Vfio, Defect::GarbageBehind | Defect::NothingBehind) => None,
            (Self::Iommufd, Defect::UnknownValue) => Some("EOPNOTSUPP"),
            (Self::Vfio, Defect::UnknownValue) => Some("EINVAL"),
            (_, Defect::UnknownIndex) => Some("ENOTTY"),
            (Self::Iommufd, Defect::Reserved) => Some("EOPNOTSUPP"),
            // linux/vfio.h reserves fields without asking for zeros.
            (Self::Vfio, Defect::Reserved) => None,
            // An object of another type is as good as none.
            (_, Defect::UnknownId | Defect::WrongObject) => Some("ENOENT"),
            (_, Defect::BadPointer) => Some("EFAULT"),
            (_, Defect::NoFile) => Some("EBADF"),
            (_, Defect::OtherFile) => Some("EINVAL"),
            // ENOIOCTLCMD in the handler, too.
            (_, Defect::OtherRequest) => Some("ENOTTY"),
        };
        let number = errno.and_then(uapi::errno);
        number.map_or(WantEnd::Success, WantEnd::Errno)
    }
}

/// What is wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// Nothing: the size that the struct has, or the smallest one.
    None,
    /// The size is below the smallest.
    TooShort,
    /// The size leaves out a part of the flexible array.
    DataShort,
    /// The size is too large, with zeros behind the struct.
    ZerosBehind,
    /// The size is too large, with something else behind it.
    GarbageBehind,
    /// The size is too large, and there is no memory behind the struct.
    NothingBehind,
    /// A pointer to where the kernel cannot read or write what it has to.
    BadPointer,
    /// Memory without write permission, which the kernel only reads.
    NotWritten,
    /// A bit or value without a meaning.
    UnknownValue,
    /// Something in a field without a meaning.
    Reserved,
    /// An index that stands for no part of the ioctl.
    UnknownIndex,
    /// No object has the id.
    UnknownId,
    /// The object is of another type.
    WrongObject,
    /// No file has the descriptor.
    NoFile,
    /// The file is of another kind.
    OtherFile,
    /// The number of no ioctl.
    OtherRequest,
}
