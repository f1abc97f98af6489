//! The errnos that the headers promise.

use std::collections::BTreeSet;

use uapi::{Arg, Dir, Field, Ioctl, Kind};

/// Errnos that the headers name for single ioctls, besides those of their family.
const SINGLE: [(&str, &[&str]); 8] = [
    ("IOMMU_IOAS_IOVA_RANGES", &["EMSGSIZE"]),
    ("IOMMU_IOAS_CHANGE_PROCESS", &["EINVAL"]),
    ("IOMMU_HWPT_ALLOC", &["EOPNOTSUPP"]),
    ("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", &["ENOSPC", "ENODEV"]),
    ("VFIO_DEVICE_QUERY_GFX_PLANE", &["EINVAL"]),
    ("VFIO_DEVICE_FEATURE", &["EINVAL"]),
    ("VFIO_DEVICE_ATTACH_IOMMUFD_PT", &["EBUSY"]),
    ("VFIO_MIG_GET_PRECOPY_INFO", &["EINVAL"]),
];

/// Returns the errnos that the header names for an ioctl.
///
/// The head of `linux/iommufd.h` defines some errnos for all ioctls of `/dev/iommu`; the fields of
/// a struct show which of them apply. `linux/vfio.h` names few errnos.
pub fn documented(ioctl: &Ioctl) -> BTreeSet<&'static str> {
    let single = SINGLE.iter().filter(|(name, _)| *name == ioctl.name);
    let mut named: BTreeSet<_> = single
        .flat_map(|(_, errnos)| errnos.iter().copied())
        .collect();
    if let (uapi::IOMMUFD_H, Arg::Struct(layout)) = (ioctl.source, ioctl.arg) {
        named.extend(["ENOTTY", "E2BIG", "EINVAL"]);
        named.extend(layout.fields.iter().flat_map(meant));
    }
    named
}

fn meant(field: &Field) -> &'static [&'static str] {
    match (field.kind, field.dir) {
        (Kind::Flags(_) | Kind::Enum(_) | Kind::Reserved, Dir::In | Dir::InOut) => &["EOPNOTSUPP"],
        (Kind::Id(_), Dir::In | Dir::InOut) => &["ENOENT"],
        // Creating an object allocates memory.
        (Kind::Id(_), Dir::Out) => &["ENOMEM"],
        (Kind::Iova, Dir::In) => &["ENOENT", "EOVERFLOW"],
        (Kind::Iova, Dir::InOut) => &["EOVERFLOW", "ENOMEM"],
        _ => &[],
    }
}
