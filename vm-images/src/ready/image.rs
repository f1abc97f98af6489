//! Checks a ready kernel as a whole.

use std::sync::Arc;

use uapi::Header;

use super::{Given, agent_needs, find_config, parts::Modules, parts::Parts, temporary};
use crate::{
    cache::hash,
    error::ImageError,
    image::{Image, Temporary},
    kernel_config::KernelConfig,
};

/// Returns the image, with everything read that has to be unpacked. Only a kernel that had to be
/// unpacked stays on the disk, as long as the image.
pub(crate) fn image(given: &Given) -> Result<Image, ImageError> {
    let image = unchecked(given)?;
    if let Some(config) = &image.config {
        agent_needs::check(config, &image.modules)?;
    }
    Ok(image)
}

/// What is known of a kernel that somebody else built, before it boots.
#[derive(Debug)]
pub struct ReadyFacts {
    /// Its release.
    pub release: String,
    /// Its configuration, if one was found.
    pub config: Option<KernelConfig>,
    /// What its uAPI headers declare, if they were found.
    pub declared: Option<Arc<Header>>,
}

/// Returns what is known of a kernel, even of one that cannot run the agent.
pub fn facts_of(given: &Given) -> Result<ReadyFacts, ImageError> {
    let image = unchecked(given)?;
    Ok(ReadyFacts {
        release: image.release,
        config: image.config,
        declared: image.declared,
    })
}

fn unchecked(given: &Given) -> Result<Image, ImageError> {
    let unpacked = temporary::folder()?;
    let Parts {
        kernel,
        modules,
        beside,
        headers,
        built_by,
    } = Parts::of(&given.origin, unpacked.path())?;
    let modules = match &given.modules {
        Some(path) => Modules::given(path, unpacked.path())?,
        None => modules,
    };
    let config = match &given.config {
        Some(path) => Some(find_config::given(path, &kernel)?),
        None => {
            let folder = modules.folder(&kernel.release)?;
            find_config::search(&kernel, &beside, folder.as_ref())
        }
    };
    let modules = modules.pack(&kernel.release)?;
    Ok(Image {
        key: hash([&kernel.bytes[..]]),
        kernel: kernel.path,
        config,
        modules,
        declared: headers.read(&kernel.release).map(Arc::new),
        headers: headers
            .include
            .filter(|path| !path.starts_with(unpacked.path())),
        release: kernel.release,
        source: None,
        coverage: None,
        kept: None,
        built_by,
        temporary: kernel.temporary.map(|folder| Temporary(Arc::new(folder))),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A bzImage of 6.19.0 from before its header said where the kernel is.
    fn kernel() -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = vec![0; 0x400];
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        bytes[0x20f] = 2;
        bytes.extend_from_slice(b"6.19.0 (u@h)\0");
        fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn takes_a_kernel_with_modules() {
        let file = kernel();
        let modules = tempfile::tempdir().unwrap();
        fs::write(modules.path().join("vfio.ko"), "\0vermagic=6.19.0 SMP\0").unwrap();
        let image = image(&Given {
            modules: Some(modules.path().to_owned()),
            ..Given::file(file.path().to_owned())
        });
        let image = image.unwrap();
        assert_eq!(image.release, "6.19.0");
        assert_eq!(image.kernel, file.path());
        assert_eq!(image.modules.len(), 1);
        assert_eq!(image.key.len(), 64);
        assert_eq!(image.config, None);
    }

    #[test]
    fn says_what_cannot_be_read() {
        let error = image(&Given::file("/nonexistent".into())).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("cannot read the kernel image"), "{text}");
    }

    #[test]
    fn modules_must_be_a_folder_or_a_tarball() {
        let file = kernel();
        let error = image(&Given {
            modules: Some(file.path().to_owned()),
            ..Given::file(file.path().to_owned())
        });
        let error = error.unwrap_err();
        assert!(error.to_string().contains("cannot be unpacked"), "{error}");
        assert_eq!(error.blame(), crate::Blame::Usage);
    }
}
