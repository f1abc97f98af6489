//! `linux/vfio.h`: structures and ioctls of a device, of its capabilities and features, and of the
//! descriptor for migration data.

use crate::VFIO_H;
use crate::constants::*;
use crate::iommufd::{ATTACHABLE, BITMAP};
use crate::types::Kind::*;
use crate::types::{Capability, Choice, Element, Object, Pointee, Struct, Unit, Width};

const BYTES: Element = Element::Plain {
    width: Width::W1,
    signed: false,
};
const FDS: Element = Element::Plain {
    width: Width::W4,
    signed: true,
};

/// The payload of one feature.
const fn feature(index: u64, of: &'static Struct) -> Choice {
    Choice {
        field: "flags",
        mask: 0xffff,
        value: index,
        element: Element::Struct(of),
    }
}

/// The data of one `VFIO_IRQ_SET_DATA` flag.
const fn irq_data(flag: u64, element: Element) -> Choice {
    Choice {
        field: "flags",
        mask: 7,
        value: flag,
        element,
    }
}

structs! { STRUCTS in VFIO_H;
    // The meaning of the id depends on the info structure before the chain.
    CAP_HEADER = struct vfio_info_cap_header, 8 {
        id: u16 Out, Plain;
        version: u16 Out, Plain;
        next: u32 Out, Plain;
    }
    DEVICE_INFO = struct vfio_device_info, 24 {
        argsz: u32 InOut, Size;
        flags: u32 Out, Flags(DEVICE_FLAGS);
        num_regions: u32 Out, Plain;
        num_irqs: u32 Out, Plain;
        cap_offset: u32 Out, Plain;
        pad: u32 Out, Reserved;
    }
    CAP_PCI_ATOMIC_COMP = struct vfio_device_info_cap_pci_atomic_comp, 16 {
        header.id: u16 Out, Enum(DEVICE_INFO_CAPS);
        header.version: u16 Out, Plain;
        header.next: u32 Out, Plain;
        flags: u32 Out, Flags(PCI_ATOMIC_COMP_FLAGS);
        reserved: u32 Out, Reserved;
    }
    REGION_INFO = struct vfio_region_info, 32 {
        argsz: u32 InOut, Size;
        flags: u32 Out, Flags(REGION_INFO_FLAGS);
        index: u32 In, Enum(PCI_REGIONS);
        cap_offset: u32 Out, Plain;
        size: u64 Out, Length;
        offset: u64 Out, Plain;
    }
    SPARSE_MMAP_AREA = struct vfio_region_sparse_mmap_area, 16 {
        offset: u64 Out, Plain;
        size: u64 Out, Length;
    }
    CAP_SPARSE_MMAP = struct vfio_region_info_cap_sparse_mmap, 16 {
        header.id: u16 Out, Enum(REGION_INFO_CAPS);
        header.version: u16 Out, Plain;
        header.next: u32 Out, Plain;
        nr_areas: u32 Out, Plain;
        reserved: u32 Out, Reserved;
        => areas "nr_areas", Out, Element::Struct(&SPARSE_MMAP_AREA);
    }
    CAP_TYPE = struct vfio_region_info_cap_type, 16 {
        header.id: u16 Out, Enum(REGION_INFO_CAPS);
        header.version: u16 Out, Plain;
        header.next: u32 Out, Plain;
        type: u32 Out, Plain;
        subtype: u32 Out, Plain;
    }
    GFX_EDID = struct vfio_region_gfx_edid, 24 {
        edid_offset: u32 Out, Plain;
        edid_max_size: u32 Out, Length;
        edid_size: u32 InOut, Length;
        max_xres: u32 Out, Plain;
        max_yres: u32 Out, Plain;
        link_state: u32 InOut, Enum(GFX_LINK_STATES);
    }
    MIGRATION_INFO_V1 = struct vfio_device_migration_info, 32 {
        device_state: u32 InOut, Flags(MIGRATION_V1_STATES);
        reserved: u32 In, Reserved;
        pending_bytes: u64 Out, Length;
        data_offset: u64 Out, Plain;
        data_size: u64 InOut, Length;
    }
    CAP_NVLINK2_SSATGT = struct vfio_region_info_cap_nvlink2_ssatgt, 16 {
        header.id: u16 Out, Enum(REGION_INFO_CAPS);
        header.version: u16 Out, Plain;
        header.next: u32 Out, Plain;
        tgt: u64 Out, Plain;
    }
    CAP_NVLINK2_LNKSPD = struct vfio_region_info_cap_nvlink2_lnkspd, 16 {
        header.id: u16 Out, Enum(REGION_INFO_CAPS);
        header.version: u16 Out, Plain;
        header.next: u32 Out, Plain;
        link_speed: u32 Out, Plain;
        __pad: u32 Out, Reserved;
    }
    IRQ_INFO = struct vfio_irq_info, 16 {
        argsz: u32 In, Size;
        flags: u32 Out, Flags(IRQ_INFO_FLAGS);
        index: u32 In, Enum(PCI_IRQS);
        count: u32 Out, Plain;
    }
    IRQ_SET = struct vfio_irq_set, 20 {
        argsz: u32 In, Size;
        flags: u32 In, Flags(IRQ_SET_FLAGS);
        index: u32 In, Enum(PCI_IRQS);
        start: u32 In, Plain;
        count: u32 In, Plain;
        => data "count", In, Element::Chosen(&[irq_data(2, BYTES), irq_data(4, FDS)]);
    }
    PCI_DEPENDENT_DEVICE = struct vfio_pci_dependent_device, 8 {
        [union] group_id: u32 Out, Plain;
        [or] devid: u32 Out, Enum(PCI_DEVIDS);
        [end] segment: u16 Out, Plain;
        bus: u8 Out, Plain;
        devfn: u8 Out, Plain;
    }
    HOT_RESET_INFO = struct vfio_pci_hot_reset_info, 12 {
        argsz: u32 In, Size;
        flags: u32 Out, Flags(HOT_RESET_INFO_FLAGS);
        count: u32 Out, Plain;
        => devices "count", Out, Element::Struct(&PCI_DEPENDENT_DEVICE);
    }
    HOT_RESET = struct vfio_pci_hot_reset, 12 {
        argsz: u32 In, Size;
        flags: u32 In, Flags(&[]);
        count: u32 In, Plain;
        => group_fds "count", In, FDS;
    }
    GFX_PLANE_INFO = struct vfio_device_gfx_plane_info, 64 {
        argsz: u32 In, Size;
        flags: u32 In, Flags(GFX_PLANE_FLAGS);
        drm_plane_type: u32 In, Plain;
        drm_format: u32 Out, Plain;
        drm_format_mod: u64 Out, Plain;
        width: u32 Out, Plain;
        height: u32 Out, Plain;
        stride: u32 Out, Plain;
        size: u32 Out, Length;
        x_pos: u32 Out, Plain;
        y_pos: u32 Out, Plain;
        x_hot: u32 Out, Plain;
        y_hot: u32 Out, Plain;
        // Ids of a dma-buf are never used again, and it depends on the type of the plane which of the
        // two it is.
        [union] region_index: u32 Out, Id(&[]);
        [or] dmabuf_id: u32 Out, Id(&[]);
        [end] reserved: u32 Out, Reserved;
    }
    IOEVENTFD = struct vfio_device_ioeventfd, 32 {
        argsz: u32 In, Size;
        flags: u32 In, Flags(IOEVENTFD_FLAGS);
        offset: u64 In, Plain;
        data: u64 In, Plain;
        fd: s32 In, Fd;
        reserved: u32 In, Reserved;
    }
    FEATURE = struct vfio_device_feature, 8 {
        argsz: u32 In, Size;
        flags: u32 In, IndexAndFlags {
            mask: 0xffff,
            index: FEATURES,
            flags: FEATURE_FLAGS,
        };
        => data, InOut, Element::Chosen(&[
            // The token of a virtual function: the bytes of a UUID.
            Choice { field: "flags", mask: 0xffff, value: 0, element: BYTES },
            feature(1, &FEATURE_MIGRATION),
            feature(2, &FEATURE_MIG_STATE),
            feature(4, &LOW_POWER_ENTRY_WITH_WAKEUP),
            feature(6, &DMA_LOGGING_CONTROL),
            feature(8, &DMA_LOGGING_REPORT),
            feature(9, &MIG_DATA_SIZE),
            feature(10, &BUS_MASTER),
            feature(11, &DMA_BUF),
        ]);
    }
    BIND_IOMMUFD = struct vfio_device_bind_iommufd, 24 {
        argsz: u32 In, Size;
        flags: u32 In, Flags(BIND_FLAGS);
        iommufd: s32 In, Fd;
        out_devid: u32 Out, Id(&[Object::Device]);
        token_uuid_ptr: u64 In, UserPtr(&Pointee {
            element: BYTES,
            dir: Dir::In,
            len: None,
            unit: Unit::Fixed(16),
        });
    }
    ATTACH_IOMMUFD_PT = struct vfio_device_attach_iommufd_pt, 16 {
        argsz: u32 In, Size;
        flags: u32 In, Flags(ATTACH_FLAGS);
        pt_id: u32 InOut, Id(ATTACHABLE);
        pasid: u32 In, Plain;
    }
    DETACH_IOMMUFD_PT = struct vfio_device_detach_iommufd_pt, 12 {
        argsz: u32 In, Size;
        flags: u32 In, Flags(DETACH_FLAGS);
        pasid: u32 In, Plain;
    }
    FEATURE_MIGRATION = struct vfio_device_feature_migration, 8 {
        flags: u64 Out, Flags(MIGRATION_FLAGS);
    }
    FEATURE_MIG_STATE = struct vfio_device_feature_mig_state, 8 {
        device_state: u32 InOut, Enum(MIGRATION_STATES);
        data_fd: s32 Out, Fd;
    }
    PRECOPY_INFO = struct vfio_precopy_info, 24 {
        argsz: u32 In, Size;
        flags: u32 Out, Flags(PRECOPY_FLAGS);
        initial_bytes: u64 Out, Length;
        dirty_bytes: u64 Out, Length;
    }
    LOW_POWER_ENTRY_WITH_WAKEUP = struct vfio_device_low_power_entry_with_wakeup, 8 {
        wakeup_eventfd: s32 In, Fd;
        reserved: u32 In, Reserved;
    }
    DMA_LOGGING_RANGE = struct vfio_device_feature_dma_logging_range, 16 {
        iova: u64 In, Iova;
        length: u64 In, Length;
    }
    DMA_LOGGING_CONTROL = struct vfio_device_feature_dma_logging_control, 24 {
        page_size: u64 InOut, Plain;
        num_ranges: u32 In, Plain;
        __reserved: u32 In, Reserved;
        ranges: u64 In, UserPtr(&Pointee {
            element: Element::Struct(&DMA_LOGGING_RANGE),
            dir: Dir::In,
            len: Some("num_ranges"),
            unit: Unit::Elements,
        });
    }
    DMA_LOGGING_REPORT = struct vfio_device_feature_dma_logging_report, 32 {
        iova: u64 In, Iova;
        length: u64 In, Length;
        page_size: u64 In, Plain;
        bitmap: u64 In, UserPtr(&Pointee {
            element: BITMAP,
            dir: Dir::InOut,
            len: Some("length"),
            unit: Unit::Bits("page_size"),
        });
    }
    MIG_DATA_SIZE = struct vfio_device_feature_mig_data_size, 8 {
        stop_copy_length: u64 Out, Length;
    }
    BUS_MASTER = struct vfio_device_feature_bus_master, 4 {
        op: u32 In, Enum(BUS_MASTER_OPS);
    }
    REGION_DMA_RANGE = struct vfio_region_dma_range, 16 {
        offset: u64 In, Plain;
        length: u64 In, Length;
    }
    // The open flags are those of open(2). The ioctl returns the descriptor.
    DMA_BUF = struct vfio_device_feature_dma_buf, 16 {
        region_index: u32 In, Enum(PCI_REGIONS);
        open_flags: u32 In, Plain;
        flags: u32 In, Flags(&[]);
        nr_ranges: u32 In, Plain;
        => dma_ranges "nr_ranges", In, Element::Struct(&REGION_DMA_RANGE);
    }
}

// Only BIND_IOMMUFD checks the bytes beyond those it knows; the others ignore them.
ioctls! { IOCTLS in VFIO_H;
    VFIO_DEVICE_GET_INFO = 107, Device, DEVICE_INFO from "num_irqs";
    VFIO_DEVICE_GET_REGION_INFO = 108, Device, REGION_INFO from "offset";
    VFIO_DEVICE_GET_IRQ_INFO = 109, Device, IRQ_INFO from "count";
    VFIO_DEVICE_SET_IRQS = 110, Device, IRQ_SET from "count";
    VFIO_DEVICE_RESET = 111, Device, none;
    VFIO_DEVICE_GET_PCI_HOT_RESET_INFO = 112, Device, HOT_RESET_INFO from "count";
    VFIO_DEVICE_PCI_HOT_RESET = 113, Device, HOT_RESET from "count";
    VFIO_DEVICE_QUERY_GFX_PLANE = 114, Device, GFX_PLANE_INFO from "region_index";
    VFIO_DEVICE_GET_GFX_DMABUF = 115, Device, int;
    VFIO_DEVICE_IOEVENTFD = 116, Device, IOEVENTFD from "fd";
    VFIO_DEVICE_FEATURE = 117, Device, FEATURE from "flags";
    VFIO_DEVICE_BIND_IOMMUFD = 118, Device, BIND_IOMMUFD from "out_devid";
    VFIO_DEVICE_ATTACH_IOMMUFD_PT = 119, Device, ATTACH_IOMMUFD_PT from "pt_id";
    VFIO_DEVICE_DETACH_IOMMUFD_PT = 120, Device, DETACH_IOMMUFD_PT from "flags";
    VFIO_MIG_GET_PRECOPY_INFO = 121, Migration, PRECOPY_INFO from "dirty_bytes";
}

pub(crate) static CAPABILITIES: &[Capability] = &[
    Capability {
        info: "vfio_device_info",
        id: 5,
        layout: &CAP_PCI_ATOMIC_COMP,
    },
    Capability {
        info: "vfio_region_info",
        id: 1,
        layout: &CAP_SPARSE_MMAP,
    },
    Capability {
        info: "vfio_region_info",
        id: 2,
        layout: &CAP_TYPE,
    },
    // Nothing follows the header: only the presence of the capability matters.
    Capability {
        info: "vfio_region_info",
        id: 3,
        layout: &CAP_HEADER,
    },
    Capability {
        info: "vfio_region_info",
        id: 4,
        layout: &CAP_NVLINK2_SSATGT,
    },
    Capability {
        info: "vfio_region_info",
        id: 5,
        layout: &CAP_NVLINK2_LNKSPD,
    },
];
