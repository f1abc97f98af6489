//! Whether a guest has virtualization of its own, which its `/dev/kvm` needs.

use std::{fs, path::Path};

use crate::qemu::Accel;

/// Where the host's modules show their parameters.
pub const MODULES: &str = "/sys/module";
/// The modules of the host, one for each kind of processor.
const HOSTS: [&str; 2] = ["kvm_amd", "kvm_intel"];

/// Returns why a guest of this accelerator has no virtualization, or `None` if it has. QEMU
/// interprets that of AMD; KVM offers it unless its module was told not to.
pub fn missing(accel: Accel, modules: &Path) -> Option<String> {
    let nests = |module: &&str| {
        let path = modules.join(module).join("parameters/nested");
        fs::read_to_string(path).is_ok_and(|text| matches!(text.trim(), "1" | "Y"))
    };
    match accel {
        Accel::Tcg => None,
        Accel::Kvm if HOSTS.iter().any(nests) => None,
        Accel::Kvm => Some("the host's KVM does not nest (its module's parameter `nested`)".into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::interpreted(Accel::Tcg, None, true)]
    #[case::amd(Accel::Kvm, Some(("kvm_amd", "1\n")), true)]
    #[case::intel(Accel::Kvm, Some(("kvm_intel", "Y\n")), true)]
    #[case::off(Accel::Kvm, Some(("kvm_intel", "N\n")), false)]
    #[case::no_module(Accel::Kvm, None, false)]
    fn the_modules_of_the_host_decide(
        #[case] accel: Accel,
        #[case] module: Option<(&str, &str)>,
        #[case] nests: bool,
    ) {
        let modules = tempfile::tempdir().unwrap();
        if let Some((name, text)) = module {
            let folder = modules.path().join(name).join("parameters");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("nested"), text).unwrap();
        }
        assert_eq!(missing(accel, modules.path()).is_none(), nests);
    }
}
