//! `/dev/kvm`: checks whether this process may use it, and says what to do if it may not.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use nix::unistd::{Gid, Group};

/// Mode bits that let the group read and write.
const GROUP_ACCESS: u32 = 0o060;

/// The device of KVM.
pub const DEVICE: &str = "/dev/kvm";

/// Why this process cannot use the device of KVM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The device does not exist.
    #[error(
        "{DEVICE} does not exist; load kvm-intel or kvm-amd, and enable virtualization in the \
         firmware"
    )]
    Missing,
    /// This user has no permission to open it.
    #[error("no permission to open {DEVICE}; {}", advice(.group.as_deref()))]
    Denied {
        /// A group that has the permission, other than root's.
        group: Option<String>,
    },
    /// Opening it failed for another reason.
    #[error("opening {DEVICE}: {0}")]
    Other(String),
}

fn advice(group: Option<&str>) -> String {
    match group {
        Some(group) => {
            format!(
                "join its group `{group}` with `sudo usermod -aG {group} $USER`, then log in \
                     again"
            )
        }
        None => format!("no group can be joined for it; run `sudo setfacl -m u:$USER:rw {DEVICE}`"),
    }
}

/// Opens and closes the device.
pub fn check(path: &Path) -> Result<(), DeviceError> {
    let opened = fs::OpenOptions::new().read(true).write(true).open(path);
    opened.map(drop).map_err(|error| reason(path, &error))
}

fn reason(path: &Path, error: &io::Error) -> DeviceError {
    match error.kind() {
        io::ErrorKind::NotFound => DeviceError::Missing,
        io::ErrorKind::PermissionDenied => DeviceError::Denied {
            group: group_of(path),
        },
        _ => DeviceError::Other(error.to_string()),
    }
}

/// Returns the group that may read and write it, if the group has a name and is not root's.
fn group_of(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    if metadata.mode() & GROUP_ACCESS != GROUP_ACCESS || metadata.gid() == 0 {
        return None;
    }
    Some(Group::from_gid(Gid::from_raw(metadata.gid())).ok()??.name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use std::os::unix::fs::PermissionsExt;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::kvm(Some("kvm"), "sudo usermod -aG kvm $USER")]
    #[case::none(None, "setfacl -m u:$USER:rw /dev/kvm")]
    fn a_refusal_says_what_to_do(#[case] group: Option<&str>, #[case] says: &str) {
        let group = group.map(str::to_owned);
        let text = DeviceError::Denied { group }.to_string();
        assert!(text.contains(says), "{text}");
    }

    #[test]
    fn a_device_that_opens_is_of_use() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(check(file.path()), Ok(()));
    }

    #[test]
    fn a_missing_device_is_told() {
        let missing = check(Path::new("/nonexistent/kvm")).unwrap_err();
        assert_eq!(missing, DeviceError::Missing);
        assert!(missing.to_string().contains("kvm-intel"), "{missing}");
    }

    #[rstest]
    #[case::denied_to_all(libc::EACCES, 0o600, "setfacl")]
    #[case::busy(libc::EBUSY, 0o660, "busy")]
    fn an_error_has_its_words(#[case] errno: i32, #[case] mode: u32, #[case] says: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        let error = reason(file.path(), &io::Error::from_raw_os_error(errno));
        assert!(error.to_string().contains(says), "{error}");
    }
}
