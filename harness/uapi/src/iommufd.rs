//! `linux/iommufd.h`: structures and ioctls of `/dev/iommu`.

use crate::IOMMUFD_H;
use crate::constants::*;
use crate::mock::*;
use crate::types::Kind::*;
use crate::types::{Choice, Element, Object, Pointee, Unit, Width};

/// Page tables of either kind.
pub(crate) const HWPT: &[Object] = &[Object::HwptPaging, Object::HwptNested];
/// Objects that a device can be attached to.
pub(crate) const ATTACHABLE: &[Object] = &[Object::Ioas, Object::HwptPaging, Object::HwptNested];
const ANY: &[Object] = &[
    Object::Ioas,
    Object::HwptPaging,
    Object::HwptNested,
    Object::Device,
    Object::Access,
    Object::Fault,
    Object::Viommu,
    Object::Vdevice,
    Object::Veventq,
    Object::HwQueue,
    Object::Selftest,
];

/// The choice of a structure by the whole value of a field.
const fn by(field: &'static str, value: u64, of: &'static crate::types::Struct) -> Choice {
    Choice {
        field,
        mask: u64::MAX,
        value,
        element: Element::Struct(of),
    }
}

const MEMORY: Element = Element::Plain {
    width: Width::W1,
    signed: false,
};

structs! { STRUCTS in IOMMUFD_H;
    DESTROY = struct iommu_destroy, 8 {
        size: u32 In, Size;
        id: u32 In, Id(ANY);
    }
    IOAS_ALLOC = struct iommu_ioas_alloc, 12 {
        size: u32 In, Size;
        flags: u32 In, Flags(&[]);
        out_ioas_id: u32 Out, Id(&[Object::Ioas]);
    }
    IOVA_RANGE = struct iommu_iova_range, 16 {
        start: u64 InOut, Iova;
        last: u64 InOut, Iova;
    }
    IOAS_IOVA_RANGES = struct iommu_ioas_iova_ranges, 32 {
        size: u32 In, Size;
        ioas_id: u32 In, Id(&[Object::Ioas]);
        num_iovas: u32 InOut, Plain;
        __reserved: u32 In, Reserved;
        allowed_iovas: u64 In, UserPtr(&Pointee {
            element: Element::Struct(&IOVA_RANGE),
            dir: Dir::Out,
            len: Some("num_iovas"),
            unit: Unit::Elements,
        });
        out_iova_alignment: u64 Out, Plain;
    }
    IOAS_ALLOW_IOVAS = struct iommu_ioas_allow_iovas, 24 {
        size: u32 In, Size;
        ioas_id: u32 In, Id(&[Object::Ioas]);
        num_iovas: u32 In, Plain;
        __reserved: u32 In, Reserved;
        allowed_iovas: u64 In, UserPtr(&Pointee {
            element: Element::Struct(&IOVA_RANGE),
            dir: Dir::In,
            len: Some("num_iovas"),
            unit: Unit::Elements,
        });
    }
    IOAS_MAP = struct iommu_ioas_map, 40 {
        size: u32 In, Size;
        flags: u32 In, Flags(IOAS_MAP_FLAGS);
        ioas_id: u32 In, Id(&[Object::Ioas]);
        __reserved: u32 In, Reserved;
        user_va: u64 In, UserPtr(&Pointee {
            element: MEMORY,
            dir: Dir::InOut,
            len: Some("length"),
            unit: Unit::Bytes,
        });
        length: u64 In, Length;
        iova: u64 InOut, Iova;
    }
    IOAS_NOIOMMU_GET_PA = struct iommu_ioas_noiommu_get_pa, 40 {
        size: u32 In, Size;
        flags: u32 In, Flags(&[]);
        ioas_id: u32 In, Id(&[Object::Ioas]);
        __reserved: u32 In, Reserved;
        iova: u64 In, Iova;
        length: u64 InOut, Length;
        out_phys: u64 Out, Phys;
    }
    IOAS_MAP_FILE = struct iommu_ioas_map_file, 40 {
        size: u32 In, Size;
        flags: u32 In, Flags(IOAS_MAP_FLAGS);
        ioas_id: u32 In, Id(&[Object::Ioas]);
        fd: s32 In, Fd;
        start: u64 In, Plain;
        length: u64 In, Length;
        iova: u64 InOut, Iova;
    }
    IOAS_COPY = struct iommu_ioas_copy, 40 {
        size: u32 In, Size;
        flags: u32 In, Flags(IOAS_MAP_FLAGS);
        dst_ioas_id: u32 In, Id(&[Object::Ioas]);
        src_ioas_id: u32 In, Id(&[Object::Ioas]);
        length: u64 In, Length;
        dst_iova: u64 InOut, Iova;
        src_iova: u64 In, Iova;
    }
    IOAS_UNMAP = struct iommu_ioas_unmap, 24 {
        size: u32 In, Size;
        ioas_id: u32 In, Id(&[Object::Ioas]);
        iova: u64 In, Iova;
        length: u64 InOut, Length;
    }
    OPTION = struct iommu_option, 24 {
        size: u32 In, Size;
        option_id: u32 In, Enum(OPTION_IDS);
        op: u16 In, Enum(OPTION_OPS);
        __reserved: u16 In, Reserved;
        object_id: u32 In, Id(&[Object::Ioas]);
        val64: u64 InOut, Plain;
    }
    VFIO_IOAS = struct iommu_vfio_ioas, 12 {
        size: u32 In, Size;
        ioas_id: u32 InOut, Id(&[Object::Ioas]);
        op: u16 In, Enum(VFIO_IOAS_OPS);
        __reserved: u16 In, Reserved;
    }
    HWPT_VTD_S1 = struct iommu_hwpt_vtd_s1, 24 {
        flags: u64 In, Flags(VTD_S1_FLAGS);
        pgtbl_addr: u64 In, Plain;
        addr_width: u32 In, Plain;
        __reserved: u32 In, Reserved;
    }
    HWPT_ARM_SMMUV3 = struct iommu_hwpt_arm_smmuv3, 16 {
        ste: [u64; 2] In, Plain;
    }
    HWPT_AMD_GUEST = struct iommu_hwpt_amd_guest, 32 {
        dte: [u64; 4] In, Plain;
    }
    HWPT_ALLOC = struct iommu_hwpt_alloc, 48 {
        size: u32 In, Size;
        flags: u32 In, Flags(HWPT_ALLOC_FLAGS);
        dev_id: u32 In, Id(&[Object::Device]);
        pt_id: u32 In, Id(&[Object::Ioas, Object::HwptPaging, Object::Viommu]);
        out_hwpt_id: u32 Out, Id(HWPT);
        __reserved: u32 In, Reserved;
        data_type: u32 In, Enum(HWPT_DATA_TYPES);
        data_len: u32 In, Length;
        data_uptr: u64 In, UserPtr(&Pointee {
            element: Element::Chosen(&[
                by("data_type", 1, &HWPT_VTD_S1),
                by("data_type", 2, &HWPT_ARM_SMMUV3),
                by("data_type", 3, &HWPT_AMD_GUEST),
                by("data_type", 0xdead, &HWPT_SELFTEST),
            ]),
            dir: Dir::In,
            len: Some("data_len"),
            unit: Unit::Bytes,
        });
        fault_id: u32 In, Id(&[Object::Fault]);
        __reserved2: u32 In, Reserved;
    }
    HW_INFO_VTD = struct iommu_hw_info_vtd, 24 {
        flags: u32 Out, Flags(HW_INFO_VTD_FLAGS);
        __reserved: u32 Out, Reserved;
        cap_reg: u64 Out, Plain;
        ecap_reg: u64 Out, Plain;
    }
    HW_INFO_ARM_SMMUV3 = struct iommu_hw_info_arm_smmuv3, 40 {
        flags: u32 Out, Flags(HW_INFO_ARM_SMMUV3_FLAGS);
        __reserved: u32 Out, Reserved;
        idr: [u32; 6] Out, Plain;
        iidr: u32 Out, Plain;
        aidr: u32 Out, Plain;
    }
    HW_INFO_TEGRA241_CMDQV = struct iommu_hw_info_tegra241_cmdqv, 8 {
        flags: u32 Out, Flags(&[]);
        version: u8 Out, Plain;
        log2vcmdqs: u8 Out, Plain;
        log2vsids: u8 Out, Plain;
        __reserved: u8 Out, Reserved;
    }
    HW_INFO_AMD = struct iommu_hw_info_amd, 16 {
        efr: u64 Out, Plain;
        efr2: u64 Out, Plain;
    }
    HW_INFO = struct iommu_hw_info, 40 {
        size: u32 In, Size;
        flags: u32 In, Flags(HW_INFO_FLAGS);
        dev_id: u32 In, Id(&[Object::Device]);
        data_len: u32 InOut, Length;
        data_uptr: u64 In, UserPtr(&Pointee {
            element: Element::Chosen(&[
                by("out_data_type", 1, &HW_INFO_VTD),
                by("out_data_type", 2, &HW_INFO_ARM_SMMUV3),
                by("out_data_type", 3, &HW_INFO_TEGRA241_CMDQV),
                by("out_data_type", 4, &HW_INFO_AMD),
                by("out_data_type", 0xfeed_beef, &HW_INFO_SELFTEST),
            ]),
            dir: Dir::Out,
            len: Some("data_len"),
            unit: Unit::Bytes,
        });
        [union] in_data_type: u32 In, Enum(HW_INFO_TYPES);
        [or] out_data_type: u32 Out, Enum(HW_INFO_TYPES);
        [end] out_max_pasid_log2: u8 Out, Plain;
        __reserved: [u8; 3] In, Reserved;
        out_capabilities: u64 Out, Flags(HW_CAPABILITIES);
    }
    HWPT_SET_DIRTY_TRACKING = struct iommu_hwpt_set_dirty_tracking, 16 {
        size: u32 In, Size;
        flags: u32 In, Flags(SET_DIRTY_TRACKING_FLAGS);
        hwpt_id: u32 In, Id(&[Object::HwptPaging]);
        __reserved: u32 In, Reserved;
    }
    HWPT_GET_DIRTY_BITMAP = struct iommu_hwpt_get_dirty_bitmap, 48 {
        size: u32 In, Size;
        hwpt_id: u32 In, Id(&[Object::HwptPaging]);
        flags: u32 In, Flags(GET_DIRTY_BITMAP_FLAGS);
        __reserved: u32 In, Reserved;
        iova: u64 In, Iova;
        length: u64 In, Length;
        page_size: u64 In, Plain;
        data: u64 In, UserPtr(&Pointee {
            element: BITMAP,
            dir: Dir::InOut,
            len: Some("length"),
            unit: Unit::Bits("page_size"),
        });
    }
    HWPT_VTD_S1_INVALIDATE = struct iommu_hwpt_vtd_s1_invalidate, 24 {
        addr: u64 In, Plain;
        npages: u64 In, Plain;
        flags: u32 In, Flags(VTD_INVALIDATE_FLAGS);
        __reserved: u32 In, Reserved;
    }
    VIOMMU_ARM_SMMUV3_INVALIDATE = struct iommu_viommu_arm_smmuv3_invalidate, 16 {
        cmd: [u64; 2] In, Plain;
    }
    // The mock has different entries for a page table and a virtual IOMMU under one number, so the
    // choice is left to the caller, who knows which of them hwpt_id names.
    HWPT_INVALIDATE = struct iommu_hwpt_invalidate, 32 {
        size: u32 In, Size;
        hwpt_id: u32 In, Id(&[Object::HwptNested, Object::Viommu]);
        data_uptr: u64 In, UserPtr(&Pointee {
            element: Element::Chosen(&[
                by("data_type", 0, &HWPT_VTD_S1_INVALIDATE),
                by("data_type", 1, &VIOMMU_ARM_SMMUV3_INVALIDATE),
            ]),
            dir: Dir::In,
            len: Some("entry_num"),
            unit: Unit::ElementsOf("entry_len"),
        });
        data_type: u32 In, Enum(INVALIDATE_DATA_TYPES);
        entry_len: u32 In, Length;
        entry_num: u32 InOut, Plain;
        __reserved: u32 In, Reserved;
    }
    // Read from the descriptor of a fault queue.
    HWPT_PGFAULT = struct iommu_hwpt_pgfault, 40 {
        flags: u32 Out, Flags(PGFAULT_FLAGS);
        dev_id: u32 Out, Id(&[Object::Device]);
        pasid: u32 Out, Plain;
        grpid: u32 Out, Plain;
        perm: u32 Out, Flags(PGFAULT_PERM);
        __reserved: u32 Out, Reserved;
        addr: u64 Out, Iova;
        length: u32 Out, Length;
        cookie: u32 Out, Counted;
    }
    // Written to it.
    HWPT_PAGE_RESPONSE = struct iommu_hwpt_page_response, 8 {
        cookie: u32 In, Plain;
        code: u32 In, Enum(PAGE_RESPONSES);
    }
    FAULT_ALLOC = struct iommu_fault_alloc, 16 {
        size: u32 In, Size;
        flags: u32 In, Flags(&[]);
        out_fault_id: u32 Out, Id(&[Object::Fault]);
        out_fault_fd: u32 Out, Fd;
    }
    VIOMMU_TEGRA241_CMDQV = struct iommu_viommu_tegra241_cmdqv, 16 {
        out_vintf_mmap_offset: u64 Out, Plain;
        out_vintf_mmap_length: u64 Out, Length;
    }
    VIOMMU_ALLOC = struct iommu_viommu_alloc, 40 {
        size: u32 In, Size;
        flags: u32 In, Flags(&[]);
        type: u32 In, Enum(VIOMMU_TYPES);
        dev_id: u32 In, Id(&[Object::Device]);
        hwpt_id: u32 In, Id(&[Object::HwptPaging]);
        out_viommu_id: u32 Out, Id(&[Object::Viommu]);
        data_len: u32 In, Length;
        __reserved: u32 In, Reserved;
        data_uptr: u64 In, UserPtr(&Pointee {
            element: Element::Chosen(&[
                by("type", 2, &VIOMMU_TEGRA241_CMDQV),
                by("type", 0xdead_beef, &VIOMMU_SELFTEST),
            ]),
            dir: Dir::InOut,
            len: Some("data_len"),
            unit: Unit::Bytes,
        });
    }
    VDEVICE_ALLOC = struct iommu_vdevice_alloc, 24 {
        size: u32 In, Size;
        viommu_id: u32 In, Id(&[Object::Viommu]);
        dev_id: u32 In, Id(&[Object::Device]);
        out_vdevice_id: u32 Out, Id(&[Object::Vdevice]);
        virt_id: u64 In, Plain;
    }
    IOAS_CHANGE_PROCESS = struct iommu_ioas_change_process, 8 {
        size: u32 In, Size;
        __reserved: u32 In, Reserved;
    }
    // Read from the descriptor of an event queue, each followed by an event.
    VEVENT_HEADER = struct iommufd_vevent_header, 8 {
        flags: u32 Out, Flags(VEVENT_FLAGS);
        sequence: u32 Out, Counted;
    }
    VEVENT_ARM_SMMUV3 = struct iommu_vevent_arm_smmuv3, 32 {
        evt: [u64; 4] Out, Plain;
    }
    VEVENT_TEGRA241_CMDQV = struct iommu_vevent_tegra241_cmdqv, 16 {
        lvcmdq_err_map: [u64; 2] Out, Plain;
    }
    VEVENTQ_ALLOC = struct iommu_veventq_alloc, 32 {
        size: u32 In, Size;
        flags: u32 In, Flags(&[]);
        viommu_id: u32 In, Id(&[Object::Viommu]);
        type: u32 In, Enum(VEVENTQ_TYPES);
        veventq_depth: u32 In, Plain;
        out_veventq_id: u32 Out, Id(&[Object::Veventq]);
        out_veventq_fd: u32 Out, Fd;
        __reserved: u32 In, Reserved;
    }
    HW_QUEUE_ALLOC = struct iommu_hw_queue_alloc, 40 {
        size: u32 In, Size;
        flags: u32 In, Flags(&[]);
        viommu_id: u32 In, Id(&[Object::Viommu]);
        type: u32 In, Enum(HW_QUEUE_TYPES);
        index: u32 In, Plain;
        out_hw_queue_id: u32 Out, Id(&[Object::HwQueue]);
        nesting_parent_iova: u64 In, Iova;
        length: u64 In, Length;
    }
}

/// A dirty bitmap, in words of 64 bits.
pub(crate) const BITMAP: Element = Element::Plain {
    width: Width::W8,
    signed: false,
};

// `from` names the last field that the kernel requires. HWPT_ALLOC, GET_HW_INFO, VEVENTQ_ALLOC and
// VIOMMU_ALLOC accept less than the whole structure.
ioctls! { IOCTLS in IOMMUFD_H;
    IOMMU_DESTROY = 0x80, Iommu, DESTROY from "id";
    IOMMU_IOAS_ALLOC = 0x81, Iommu, IOAS_ALLOC from "out_ioas_id";
    IOMMU_IOAS_ALLOW_IOVAS = 0x82, Iommu, IOAS_ALLOW_IOVAS from "allowed_iovas";
    IOMMU_IOAS_COPY = 0x83, Iommu, IOAS_COPY from "src_iova";
    IOMMU_IOAS_IOVA_RANGES = 0x84, Iommu, IOAS_IOVA_RANGES from "out_iova_alignment";
    IOMMU_IOAS_MAP = 0x85, Iommu, IOAS_MAP from "iova";
    IOMMU_IOAS_UNMAP = 0x86, Iommu, IOAS_UNMAP from "length";
    IOMMU_OPTION = 0x87, Iommu, OPTION from "val64";
    IOMMU_VFIO_IOAS = 0x88, Iommu, VFIO_IOAS from "__reserved";
    IOMMU_HWPT_ALLOC = 0x89, Iommu, HWPT_ALLOC from "__reserved";
    IOMMU_GET_HW_INFO = 0x8a, Iommu, HW_INFO from "__reserved";
    IOMMU_HWPT_SET_DIRTY_TRACKING = 0x8b, Iommu, HWPT_SET_DIRTY_TRACKING from "__reserved";
    IOMMU_HWPT_GET_DIRTY_BITMAP = 0x8c, Iommu, HWPT_GET_DIRTY_BITMAP from "data";
    IOMMU_HWPT_INVALIDATE = 0x8d, Iommu, HWPT_INVALIDATE from "__reserved";
    IOMMU_FAULT_QUEUE_ALLOC = 0x8e, Iommu, FAULT_ALLOC from "out_fault_fd";
    IOMMU_IOAS_MAP_FILE = 0x8f, Iommu, IOAS_MAP_FILE from "iova";
    IOMMU_VIOMMU_ALLOC = 0x90, Iommu, VIOMMU_ALLOC from "out_viommu_id";
    IOMMU_VDEVICE_ALLOC = 0x91, Iommu, VDEVICE_ALLOC from "virt_id";
    IOMMU_IOAS_CHANGE_PROCESS = 0x92, Iommu, IOAS_CHANGE_PROCESS from "__reserved";
    IOMMU_VEVENTQ_ALLOC = 0x93, Iommu, VEVENTQ_ALLOC from "out_veventq_fd";
    IOMMU_HW_QUEUE_ALLOC = 0x94, Iommu, HW_QUEUE_ALLOC from "length";
    IOMMU_IOAS_NOIOMMU_GET_PA = 0x95, Iommu, IOAS_NOIOMMU_GET_PA from "out_phys";
}
