//! The folder that tuxmake leaves: image, configuration, modules, and what `metadata.json` says
//! about the build.

use std::{
    fs::{self, File},
    io::{self, BufReader},
    path::Path,
};

use serde_json::Value;

use super::{
    ReadyError, archive,
    kernel_file::KernelFile,
    parts::{Modules, Parts, Place},
};
use crate::{declared::Places, error::ImageError, kbuild, x86};

/// What tuxmake says about the build.
const METADATA: &str = "metadata.json";
/// The output of the build.
const LOG: &str = "build.log";
/// The targets without which a kernel is not whole. Others, such as perf, do not matter here.
const NEEDED: [&str; 4] = ["config", "default", "kernel", "modules"];

/// Finds the parts, and unpacks the modules into a folder.
pub(super) fn parts(folder: &Path, unpacked: &Path) -> Result<Parts, ImageError> {
    let metadata = metadata(folder)?;
    let kernel = folder.join(x86::IMAGE);
    check_passed(folder, &metadata, kernel.is_file())?;
    if !kernel.is_file() {
        return Err(ImageError::Ready(ReadyError::NoImage {
            path: folder.to_owned(),
            hint: "give the folder in which tuxmake left bzImage, config and modules.tar.xz",
        }));
    }
    let files = archive::files(folder).into_iter();
    let mut tarballs = files.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("modules.tar")
    });
    Ok(Parts {
        kernel: KernelFile::open(&kernel)?,
        modules: match tarballs.next() {
            Some(tarball) => Modules::given(&tarball, unpacked)?,
            None => Modules::None,
        },
        beside: vec![Place::new(folder)],
        headers: Places::default(),
        built_by: Some(described(&metadata)),
    })
}

/// Reads the metadata. A folder without them may have been copied in part.
fn metadata(folder: &Path) -> Result<Value, ImageError> {
    let path = folder.join(METADATA);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Value::Null),
        Err(source) => {
            return Err(ImageError::Given {
                what: "description of the build",
                path,
                source,
            });
        }
    };
    serde_json::from_slice(&text).map_err(|error| {
        ImageError::Ready(ReadyError::Damaged {
            path,
            problem: format!("it is not JSON: {error}"),
        })
    })
}

/// Checks that the kernel and its modules were built.
fn check_passed(folder: &Path, metadata: &Value, has_image: bool) -> Result<(), ImageError> {
    let targets = metadata
        .pointer("/results/targets")
        .and_then(Value::as_object);
    let failed = targets.into_iter().flatten().filter(|(_, target)| {
        let status = target.get("status").and_then(Value::as_str);
        status == Some("FAIL")
    });
    let failed: Vec<_> = failed.map(|(name, _)| name.clone()).collect();
    let whole = has_image && !failed.iter().any(|name| NEEDED.contains(&name.as_str()));
    if whole || failed.is_empty() {
        return Ok(());
    }
    Err(ImageError::TuxmakeFailed {
        path: folder.to_owned(),
        targets: failed,
        log: excerpt(&folder.join(LOG)),
    })
}

/// Shows a log. Without one, the failure stands.
fn excerpt(log: &Path) -> String {
    let errors = File::open(log).and_then(|file| kbuild::excerpt_of(BufReader::new(file)));
    match errors {
        Ok(errors) => format!("{errors}the full log is {}", log.display()),
        Err(error) => format!("its log {} cannot be read ({error})", log.display()),
    }
}

/// Describes the build, such as `tuxmake, gcc 14.2.0, v7.3-rc2-12-g0123456789ab`.
fn described(metadata: &Value) -> String {
    let text = |pointer: &str| metadata.pointer(pointer).and_then(Value::as_str);
    let version = text("/compiler/version").unwrap_or_default();
    let compiler = text("/compiler/name").map(|name| format!("{} {version}", native(name)));
    let revision = text("/git/git_describe").map(str::to_owned);
    let words = [Some("tuxmake".to_owned()), compiler, revision];
    let words: Vec<_> = words.into_iter().flatten().collect();
    words.join(", ")
}

/// Returns a compiler without its target, such as `gcc-14` for `x86_64-linux-gnu-gcc-14`.
fn native(compiler: &str) -> &str {
    compiler
        .rsplit_once("-gnu-")
        .map_or(compiler, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    fn results(statuses: &[(&str, &str)]) -> Value {
        let target = |(name, status): &(&str, &str)| {
            (
                (*name).to_owned(),
                json!({"status": status, "duration": 1.5}),
            )
        };
        let targets: serde_json::Map<_, _> = statuses.iter().map(target).collect();
        json!({"results": {"status": "FAIL", "targets": targets}})
    }

    #[rstest]
    #[case::kernel(&[("config", "PASS"), ("default", "FAIL"), ("kernel", "SKIP")], false, "failed: default")]
    #[case::modules(&[("kernel", "PASS"), ("modules", "FAIL")], true, "failed: modules")]
    #[case::no_image(&[("perf", "FAIL")], false, "failed: perf")]
    #[case::another_program(&[("kernel", "PASS"), ("perf", "FAIL")], true, "")]
    #[case::passed(&[("kernel", "PASS"), ("modules", "PASS")], true, "")]
    #[case::killed(&[], false, "")]
    fn a_target_that_failed_is_a_failure_of_the_kernel(
        #[case] statuses: &[(&str, &str)],
        #[case] has_image: bool,
        #[case] says: &str,
    ) {
        let folder = with(&[(LOG, "  CC a.o\na.c:1: error: no such thing\n")]);
        let checked = check_passed(folder.path(), &results(statuses), has_image);
        let error = checked.err();
        let blame = error.as_ref().map(ImageError::blame);
        let text = error.map(|it| it.to_string()).unwrap_or_default();
        assert!(text.contains(says), "{text}");
        match says {
            "" => assert_eq!(blame, None),
            _ => {
                assert_eq!(blame, Some(crate::Blame::Kernel));
                assert!(
                    text.contains("no such thing") && !text.contains("CC a.o"),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn a_failure_needs_no_log() {
        let folder = with(&[]);
        let checked = check_passed(folder.path(), &results(&[("kernel", "FAIL")]), false);
        let text = checked.unwrap_err().to_string();
        assert!(text.contains("build.log cannot be read"), "{text}");
    }

    #[rstest]
    #[case(json!({}), "tuxmake")]
    #[case(json!({"compiler": null, "git": []}), "tuxmake")]
    #[case(
        json!({"compiler": {"name": "x86_64-linux-gnu-gcc", "version": "14"}}),
        "tuxmake, gcc 14"
    )]
    #[case(
        json!({"compiler": {"name": "clang-19", "version": "19.1.7"}, "git": {"git_describe": "v7.3-rc2"}}),
        "tuxmake, clang-19 19.1.7, v7.3-rc2"
    )]
    fn compiler_and_revision_are_named(#[case] metadata: Value, #[case] want: &str) {
        assert_eq!(described(&metadata), want);
    }

    #[test]
    fn metadata_may_be_absent_but_not_damaged() {
        assert_eq!(metadata(with(&[]).path()).unwrap(), Value::Null);
        let folder = with(&[(METADATA, "{\"results\": {")]);
        let error = metadata(folder.path()).unwrap_err();
        assert_eq!(error.blame(), crate::Blame::Usage);
        assert!(
            error.to_string().contains("metadata.json is damaged"),
            "{error}"
        );
    }
}
