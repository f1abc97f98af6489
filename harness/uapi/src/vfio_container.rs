//! `linux/vfio.h`: structures and ioctls of a container and of its type 1 IOMMU.

use crate::VFIO_H;
use crate::constants::*;
use crate::iommufd::BITMAP;
use crate::types::Kind::*;
use crate::types::{Capability, Choice, Element, Pointee, Unit, Width};

const BYTES: Element = Element::Plain {
    width: Width::W1,
    signed: false,
};

structs! { STRUCTS in VFIO_H;
    TYPE1_INFO = struct vfio_iommu_type1_info, 24 {
        argsz: u32 InOut, Size;
        flags: u32 Out, Flags(IOMMU_INFO_FLAGS);
        iova_pgsizes: u64 Out, Plain;
        cap_offset: u32 Out, Plain;
        pad: u32 Out, Reserved;
    }
    VFIO_IOVA_RANGE = struct vfio_iova_range, 16 {
        start: u64 Out, Iova;
        end: u64 Out, Iova;
    }
    CAP_IOVA_RANGE = struct vfio_iommu_type1_info_cap_iova_range, 16 {
        header.id: u16 Out, Enum(IOMMU_INFO_CAPS);
        header.version: u16 Out, Plain;
        header.next: u32 Out, Plain;
        nr_iovas: u32 Out, Plain;
        reserved: u32 Out, Reserved;
        => iova_ranges "nr_iovas", Out, Element::Struct(&VFIO_IOVA_RANGE);
    }
    CAP_MIGRATION = struct vfio_iommu_type1_info_cap_migration, 32 {
        header.id: u16 Out, Enum(IOMMU_INFO_CAPS);
        header.version: u16 Out, Plain;
        header.next: u32 Out, Plain;
        flags: u32 Out, Flags(&[]);
        pgsize_bitmap: u64 Out, Plain;
        max_dirty_bitmap_size: u64 Out, Length;
    }
    CAP_DMA_AVAIL = struct vfio_iommu_type1_info_dma_avail, 12 {
        header.id: u16 Out, Enum(IOMMU_INFO_CAPS);
        header.version: u16 Out, Plain;
        header.next: u32 Out, Plain;
        avail: u32 Out, Plain;
    }
    DMA_MAP = struct vfio_iommu_type1_dma_map, 32 {
        argsz: u32 In, Size;
        flags: u32 In, Flags(DMA_MAP_FLAGS);
        vaddr: u64 In, UserPtr(&Pointee {
            element: BYTES,
            dir: Dir::InOut,
            len: Some("size"),
            unit: Unit::Bytes,
        });
        iova: u64 In, Iova;
        size: u64 In, Length;
    }
    VFIO_BITMAP = struct vfio_bitmap, 24 {
        pgsize: u64 In, Plain;
        size: u64 In, Length;
        data: u64 In, UserPtr(&Pointee {
            element: BITMAP,
            dir: Dir::InOut,
            len: Some("size"),
            unit: Unit::Bytes,
        });
    }
    DMA_UNMAP = struct vfio_iommu_type1_dma_unmap, 24 {
        argsz: u32 In, Size;
        flags: u32 In, Flags(DMA_UNMAP_FLAGS);
        iova: u64 In, Iova;
        size: u64 InOut, Length;
        => data, In, Element::Chosen(&[Choice {
            field: "flags",
            mask: 1,
            value: 1,
            element: Element::Struct(&VFIO_BITMAP),
        }]);
    }
    DIRTY_BITMAP_GET = struct vfio_iommu_type1_dirty_bitmap_get, 40 {
        iova: u64 In, Iova;
        size: u64 In, Length;
        bitmap.pgsize: u64 In, Plain;
        bitmap.size: u64 In, Length;
        bitmap.data: u64 In, UserPtr(&Pointee {
            element: BITMAP,
            dir: Dir::InOut,
            len: Some("bitmap.size"),
            unit: Unit::Bytes,
        });
    }
    DIRTY_BITMAP = struct vfio_iommu_type1_dirty_bitmap, 8 {
        argsz: u32 In, Size;
        flags: u32 In, Flags(DIRTY_PAGES_FLAGS);
        => data, In, Element::Chosen(&[Choice {
            field: "flags",
            mask: 4,
            value: 4,
            element: Element::Struct(&DIRTY_BITMAP_GET),
        }]);
    }
}

// ENABLE and DISABLE are for the container of POWER; type 1 does not use them.
ioctls! { IOCTLS in VFIO_H;
    VFIO_GET_API_VERSION = 100, Container, none;
    VFIO_CHECK_EXTENSION = 101, Container, value;
    VFIO_SET_IOMMU = 102, Container, value;
    VFIO_IOMMU_GET_INFO = 112, Container, TYPE1_INFO from "iova_pgsizes";
    VFIO_IOMMU_MAP_DMA = 113, Container, DMA_MAP from "size";
    VFIO_IOMMU_UNMAP_DMA = 114, Container, DMA_UNMAP from "size";
    VFIO_IOMMU_ENABLE = 115, Container, none;
    VFIO_IOMMU_DISABLE = 116, Container, none;
    VFIO_IOMMU_DIRTY_PAGES = 117, Container, DIRTY_BITMAP from "flags";
}

pub(crate) static CAPABILITIES: &[Capability] = &[
    Capability {
        info: "vfio_iommu_type1_info",
        id: 1,
        layout: &CAP_IOVA_RANGE,
    },
    Capability {
        info: "vfio_iommu_type1_info",
        id: 2,
        layout: &CAP_MIGRATION,
    },
    Capability {
        info: "vfio_iommu_type1_info",
        id: 3,
        layout: &CAP_DMA_AVAIL,
    },
];
