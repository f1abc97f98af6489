//! `linux/kvm.h`: what a VMM calls to tell KVM about its vfio files, and nothing else of KVM.

use crate::KVM_H;
use crate::types::{Element, Kind::*, Pointee, Unit, Width};

constants! { ALL;
    DEVICE_TYPES in KVM_H "KVM_DEV_TYPE_" {
        KVM_DEV_TYPE_FSL_MPIC_20 = 1,
        KVM_DEV_TYPE_FSL_MPIC_42 = 2,
        KVM_DEV_TYPE_XICS = 3,
        KVM_DEV_TYPE_VFIO = 4,
    };
    CREATE_DEVICE_FLAGS in KVM_H "KVM_CREATE_DEVICE_" {
        KVM_CREATE_DEVICE_TEST = 1,
    };
    VFIO_GROUPS in KVM_H "KVM_DEV_VFIO_" {
        KVM_DEV_VFIO_FILE = 1,
    };
    VFIO_ATTRIBUTES in KVM_H "KVM_DEV_VFIO_" {
        KVM_DEV_VFIO_FILE_ADD = 1,
        KVM_DEV_VFIO_FILE_DEL = 2,
        KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE = 3,
    };
}

structs! { STRUCTS in KVM_H;
    CREATE_DEVICE = struct kvm_create_device, 12 {
        type: u32 In, Enum(DEVICE_TYPES);
        fd: u32 Out, Fd;
        flags: u32 In, Flags(CREATE_DEVICE_FLAGS);
    }
    DEVICE_ATTR = struct kvm_device_attr, 24 {
        flags: u32 In, Flags(&[]);
        group: u32 In, Enum(VFIO_GROUPS);
        attr: u64 In, Enum(VFIO_ATTRIBUTES);
        addr: u64 In, UserPtr(&Pointee {
            element: Element::Plain { width: Width::W4, signed: true },
            dir: Dir::In,
            len: None,
            unit: Unit::Fixed(4),
        });
    }
}

ioctls! { IOCTLS numbered in KVM_H;
    KVM_CREATE_VM = 0xae01, Kvm, value;
    KVM_CREATE_DEVICE = 0xc00c_aee0, Vm, CREATE_DEVICE;
    KVM_SET_DEVICE_ATTR = 0x4018_aee1, VmDevice, DEVICE_ATTR;
    KVM_HAS_DEVICE_ATTR = 0x4018_aee3, VmDevice, DEVICE_ATTR;
}
