//! The release that brought each part of the uAPI.
//!
//! Releases are those of mainline: a stable series or a distribution may have more. What the table
//! does not name came with its header: the headers of 6.0 have all else of vfio, and none before
//! those of 6.2 has iommufd.

use std::iter;

use crate::series::Series;
use crate::types::{Constant, Field, Ioctl, Kind, Struct};
use crate::{IOMMUFD_H, MOCK_H, constants, ioctls, structs};
use Evidence::{Commit, Headers};

/// When a part of the uAPI came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// With this series; the one before lacks it.
    Exactly(Series),
    /// With this series or with an earlier one.
    By(Series),
}

impl Since {
    /// The first series that is known to have it.
    pub const fn series(self) -> Series {
        match self {
            Self::Exactly(series) | Self::By(series) => series,
        }
    }
}

/// `Linux 6.13`, or `Linux (by 6.12)`.
impl std::fmt::Display for Since {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(series) => write!(f, "Linux {series}"),
            Self::By(series) => write!(f, "Linux (by {series})"),
        }
    }
}

/// How it is known when a part of the uAPI came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// From the headers of releases: `tests/history.tsv` has what they declare.
    Headers,
    /// From this commit and the release that it went into, between two headers.
    Commit(&'static str),
}

/// A part of the uAPI, with the release that brought it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The name of an ioctl, structure or constant, or `STRUCT.FIELD`.
    pub name: String,
    /// The header that declares it.
    pub source: &'static str,
    /// When it came.
    pub since: Since,
    /// How this is known.
    pub evidence: Evidence,
}

/// When it came, and how this is known.
impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.since {
            Since::Exactly(series) => write!(f, "since Linux {series}")?,
            Since::By(series) => write!(f, "in Linux {series} and perhaps before")?,
        }
        match self.evidence {
            Headers => f.write_str(" (the headers of releases)"),
            Commit(commit) => write!(f, " (read in commit {commit})"),
        }
    }
}

/// Every part of the uAPI, in the order of the tables.
pub fn history() -> impl Iterator<Item = Part> {
    let ioctls = ioctls().iter().map(|ioctl| (ioctl.name, ioctl.source));
    let constants = constants().map(|constant| (constant.name, constant.source));
    let named = |(name, source): (&str, _)| part(name.to_owned(), source, of_header(source));
    let parts = ioctls.chain(constants).map(named);
    parts.chain(structs().iter().flat_map(move |of| {
        let whole = named((of.name, of.source));
        let default = (whole.since, whole.evidence);
        let fields = of.fields.iter().map(move |field| {
            let name = format!("{}.{}", of.name, field.name);
            part(name, of.source, default)
        });
        iter::once(whole).chain(fields)
    }))
}

fn part(name: String, source: &'static str, default: (Since, Evidence)) -> Part {
    let (since, evidence) = of(&name).unwrap_or(default);
    Part {
        name,
        source,
        since,
        evidence,
    }
}

const fn exactly(major: u32, minor: u32) -> Since {
    Since::Exactly(Series { major, minor })
}

const fn by(major: u32, minor: u32) -> Since {
    Since::By(Series { major, minor })
}

/// By its header, where no line names it.
fn of_header(source: &str) -> (Since, Evidence) {
    match source {
        IOMMUFD_H => (exactly(6, 2), Headers),
        MOCK_H => (exactly(6, 2), Commit("57f0988706fe")),
        _ => (by(6, 1), Headers),
    }
}

fn of(name: &str) -> Option<(Since, Evidence)> {
    let line = HISTORY.iter().find(|(.., names)| names.contains(&name));
    line.map(|(since, evidence, _)| (*since, *evidence))
}

fn since(name: &str, source: &str) -> Since {
    of(name).unwrap_or_else(|| of_header(source)).0
}

impl Ioctl {
    /// When it came.
    pub fn since(&self) -> Since {
        since(self.name, self.source)
    }
}

impl Constant {
    /// When it came.
    pub fn since(&self) -> Since {
        since(self.name, self.source)
    }
}

impl Field {
    /// The named numbers that a value of the field uses: the flags that are set, or the number
    /// itself. Of several names for one number it is the oldest.
    pub fn named_in(&self, value: u64) -> Vec<&'static Constant> {
        let flags = |set: &'static [Constant]| {
            let bits = set.iter().filter(move |flag| flag.value & value != 0);
            bits.collect::<Vec<_>>()
        };
        let number = |set: &'static [Constant], value| {
            let same = set.iter().filter(|constant| constant.value == value);
            same.min_by_key(|constant| constant.since().series())
        };
        match self.kind {
            Kind::Flags(set) => flags(set),
            Kind::Enum(set) => number(set, value).into_iter().collect(),
            Kind::IndexAndFlags {
                mask,
                index,
                flags: set,
            } => {
                let index = number(index, value & mask);
                flags(set).into_iter().chain(index).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Struct {
    /// When it came.
    pub fn since(&self) -> Since {
        since(self.name, self.source)
    }

    /// When a field of it came.
    pub fn since_field(&self, field: &Field) -> Since {
        let name = format!("{}.{}", self.name, field.name);
        of(&name).map_or_else(|| self.since(), |(since, _)| since)
    }

    /// Whether a field lies behind the end of the structure as it was before the field came.
    pub fn grew_by(&self, field: &Field) -> bool {
        let since = self.since_field(field).series();
        let older = self.fields.iter();
        let older = older.filter(|field| self.since_field(field).series() < since);
        let end = older.map(Field::end).max();
        since > self.since().series() && end.is_some_and(|end| field.offset >= end)
    }

    /// Its size in bytes in a series, without a flexible tail; 0 where the series does not have it.
    pub fn size_in(&self, series: Series) -> u32 {
        let known = self.fields.iter();
        let known = known.filter(|field| self.since_field(field).series() <= series);
        let end = known
            .map(|field| field.offset + field.width.bytes() * field.count)
            .max();
        end.map_or(0, |end| end.next_multiple_of(self.align))
    }
}

/// Names of ioctls, structures, constants, and fields as `STRUCT.FIELD`.
static HISTORY: &[(Since, Evidence, &[&str])] = &[
    // Headers of 6.0 and 6.1.
    (
        exactly(6, 1),
        Headers,
        &[
            "VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY",
            "VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP",
            "VFIO_DEVICE_FEATURE_LOW_POWER_EXIT",
            "VFIO_DEVICE_FEATURE_DMA_LOGGING_START",
            "VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP",
            "VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT",
            "vfio_device_low_power_entry_with_wakeup",
            "vfio_device_feature_dma_logging_range",
            "vfio_device_feature_dma_logging_control",
            "vfio_device_feature_dma_logging_report",
        ],
    ),
    // Headers of 6.1 and 6.2.
    (
        exactly(6, 2),
        Headers,
        &[
            "VFIO_MIG_GET_PRECOPY_INFO",
            "vfio_precopy_info",
            "vfio_device_feature_mig_data_size",
            "VFIO_DEVICE_FEATURE_MIG_DATA_SIZE",
            "VFIO_MIGRATION_PRE_COPY",
            "VFIO_DEVICE_STATE_PRE_COPY",
            "VFIO_DEVICE_STATE_PRE_COPY_P2P",
        ],
    ),
    // Headers of 6.4 and 6.5.
    (
        exactly(6, 5),
        Headers,
        &[
            "vfio_device_info_cap_pci_atomic_comp",
            "VFIO_DEVICE_FLAGS_CDX",
            "VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP",
            "VFIO_PCI_ATOMIC_COMP32",
            "VFIO_PCI_ATOMIC_COMP64",
            "VFIO_PCI_ATOMIC_COMP128",
        ],
    ),
    // Headers of 6.5 and 6.6.
    (
        exactly(6, 6),
        Headers,
        &[
            "IOMMU_HWPT_ALLOC",
            "IOMMU_GET_HW_INFO",
            "iommu_hwpt_alloc",
            "iommu_hw_info_vtd",
            "iommu_hw_info",
            "VFIO_DEVICE_BIND_IOMMUFD",
            "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
            "VFIO_DEVICE_DETACH_IOMMUFD_PT",
            "vfio_device_info.pad",
            "vfio_pci_dependent_device.devid",
            "vfio_device_bind_iommufd",
            "vfio_device_attach_iommufd_pt",
            "vfio_device_detach_iommufd_pt",
            "vfio_iommu_type1_info.pad",
            "IOMMUFD_CMD_HWPT_ALLOC",
            "IOMMUFD_CMD_GET_HW_INFO",
            "IOMMU_HW_INFO_TYPE_NONE",
            "IOMMU_HW_INFO_TYPE_INTEL_VTD",
            "VFIO_PCI_DEVID_OWNED",
            "VFIO_PCI_DEVID_NOT_OWNED",
            "VFIO_PCI_HOT_RESET_FLAG_DEV_ID",
            "VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED",
        ],
    ),
    // Headers of 6.6 and 6.7.
    (
        exactly(6, 7),
        Headers,
        &[
            "IOMMU_HWPT_SET_DIRTY_TRACKING",
            "IOMMU_HWPT_GET_DIRTY_BITMAP",
            "iommu_hwpt_vtd_s1",
            "iommu_hwpt_alloc.data_type",
            "iommu_hwpt_alloc.data_len",
            "iommu_hwpt_alloc.data_uptr",
            "iommu_hw_info.out_capabilities",
            "iommu_hwpt_set_dirty_tracking",
            "iommu_hwpt_get_dirty_bitmap",
            "vfio_device_gfx_plane_info.reserved",
            "vfio_device_ioeventfd.reserved",
            "vfio_device_feature_bus_master",
            "IOMMUFD_CMD_HWPT_SET_DIRTY_TRACKING",
            "IOMMUFD_CMD_HWPT_GET_DIRTY_BITMAP",
            "IOMMU_HWPT_ALLOC_NEST_PARENT",
            "IOMMU_HWPT_ALLOC_DIRTY_TRACKING",
            "IOMMU_VTD_S1_SRE",
            "IOMMU_VTD_S1_EAFE",
            "IOMMU_VTD_S1_WPE",
            "IOMMU_HWPT_DATA_NONE",
            "IOMMU_HWPT_DATA_VTD_S1",
            "IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17",
            "IOMMU_HW_CAP_DIRTY_TRACKING",
            "IOMMU_HWPT_DIRTY_TRACKING_ENABLE",
            "IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR",
            "VFIO_DEVICE_FEATURE_BUS_MASTER",
            "VFIO_DEVICE_FEATURE_CLEAR_MASTER",
            "VFIO_DEVICE_FEATURE_SET_MASTER",
        ],
    ),
    // Headers of 6.7 and 6.8.
    (
        exactly(6, 8),
        Headers,
        &[
            "IOMMU_HWPT_INVALIDATE",
            "iommu_hwpt_vtd_s1_invalidate",
            "iommu_hwpt_invalidate",
            "IOMMUFD_CMD_HWPT_INVALIDATE",
            "IOMMU_HWPT_INVALIDATE_DATA_VTD_S1",
            "IOMMU_VTD_INV_FLAGS_LEAF",
            "VFIO_DEVICE_STATE_NR",
        ],
    ),
    // Headers of 6.10 and 6.11.
    (
        exactly(6, 11),
        Headers,
        &[
            "IOMMU_FAULT_QUEUE_ALLOC",
            "iommu_hwpt_alloc.fault_id",
            "iommu_hwpt_alloc.__reserved2",
            "iommu_hwpt_pgfault",
            "iommu_hwpt_page_response",
            "iommu_fault_alloc",
            "IOMMUFD_CMD_FAULT_QUEUE_ALLOC",
            "IOMMU_HWPT_FAULT_ID_VALID",
            "IOMMU_PGFAULT_FLAGS_PASID_VALID",
            "IOMMU_PGFAULT_FLAGS_LAST_PAGE",
            "IOMMU_PGFAULT_PERM_READ",
            "IOMMU_PGFAULT_PERM_WRITE",
            "IOMMU_PGFAULT_PERM_EXEC",
            "IOMMU_PGFAULT_PERM_PRIV",
            "IOMMUFD_PAGE_RESP_SUCCESS",
            "IOMMUFD_PAGE_RESP_INVALID",
        ],
    ),
    // Headers of 6.12. Those of 6.1 have the same numbers as KVM_DEV_VFIO_GROUP_*.
    (
        by(6, 12),
        Headers,
        &[
            "KVM_DEV_VFIO_FILE",
            "KVM_DEV_VFIO_FILE_ADD",
            "KVM_DEV_VFIO_FILE_DEL",
            "iommu_test_hw_info",
            "iommu_hwpt_selftest",
            "iommu_hwpt_invalidate_selftest",
            "iommu_test_cmd.mock_domain.out_stdev_id",
            "iommu_test_cmd.mock_domain.out_idev_id",
            "iommu_test_cmd.mock_domain_flags.out_stdev_id",
            "iommu_test_cmd.mock_domain_flags.out_hwpt_id",
            "iommu_test_cmd.mock_domain_flags.out_idev_id",
            "iommu_test_cmd.mock_domain_flags.dev_flags",
            "iommu_test_cmd.mock_domain_replace.pt_id",
            "iommu_test_cmd.access_replace_ioas.ioas_id",
            "iommu_test_cmd.dirty.flags",
            "iommu_test_cmd.dirty.iova",
            "iommu_test_cmd.dirty.length",
            "iommu_test_cmd.dirty.page_size",
            "iommu_test_cmd.dirty.uptr",
            "iommu_test_cmd.dirty.out_nr_dirty",
            "iommu_test_cmd.check_iotlb.id",
            "iommu_test_cmd.check_iotlb.iotlb",
            "iommu_test_cmd.trigger_iopf.dev_id",
            "iommu_test_cmd.trigger_iopf.pasid",
            "iommu_test_cmd.trigger_iopf.grpid",
            "iommu_test_cmd.trigger_iopf.perm",
            "iommu_test_cmd.trigger_iopf.addr",
            "IOMMU_HWPT_DATA_SELFTEST",
            "IOMMU_HW_INFO_TYPE_SELFTEST",
            "IOMMU_HWPT_INVALIDATE_DATA_SELFTEST",
            "IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE",
            "IOMMU_TEST_OP_ACCESS_REPLACE_IOAS",
            "IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS",
            "IOMMU_TEST_OP_DIRTY",
            "IOMMU_TEST_OP_MD_CHECK_IOTLB",
            "IOMMU_TEST_OP_TRIGGER_IOPF",
            "MOCK_FLAGS_DEVICE_NO_DIRTY",
            "IOMMU_TEST_INVALIDATE_FLAG_ALL",
            "MOCK_NESTED_DOMAIN_IOTLB_ID_MAX",
            "MOCK_NESTED_DOMAIN_IOTLB_NUM",
            "IOMMU_TEST_IOTLB_DEFAULT",
            "IOMMU_HW_INFO_SELFTEST_REGVAL",
            "IOMMU_HWPT_INVALIDATE_DATA_SELFTEST_INVALID",
        ],
    ),
    // Headers of 6.12 and 6.13.4.
    (
        exactly(6, 13),
        Headers,
        &[
            "IOMMU_IOAS_MAP_FILE",
            "IOMMU_VIOMMU_ALLOC",
            "IOMMU_VDEVICE_ALLOC",
            "IOMMU_IOAS_CHANGE_PROCESS",
            "iommu_ioas_map_file",
            "iommu_hwpt_arm_smmuv3",
            "iommu_hw_info_arm_smmuv3",
            "iommu_viommu_arm_smmuv3_invalidate",
            "iommu_viommu_alloc",
            "iommu_vdevice_alloc",
            "iommu_ioas_change_process",
            "IOMMUFD_CMD_IOAS_MAP_FILE",
            "IOMMUFD_CMD_VIOMMU_ALLOC",
            "IOMMUFD_CMD_VDEVICE_ALLOC",
            "IOMMUFD_CMD_IOAS_CHANGE_PROCESS",
            "IOMMU_HWPT_ALLOC_PASID",
            "IOMMU_HWPT_DATA_ARM_SMMUV3",
            "IOMMU_HW_INFO_TYPE_ARM_SMMUV3",
            "IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3",
            "IOMMU_VIOMMU_TYPE_DEFAULT",
            "IOMMU_VIOMMU_TYPE_ARM_SMMUV3",
            "__VFIO_RESERVED_TYPE1_NESTING_IOMMU",
        ],
    ),
    (
        exactly(6, 14),
        Commit("e721f619e3ec"),
        &["iommu_hwpt_pgfault.__reserved"],
    ),
    (
        exactly(6, 15),
        Commit("803f97298e7d"),
        &[
            "iommu_hw_info.out_max_pasid_log2",
            "IOMMU_HW_CAP_PCI_PASID_EXEC",
            "IOMMU_HW_CAP_PCI_PASID_PRIV",
        ],
    ),
    (
        exactly(6, 15),
        Commit("ad744ed5dd8b"),
        &[
            "vfio_device_attach_iommufd_pt.pasid",
            "vfio_device_detach_iommufd_pt.pasid",
            "VFIO_DEVICE_ATTACH_PASID",
            "VFIO_DEVICE_DETACH_PASID",
        ],
    ),
    (
        exactly(6, 15),
        Commit("e36ba5ab808e"),
        &[
            "IOMMU_VEVENTQ_ALLOC",
            "iommufd_vevent_header",
            "iommu_veventq_alloc",
            "IOMMUFD_CMD_VEVENTQ_ALLOC",
            "IOMMU_VEVENTQ_FLAG_LOST_EVENTS",
            "IOMMU_VEVENTQ_TYPE_DEFAULT",
        ],
    ),
    // Headers of 6.16.
    (
        by(6, 16),
        Headers,
        &["iommu_vevent_arm_smmuv3", "IOMMU_VEVENTQ_TYPE_ARM_SMMUV3"],
    ),
    (
        exactly(6, 17),
        Commit("1976cdf61ce9"),
        &[
            "iommu_viommu_alloc.data_len",
            "iommu_viommu_alloc.__reserved",
            "iommu_viommu_alloc.data_uptr",
        ],
    ),
    (
        exactly(6, 17),
        Commit("2238ddc2b056"),
        &[
            "IOMMU_HW_QUEUE_ALLOC",
            "iommu_hw_queue_alloc",
            "IOMMUFD_CMD_HW_QUEUE_ALLOC",
            "IOMMU_HW_QUEUE_TYPE_DEFAULT",
        ],
    ),
    (
        exactly(6, 17),
        Commit("32b2d3a57e26"),
        &[
            "iommu_vevent_tegra241_cmdqv",
            "IOMMU_VEVENTQ_TYPE_TEGRA241_CMDQV",
        ],
    ),
    (
        exactly(6, 17),
        Commit("4dc0d12474f9"),
        &[
            "iommu_hw_info_tegra241_cmdqv",
            "iommu_viommu_tegra241_cmdqv",
            "IOMMU_HW_INFO_TYPE_TEGRA241_CMDQV",
            "IOMMU_VIOMMU_TYPE_TEGRA241_CMDQV",
            "IOMMU_HW_QUEUE_TYPE_TEGRA241_CMDQV",
        ],
    ),
    (
        exactly(6, 17),
        Commit("86624ba3b522"),
        &[
            "vfio_device_bind_iommufd.token_uuid_ptr",
            "VFIO_DEVICE_BIND_FLAG_TOKEN",
        ],
    ),
    (
        exactly(6, 17),
        Commit("a9f10bab2e50"),
        &[
            "iommu_hw_info.in_data_type",
            "IOMMU_HW_INFO_TYPE_DEFAULT",
            "IOMMU_HW_INFO_FLAG_INPUT_TYPE",
        ],
    ),
    (
        exactly(6, 19),
        Commit("5d74781ebc86"),
        &[
            "vfio_region_dma_range",
            "vfio_device_feature_dma_buf",
            "VFIO_DEVICE_FEATURE_DMA_BUF",
        ],
    ),
    (
        exactly(6, 19),
        Commit("d2041f1f11dd"),
        &[
            "iommu_test_cmd.dmabuf_get.length",
            "iommu_test_cmd.dmabuf_get.open_flags",
            "iommu_test_cmd.dmabuf_revoke.dmabuf_fd",
            "iommu_test_cmd.dmabuf_revoke.revoked",
            "IOMMU_TEST_OP_DMABUF_GET",
            "IOMMU_TEST_OP_DMABUF_REVOKE",
        ],
    ),
    (
        exactly(6, 19),
        Commit("e93d5945ed5b"),
        &[
            "iommu_hwpt_selftest.pagetable_type",
            "MOCK_IOMMUPT_DEFAULT",
            "MOCK_IOMMUPT_HUGE",
            "MOCK_PAGE_SIZE",
            "MOCK_HUGE_PAGE_SIZE",
        ],
    ),
    (
        exactly(7, 1),
        Commit("a11661a58c06"),
        &["IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED"],
    ),
    (
        exactly(7, 1),
        Commit("d7140b5dde45"),
        &[
            "VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2",
            "VFIO_PRECOPY_INFO_REINIT",
        ],
    ),
    // Headers of 7.2.
    (
        by(7, 2),
        Headers,
        &[
            "iommu_hwpt_amd_guest",
            "iommu_hw_info_amd",
            "iommu_viommu_selftest",
            "iommu_viommu_invalidate_selftest",
            "iommu_viommu_event_selftest",
            "iommu_test_cmd.check_dev_cache.id",
            "iommu_test_cmd.check_dev_cache.cache",
            "iommu_test_cmd.trigger_vevent.dev_id",
            "iommu_test_cmd.pasid_attach.pasid",
            "iommu_test_cmd.pasid_attach.pt_id",
            "iommu_test_cmd.pasid_replace.pasid",
            "iommu_test_cmd.pasid_replace.pt_id",
            "iommu_test_cmd.pasid_detach.pasid",
            "iommu_test_cmd.pasid_check.pasid",
            "iommu_test_cmd.pasid_check.hwpt_id",
            "IOMMU_HWPT_DATA_AMD_GUEST",
            "IOMMU_HW_INFO_TYPE_AMD",
            "IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST",
            "IOMMU_VIOMMU_TYPE_SELFTEST",
            "IOMMU_VEVENTQ_TYPE_SELFTEST",
            "IOMMU_HW_QUEUE_TYPE_SELFTEST",
            "IOMMU_TEST_OP_DEV_CHECK_CACHE",
            "IOMMU_TEST_OP_TRIGGER_VEVENT",
            "IOMMU_TEST_OP_PASID_ATTACH",
            "IOMMU_TEST_OP_PASID_REPLACE",
            "IOMMU_TEST_OP_PASID_DETACH",
            "IOMMU_TEST_OP_PASID_CHECK_HWPT",
            "MOCK_FLAGS_DEVICE_PASID",
            "MOCK_DEV_CACHE_ID_MAX",
            "MOCK_DEV_CACHE_NUM",
            "MOCK_PASID_WIDTH",
            "IOMMU_TEST_PASID_RESERVED",
            "IOMMU_TEST_DEV_CACHE_DEFAULT",
            "IOMMU_TEST_HW_QUEUE_MAX",
            "IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST_INVALID",
        ],
    ),
    // Headers of 7.2.12 and 7.3-rc7.
    (
        exactly(7, 3),
        Headers,
        &[
            "IOMMU_IOAS_NOIOMMU_GET_PA",
            "iommu_ioas_noiommu_get_pa",
            "IOMMUFD_CMD_IOAS_NOIOMMU_GET_PA",
            "IOMMU_HW_INFO_ARM_SMMUV3_ERRATA_REPEAT_TLBI_CFGI",
            "VFIO_DEVICE_FEATURE_ZPCI_ERROR",
        ],
    ),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use std::collections::BTreeSet;

    use rstest::rstest;

    use super::*;
    use crate::structure;

    #[test]
    fn every_name_is_known_and_named_once() {
        let fields = structs().iter().flat_map(move |of| {
            let fields = of.fields.iter();
            fields.map(|field| format!("{}.{}", of.name, field.name))
        });
        let names = ioctls().iter().map(|ioctl| ioctl.name);
        let names = names.chain(structs().iter().map(|of| of.name));
        let names = names.chain(constants().map(|constant| constant.name));
        let known: BTreeSet<_> = names.map(str::to_owned).chain(fields).collect();
        let mut seen = BTreeSet::new();
        for name in HISTORY.iter().flat_map(|(.., names)| names.iter()) {
            assert!(known.contains(*name), "{name} is in no table");
            assert!(seen.insert(name), "{name} stands there twice");
        }
    }

    #[test]
    fn nothing_is_newer_than_the_tables_or_older_than_what_it_is_part_of() {
        for ioctl in ioctls() {
            let since = ioctl.since().series();
            assert!(since <= crate::SERIES, "{}", ioctl.name);
            if let Some(of) = ioctl.layout() {
                assert!(
                    of.since().series() <= since,
                    "{} and its struct",
                    ioctl.name
                );
            }
        }
        for of in structs() {
            for field in of.fields {
                assert!(
                    of.since_field(field).series() >= of.since().series(),
                    "{}.{}",
                    of.name,
                    field.name
                );
            }
            assert_eq!(of.size_in(crate::SERIES), of.size, "{}", of.name);
        }
    }

    /// The sizes that a C compiler finds with the headers of each release.
    #[rstest]
    #[case("iommu_hwpt_alloc", "6.6", 24)]
    #[case("iommu_hwpt_alloc", "6.7", 40)]
    #[case("iommu_hwpt_alloc", "6.11", 48)]
    #[case("iommu_hw_info", "6.6", 32)]
    #[case("iommu_hw_info", "6.7", 40)]
    #[case("iommu_viommu_alloc", "6.13", 24)]
    #[case("iommu_viommu_alloc", "6.17", 40)]
    #[case("vfio_device_info", "6.1", 20)]
    #[case("vfio_device_info", "6.6", 24)]
    #[case("vfio_device_bind_iommufd", "6.6", 16)]
    #[case("vfio_device_bind_iommufd", "6.17", 24)]
    #[case("vfio_device_attach_iommufd_pt", "6.6", 12)]
    #[case("vfio_device_attach_iommufd_pt", "6.15", 16)]
    #[case("vfio_device_detach_iommufd_pt", "6.6", 8)]
    #[case("vfio_device_detach_iommufd_pt", "6.15", 12)]
    #[case("iommu_hwpt_selftest", "6.12", 4)]
    #[case("iommu_hwpt_selftest", "6.19", 8)]
    #[case("iommu_test_cmd", "6.12", 72)]
    #[case("iommu_ioas_map_file", "6.12", 0)]
    #[case("iommu_hwpt_alloc", "6.10", 40)]
    fn structs_grew(#[case] name: &str, #[case] series: &str, #[case] size: u32) {
        assert_eq!(
            structure(name).unwrap().size_in(series.parse().unwrap()),
            size
        );
    }
}
