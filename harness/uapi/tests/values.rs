//! Values in and out of bytes and names.

#![allow(clippy::unwrap_used)] // Clippy's leave for tests does not cover helpers.

use proptest::prelude::*;
use rstest::rstest;
use uapi::{Arg, BytesError, Element, Field, Kind, NameError};

fn field(structure: &str, name: &str) -> &'static Field {
    uapi::structure(structure).unwrap().field(name).unwrap()
}

#[rstest]
#[case("iommu_ioas_map", "ioas_id", 7, &[0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0])]
#[case("iommu_option", "op", 0x102, &[0, 0, 0, 0, 0, 0, 0, 0, 2, 1])]
#[case("iommu_hw_info", "out_max_pasid_log2", 20, &[0; 0])]
#[case("vfio_device_ioeventfd", "fd", u64::MAX, &[0; 0])]
fn set_and_get(
    #[case] structure: &str,
    #[case] name: &str,
    #[case] value: u64,
    #[case] start: &[u8],
) {
    let mut bytes = vec![0; uapi::structure(structure).unwrap().size as usize];
    let field = field(structure, name);
    field.set(&mut bytes, value).unwrap();
    assert_eq!(field.get(&bytes), Some(value));
    assert!(bytes.starts_with(start), "{bytes:?}");
}

#[rstest]
#[case("iommu_option", "op", 0x1_0000, false)]
#[case("iommu_option", "op", u64::MAX, false)]
#[case("iommu_option", "val64", u64::MAX, true)]
#[case("iommu_ioas_map_file", "fd", -1i64 as u64, true)]
#[case("iommu_ioas_map_file", "fd", 0xffff_ffff, true)]
#[case("iommu_ioas_map_file", "fd", i64::from(i32::MIN) as u64, true)]
#[case("iommu_ioas_map_file", "fd", (i64::from(i32::MIN) - 1) as u64, false)]
#[case("iommu_ioas_map_file", "fd", 0x1_0000_0000, false)]
fn width(#[case] structure: &str, #[case] name: &str, #[case] value: u64, #[case] fits: bool) {
    let field = field(structure, name);
    let mut bytes = [0; 64];
    match field.set(&mut bytes, value) {
        Ok(()) => assert!(fits),
        Err(error) => {
            assert!(!fits, "{error}");
            assert!(matches!(error, BytesError::TooWide { .. }), "{error}");
            assert_eq!(bytes, [0; 64]);
        }
    }
}

#[test]
fn negative_descriptors_read_back_negative() {
    let fd = field("iommu_ioas_map_file", "fd");
    let mut bytes = [0; 40];
    fd.set(&mut bytes, 0xffff_fffe).unwrap();
    assert_eq!(fd.get(&bytes).map(|value| value as i64), Some(-2));
    assert_eq!(fd.text(u64::MAX), "-1");
    assert_eq!(fd.parse("-1"), Ok(u64::MAX));
}

#[test]
fn arrays_go_by_element() {
    let idr = field("iommu_hw_info_arm_smmuv3", "idr");
    let mut bytes = [0; 40];
    for i in 0..6 {
        idr.set_at(&mut bytes, i, u64::from(i) + 1).unwrap();
    }
    assert_eq!(idr.get_all(&bytes), Some(vec![1, 2, 3, 4, 5, 6]));
    assert_eq!(idr.get_at(&bytes, 6), None);
    assert_eq!(idr.get_all(&bytes[..31]), None);
    assert_eq!(
        idr.set_at(&mut bytes, 6, 0),
        Err(BytesError::NoSuchElement {
            field: "idr",
            index: 6,
            count: 6
        })
    );
}

#[test]
fn short_buffers_are_errors() {
    let length = field("iommu_ioas_unmap", "length");
    let mut bytes = [0; 23];
    assert_eq!(length.get(&bytes), None);
    let error = length.set(&mut bytes, 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "setting length: it ends at byte 24, but the buffer has 23; \
         leave the field out or make the buffer longer"
    );
}

#[rstest]
#[case("iommu_ioas_map", "flags", 5, "FIXED_IOVA|READABLE")]
#[case("iommu_ioas_map", "flags", 0, "0")]
#[case("iommu_ioas_map", "flags", 0x8000_0001, "FIXED_IOVA|0x80000000")]
#[case("iommu_ioas_alloc", "flags", 1, "0x1")]
#[case("iommu_hwpt_alloc", "flags", 6, "DIRTY_TRACKING|FAULT_ID_VALID")]
#[case("iommu_hwpt_alloc", "data_type", 0, "NONE")]
#[case("iommu_hwpt_alloc", "data_type", 0xdead, "SELFTEST")]
#[case("iommu_hwpt_alloc", "data_type", 77, "0x4d")]
#[case("iommu_hw_info", "out_data_type", 0, "NONE")]
#[case("vfio_device_ioeventfd", "flags", 8, "IOEVENTFD_64")]
#[case("vfio_device_feature", "flags", 0x1_0001, "MIGRATION|GET")]
#[case("vfio_device_feature", "flags", 0, "PCI_VF_TOKEN")]
#[case("vfio_device_feature", "flags", 0x8_0063, "0x63|0x80000")]
#[case("vfio_device_feature", "flags", 0x6_000a, "BUS_MASTER|SET|PROBE")]
#[case("vfio_pci_dependent_device", "devid", 0xffff_ffff, "NOT_OWNED")]
#[case("iommu_ioas_map", "iova", 0x1000, "0x1000")]
fn texts(#[case] structure: &str, #[case] name: &str, #[case] value: u64, #[case] text: &str) {
    let field = field(structure, name);
    assert_eq!(field.text(value), text);
    assert_eq!(field.parse(text), Ok(value));
}

#[rstest]
#[case("iommu_ioas_map", "flags", "IOMMU_IOAS_MAP_READABLE | FIXED_IOVA", 5)]
#[case("iommu_ioas_map", "flags", "", 0)]
#[case("iommu_ioas_map", "flags", "READABLE|0x10|32", 0x34)]
#[case("iommu_hw_info", "in_data_type", "DEFAULT", 0)]
#[case(
    "vfio_device_feature",
    "flags",
    "GET|VFIO_DEVICE_FEATURE_DMA_BUF",
    0x1_000b
)]
#[case("vfio_irq_set", "index", "MSIX_IRQ_INDEX", 2)]
#[case("iommu_ioas_map", "length", " 4096 ", 4096)]
#[case("iommu_ioas_map", "length", "0xffffffffffffffff", u64::MAX)]
fn parses(#[case] structure: &str, #[case] name: &str, #[case] text: &str, #[case] value: u64) {
    assert_eq!(field(structure, name).parse(text), Ok(value));
}

#[rstest]
#[case("iommu_ioas_map", "flags", "WRITABLE", "WRITEABLE")]
#[case("iommu_ioas_alloc", "flags", "ANY", "no names")]
#[case("iommu_ioas_map", "length", "+5", "give a number")]
#[case("iommu_ioas_map", "length", "0x", "give a number")]
#[case("iommu_ioas_map", "length", "0x+5", "give a number")]
#[case("iommu_ioas_map", "length", "0x10000000000000000", "give a number")]
#[case("iommu_ioas_map", "length", "-9223372036854775809", "give a number")]
#[case("iommu_ioas_map", "length", "", "give a number")]
#[case("vfio_device_feature", "flags", "MIGRATION|DMA_BUF", "leave one out")]
fn misreads(#[case] structure: &str, #[case] name: &str, #[case] text: &str, #[case] says: &str) {
    let error: NameError = field(structure, name).parse(text).unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
}

#[rstest]
#[case(0x1_0002, Some("vfio_device_feature_mig_state"))]
#[case(0x1_0003, None)]
fn feature_payloads(#[case] flags: u64, #[case] expected: Option<&str>) {
    let tail = uapi::structure("vfio_device_feature")
        .unwrap()
        .tail
        .unwrap();
    let chosen = tail
        .element
        .chosen(|name| (name == "flags").then_some(flags));
    let name = chosen.map(|element| match element {
        Element::Struct(of) => of.name,
        other => panic!("{other:?}"),
    });
    assert_eq!(name, expected);
}

#[rstest]
#[case("EINVAL", 22)]
#[case("ENOTSUPP", 524)]
#[case("EOPNOTSUPP", 95)]
#[case("EAGAIN", 11)]
#[case("EUCLEAN", 117)]
fn errnos(#[case] name: &str, #[case] number: i32) {
    assert_eq!(uapi::errno(name), Some(number));
    assert_eq!(uapi::errno_name(number), Some(name));
    assert_eq!(uapi::errno_name(-number), Some(name));
}

#[test]
fn errnos_unknown_and_doubled() {
    assert_eq!(uapi::errno("EWOULDBLOCK"), Some(11));
    assert_eq!(uapi::errno("EWRONG"), None);
    assert_eq!(uapi::errno_name(0), None);
    assert_eq!(uapi::errno_name(i32::MIN), None);
}

#[rstest]
#[case("IOMMU_IOAS_MAP", 0x3b85, Some(40))]
#[case("IOMMU_HWPT_ALLOC", 0x3b89, Some(24))]
#[case("IOMMU_GET_HW_INFO", 0x3b8a, Some(32))]
#[case("IOMMU_VIOMMU_ALLOC", 0x3b90, Some(24))]
#[case("IOMMU_VEVENTQ_ALLOC", 0x3b93, Some(28))]
#[case("IOMMU_TEST_CMD", 0x3ba0, Some(68))]
#[case("VFIO_DEVICE_GET_INFO", 0x3b6b, Some(16))]
#[case("VFIO_DEVICE_BIND_IOMMUFD", 0x3b76, Some(16))]
#[case("VFIO_DEVICE_DETACH_IOMMUFD_PT", 0x3b78, Some(8))]
#[case("VFIO_DEVICE_IOEVENTFD", 0x3b74, Some(28))]
#[case("VFIO_SET_IOMMU", 0x3b66, None)]
fn ioctls(#[case] name: &str, #[case] request: u32, #[case] min_size: Option<u32>) {
    let ioctl = uapi::ioctl(name).unwrap();
    assert_eq!(ioctl.request, request);
    assert_eq!(ioctl.min_size, min_size);
}

#[test]
fn names_that_are_not_there() {
    assert_eq!(uapi::ioctl("IOMMU_NOTHING"), None);
    assert_eq!(uapi::structure("struct iommu_ioas_map"), None);
    assert_eq!(uapi::constant(""), None);
    assert_eq!(uapi::constant("VFIO_TYPE1v2_IOMMU"), Some(3));
}

fn any_field() -> impl Strategy<Value = &'static Field> {
    let fields: Vec<_> = uapi::structs().iter().flat_map(|of| of.fields).collect();
    proptest::sample::select(fields)
}

proptest! {
    #[test]
    fn what_was_set_is_read(field in any_field(), value: u64, len in 0usize..100) {
        let mut bytes = vec![0xa5; len];
        let before = bytes.clone();
        if field.set(&mut bytes, value).is_ok() {
            let read = field.get(&bytes).unwrap();
            prop_assert_eq!(read & field.width.max(), value & field.width.max());
            for (at, byte) in bytes.iter().enumerate() {
                let at = at as u32;
                if at < field.offset || at >= field.end() {
                    prop_assert_eq!(*byte, 0xa5);
                }
            }
        } else {
            prop_assert_eq!(bytes, before);
        }
    }

    #[test]
    fn texts_read_back(field in any_field(), value: u64) {
        let value = value & field.width.max();
        let mut bytes = vec![0; 100];
        field.set(&mut bytes, value).unwrap();
        let value = field.get(&bytes).unwrap();
        prop_assert_eq!(field.parse(&field.text(value)), Ok(value));
    }

    #[test]
    fn no_text_panics(field in any_field(), text in "[-+0-9a-zA-Z_| x]{0,20}|\\PC*") {
        let _ = field.parse(&text);
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, index: u32) {
        for ioctl in uapi::ioctls() {
            if let Arg::Struct(of) = ioctl.arg {
                for field in of.fields {
                    let _ = field.get_at(&bytes, index);
                    let text = field.text(field.get(&bytes).unwrap_or(u64::from(index)));
                    prop_assert!(!text.is_empty() || matches!(field.kind, Kind::Plain | Kind::Phys | Kind::Counted));
                }
            }
        }
    }
}
