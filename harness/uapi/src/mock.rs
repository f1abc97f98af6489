//! `iommufd_test.h`: the ioctl of the mock in kernels with `CONFIG_IOMMUFD_TEST`, and the
//! structures of its device, page tables and virtual IOMMU.

use crate::MOCK_H;
use crate::constants::*;
use crate::iommufd::{ATTACHABLE, BITMAP, HWPT};
use crate::types::Kind::*;
use crate::types::{Element, Object, Pointee, Unit, Width};

/// A buffer of the caller with the length in the named field.
const fn memory(len: &'static str) -> Pointee {
    Pointee {
        element: Element::Plain {
            width: Width::W1,
            signed: false,
        },
        dir: crate::types::Dir::InOut,
        len: Some(len),
        unit: Unit::Bytes,
    }
}

structs! { STRUCTS in MOCK_H;
    HW_INFO_SELFTEST = struct iommu_test_hw_info, 8 {
        flags: u32 Out, Flags(&[]);
        test_reg: u32 Out, Plain;
    }
    HWPT_SELFTEST = struct iommu_hwpt_selftest, 8 {
        iotlb: u32 In, Plain;
        pagetable_type: u32 In, Enum(MOCK_IOMMUPT);
    }
    HWPT_INVALIDATE_SELFTEST = struct iommu_hwpt_invalidate_selftest, 8 {
        flags: u32 In, Flags(MOCK_INVALIDATE_FLAGS);
        iotlb_id: u32 In, Plain;
    }
    VIOMMU_SELFTEST = struct iommu_viommu_selftest, 24 {
        in_data: u32 In, Plain;
        out_data: u32 Out, Plain;
        out_mmap_offset: u64 Out, Plain;
        out_mmap_length: u64 Out, Length;
    }
    VIOMMU_INVALIDATE_SELFTEST = struct iommu_viommu_invalidate_selftest, 12 {
        flags: u32 In, Flags(MOCK_INVALIDATE_FLAGS);
        vdev_id: u32 In, Plain;
        cache_id: u32 In, Plain;
    }
    VIOMMU_EVENT_SELFTEST = struct iommu_viommu_event_selftest, 4 {
        virt_id: u32 Out, Plain;
    }
    // The operation selects the member of the union, and the kind of object that id names.
    TEST_CMD = struct iommu_test_cmd, 72 {
        size: u32 In, Size;
        op: u32 In, Enum(TEST_OPS);
        id: u32 In, Plain;
        __reserved: u32 In, Reserved;

        [union] add_reserved.start: u64 In, Iova;
        add_reserved.length: u64 In, Length;

        [or] mock_domain.out_stdev_id: u32 Out, Id(&[Object::Selftest]);
        mock_domain.out_hwpt_id: u32 Out, Id(HWPT);
        mock_domain.out_idev_id: u32 Out, Id(&[Object::Device]);

        [or] mock_domain_flags.out_stdev_id: u32 Out, Id(&[Object::Selftest]);
        mock_domain_flags.out_hwpt_id: u32 Out, Id(HWPT);
        mock_domain_flags.out_idev_id: u32 Out, Id(&[Object::Device]);
        mock_domain_flags.dev_flags: u32 In, Flags(MOCK_DEVICE_FLAGS);

        [or] mock_domain_replace.pt_id: u32 InOut, Id(ATTACHABLE);

        [or] check_map.iova: u64 In, Iova;
        check_map.length: u64 In, Length;
        check_map.uptr: u64 In, UserPtr(&const { memory("check_map.length") });

        [or] check_refs.length: u64 In, Length;
        check_refs.uptr: u64 In, UserPtr(&const { memory("check_refs.length") });
        check_refs.refs: u32 In, Plain;

        [or] create_access.out_access_fd: u32 Out, Fd;
        create_access.flags: u32 In, Flags(MOCK_CREATE_ACCESS_FLAGS);

        [or] destroy_access_pages.access_pages_id: u32 In, Plain;

        [or] access_pages.flags: u32 In, Flags(MOCK_ACCESS_FLAGS);
        access_pages.out_access_pages_id: u32 Out, Counted;
        access_pages.iova: u64 In, Iova;
        access_pages.length: u64 In, Length;
        access_pages.uptr: u64 In, UserPtr(&const { memory("access_pages.length") });

        [or] access_rw.iova: u64 In, Iova;
        access_rw.length: u64 In, Length;
        access_rw.uptr: u64 In, UserPtr(&const { memory("access_rw.length") });
        access_rw.flags: u32 In, Flags(MOCK_ACCESS_RW_FLAGS);

        [or] memory_limit.limit: u32 In, Plain;

        [or] access_replace_ioas.ioas_id: u32 In, Id(&[Object::Ioas]);

        [or] dirty.flags: u32 In, Flags(GET_DIRTY_BITMAP_FLAGS);
        dirty.iova: u64 In, Iova;
        dirty.length: u64 In, Length;
        dirty.page_size: u64 In, Plain;
        dirty.uptr: u64 In, UserPtr(&Pointee {
            element: BITMAP,
            dir: Dir::In,
            len: Some("dirty.length"),
            unit: Unit::Bits("dirty.page_size"),
        });
        dirty.out_nr_dirty: u64 Out, Plain;

        [or] check_iotlb.id: u32 In, Plain;
        check_iotlb.iotlb: u32 In, Plain;

        [or] trigger_iopf.dev_id: u32 In, Id(&[Object::Device]);
        trigger_iopf.pasid: u32 In, Plain;
        trigger_iopf.grpid: u32 In, Plain;
        trigger_iopf.perm: u32 In, Flags(PGFAULT_PERM);
        trigger_iopf.addr: u64 In, Iova;

        [or] check_dev_cache.id: u32 In, Plain;
        check_dev_cache.cache: u32 In, Plain;

        [or] trigger_vevent.dev_id: u32 In, Id(&[Object::Device]);

        [or] pasid_attach.pasid: u32 In, Plain;
        pasid_attach.pt_id: u32 InOut, Id(ATTACHABLE);

        [or] pasid_replace.pasid: u32 In, Plain;
        pasid_replace.pt_id: u32 InOut, Id(ATTACHABLE);

        [or] pasid_detach.pasid: u32 In, Plain;

        [or] pasid_check.pasid: u32 In, Plain;
        pasid_check.hwpt_id: u32 In, Id(HWPT);

        [or] dmabuf_get.length: u32 In, Length;
        dmabuf_get.open_flags: u32 In, Plain;

        [or] dmabuf_revoke.dmabuf_fd: s32 In, Fd;
        dmabuf_revoke.revoked: u32 In, Plain;

        [end] last: u32 In, Plain;
    }
}

ioctls! { IOCTLS in MOCK_H;
    IOMMU_TEST_CMD = 0xa0, Iommu, TEST_CMD from "last";
}
