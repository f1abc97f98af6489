//! Numbers as names of the uAPI.

use uapi::{Constant, Field, Kind, MOCK_H};

/// The names that a program may use.
#[derive(Debug, Clone, Copy)]
pub struct Numbers {
    /// Whether to use names of the mock's header, which the kernel does not install.
    pub mock: bool,
}

/// Region index in the file offset of vfio-pci.
const REGION_SHIFT: u32 = 40;
/// The regions of a PCI device.
const REGIONS: [&str; 9] = [
    "VFIO_PCI_BAR0_REGION_INDEX",
    "VFIO_PCI_BAR1_REGION_INDEX",
    "VFIO_PCI_BAR2_REGION_INDEX",
    "VFIO_PCI_BAR3_REGION_INDEX",
    "VFIO_PCI_BAR4_REGION_INDEX",
    "VFIO_PCI_BAR5_REGION_INDEX",
    "VFIO_PCI_ROM_REGION_INDEX",
    "VFIO_PCI_CONFIG_REGION_INDEX",
    "VFIO_PCI_VGA_REGION_INDEX",
];

impl Numbers {
    /// Returns a value of a field with the names of its flags or values.
    pub fn field(self, field: &Field, value: u64) -> String {
        match field.kind {
            Kind::Flags(set) => self.flags(set, value),
            Kind::Enum(set) => self.one_of(set, value),
            Kind::IndexAndFlags { mask, index, flags } => {
                let first = self.one_of(index, value & mask);
                match value & !mask {
                    0 => first,
                    rest => format!("{} | {first}", self.flags(flags, rest)),
                }
            }
            _ if field.signed => (value as i64).to_string(),
            _ => plain(value),
        }
    }

    fn usable(self, constant: &Constant) -> bool {
        self.mock || constant.source != MOCK_H
    }

    fn one_of(self, set: &[Constant], value: u64) -> String {
        let known = set
            .iter()
            .find(|constant| constant.value == value && self.usable(constant));
        known.map_or_else(|| plain(value), |constant| constant.name.to_owned())
    }

    fn flags(self, set: &[Constant], value: u64) -> String {
        let mut left = value;
        let mut parts = Vec::new();
        for constant in set.iter().filter(|constant| self.usable(constant)) {
            if constant.value != 0 && left & constant.value == constant.value {
                left &= !constant.value;
                parts.push(constant.name.to_owned());
            }
        }
        if left != 0 || parts.is_empty() {
            parts.push(plain(left));
        }
        parts.join(" | ")
    }
}

/// Returns a number as one would write it: small ones in decimal.
pub fn plain(value: u64) -> String {
    if value < 10 {
        value.to_string()
    } else {
        format!("{value:#x}")
    }
}

/// A file offset of a device descriptor.
pub fn offset(value: u64) -> String {
    let region = usize::try_from(value >> REGION_SHIFT).unwrap_or(usize::MAX);
    let within = value & ((1 << REGION_SHIFT) - 1);
    match (REGIONS.get(region), within) {
        (Some(_), within) if region == 0 => plain(within),
        (Some(name), 0) => format!("REGION({name})"),
        (Some(name), within) => format!("REGION({name}) + {}", plain(within)),
        (None, _) => plain(value),
    }
}

/// Name of an error number.
pub fn errno(number: i32) -> Option<&'static str> {
    uapi::errno_name(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0x40, "0x40")]
    #[case(7 << 40, "REGION(VFIO_PCI_CONFIG_REGION_INDEX)")]
    #[case((7 << 40) + 4, "REGION(VFIO_PCI_CONFIG_REGION_INDEX) + 4")]
    #[case(9 << 40, "0x90000000000")]
    fn offsets_name_their_region(#[case] value: u64, #[case] want: &str) {
        assert_eq!(offset(value), want);
    }

    #[test]
    fn flags_have_their_names() {
        let field = uapi::structure("iommu_ioas_map").unwrap().field("flags");
        let numbers = Numbers { mock: false };
        let text = numbers.field(field.unwrap(), 0x81 | 4);
        assert_eq!(
            text,
            "IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | 0x80"
        );
    }
}
