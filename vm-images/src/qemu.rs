//! A newer QEMU than the machine's, from the distribution's packages. They are unpacked into the
//! cache with all their dependencies and run through their own loader, so nothing is installed.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::cache::{Cache, cache_dir, make_dir, prune, rename, write};
use crate::closure::{Closure, Release};
use crate::error::ImageError;
use crate::process::{check, command, first_line};
use crate::progress::Progress;
use crate::x86;

/// Folder of the cache. Give it another name when the contents of the folders change.
const FOLDER: &str = "qemu";
/// What to do where no package can be had.
const INSTEAD: &str = "give a QEMU with --qemu instead";
/// First line of the script that runs an unpacked QEMU.
const SHELL: &str = "#!/bin/sh";
/// The firmware of the packages.
const FIRMWARE: [&str; 3] = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"];

/// A suite of the distribution that has a QEMU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QemuSuite(Release);

impl fmt::Display for QemuSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl QemuSuite {
    /// Returns the suites that may have a newer QEMU than the machine, the newest first.
    pub fn all() -> Result<Vec<Self>, ImageError> {
        Ok(Release::all(INSTEAD)?.into_iter().map(Self).collect())
    }

    /// Fetches the suite's QEMU into the cache, unless it is there. Returns the program, or `None` if
    /// it is of the same package as one of these lines of `--version`.
    pub fn fetch(
        &self,
        tried: &[&str],
        progress: &dyn Progress,
    ) -> Result<Option<PathBuf>, ImageError> {
        let cache = Cache::open(&cache_dir())?;
        let closure = Closure::resolve(&cache, x86::QEMU_PACKAGE, &self.0, progress)?;
        // A closure contains the package that it was made for.
        let version = closure.version_of(x86::QEMU_PACKAGE).unwrap_or("unknown");
        if tried.iter().any(|line| is_of_package(line, version)) {
            return Ok(None);
        }
        let place = cache.folder(FOLDER)?.join(version);
        if place.exists() {
            return Ok(Some(place.join(x86::QEMU)));
        }
        let lock = cache.lock("build-qemu", progress)?;
        let temp = cache.temp(&lock)?;
        // Another run may have fetched it while this one waited.
        if !place.exists() {
            let made = unpacked(&closure, version, temp.path(), progress)?;
            rename(&made, &place)?;
            prune(&cache.folder(FOLDER)?);
        }
        Ok(Some(place.join(x86::QEMU)))
    }
}

/// Whether a QEMU with this line of `--version`, such as `QEMU emulator version 10.0.2 (Debian
/// 1:10.0.2+ds-2)`, is of this version of the package. The epoch of the package does not count.
fn is_of_package(line: &str, version: &str) -> bool {
    let inside = line
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'));
    let named = inside.and_then(|(package, _)| package.rsplit([' ', ':']).next());
    named == Some(version)
}

/// Returns the QEMUs that earlier runs fetched, the last one first. Nothing is created.
pub fn cached_qemus() -> Vec<PathBuf> {
    programs_in(&cache_dir().join(FOLDER))
}

fn programs_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .map(|entry| {
            let made = entry.metadata().and_then(|it| it.modified()).ok();
            (made, entry.path().join(x86::QEMU))
        })
        .filter(|(_, program)| program.is_file())
        .collect();
    found.sort();
    found
        .into_iter()
        .rev()
        .map(|(_, program)| program)
        .collect()
}

/// Fetches and unpacks the packages into a folder, with the program that runs QEMU.
fn unpacked(
    closure: &Closure,
    version: &str,
    temp: &Path,
    progress: &dyn Progress,
) -> Result<PathBuf, ImageError> {
    let (packages, made) = (temp.join("packages"), temp.join("made"));
    make_dir(&packages)?;
    progress.stage(&format!("downloading QEMU {version}"));
    let archives = closure.fetch(&packages, progress)?;
    progress.stage(&format!("unpacking QEMU {version}"));
    let hint = "make room on the disk, or set XDG_CACHE_HOME to a folder with 3 GB free\n";
    for (done, archive) in archives.iter().enumerate() {
        check(command("dpkg-deb").arg("-x").arg(archive).arg(&made), hint)?;
        progress.steps(done as u64 + 1, Some(archives.len() as u64));
    }
    let program = made.join(x86::QEMU);
    write(&program, wrapper(&made, version)?)?;
    let executable = fs::set_permissions(&program, fs::Permissions::from_mode(0o755));
    executable.map_err(|source| ImageError::File {
        doing: "make executable",
        path: program,
        hint: "set XDG_CACHE_HOME to a folder on another file system",
        source,
    })?;
    Ok(made)
}

/// Returns a script that runs the unpacked QEMU wherever its folder stands. A script makes it one
/// program, which --qemu takes as well. Its process becomes QEMU, with the same id.
fn wrapper(root: &Path, version: &str) -> Result<String, ImageError> {
    let libraries = libraries(root);
    let loader = libraries
        .iter()
        .find_map(|folder| loader_in(root, folder))
        .ok_or_else(|| absent(&root.join("usr/lib")))?;
    let program = format!("usr/bin/{}", x86::QEMU);
    // Only to see that it is there.
    fs::metadata(root.join(&program)).map_err(|_| absent(&root.join(&program)))?;
    let inside = |path: &String| format!("$root/{path}");
    let path: Vec<_> = libraries.iter().map(inside).collect();
    let mut modules = libraries.iter().map(|folder| format!("{folder}/qemu"));
    let modules = modules.find(|folder| root.join(folder).is_dir());
    let firmware = FIRMWARE.iter().filter(|it| root.join(it).is_dir());
    let firmware: String = firmware.map(|it| format!(" -L \"$root/{it}\"")).collect();
    Ok(format!(
        "{SHELL}\n\
         # QEMU {version} from the distribution's packages, with their own loader and libraries.\n\
         root=${{0%/*}}\n\
         export QEMU_MODULE_DIR=\"{}\"\n\
         exec \"$root/{loader}\" --argv0 \"$0\" --library-path \"{}\" \\\n    \
         \"$root/{program}\"{firmware} \"$@\"\n",
        modules.as_ref().map_or_else(String::new, inside),
        path.join(":"),
    ))
}

/// Returns the folders of libraries, such as `usr/lib/x86_64-linux-gnu`. Before Debian 13 some
/// packages have theirs in `lib`.
fn libraries(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for above in ["lib", "usr/lib"] {
        let entries = fs::read_dir(root.join(above)).into_iter().flatten();
        let names = entries.flatten().map(|entry| entry.file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        let triplets = names.filter(|name| name.ends_with("-linux-gnu"));
        found.extend(triplets.map(|name| format!("{above}/{name}")));
    }
    found
}

fn loader_in(root: &Path, folder: &str) -> Option<String> {
    let entries = fs::read_dir(root.join(folder)).ok()?.flatten();
    let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let loader = names.find(|name| name.starts_with("ld-linux"))?;
    Some(format!("{folder}/{loader}"))
}

fn absent(path: &Path) -> ImageError {
    ImageError::File {
        doing: "find the parts of QEMU in",
        path: path.to_owned(),
        hint: "the distribution's packages have changed; give another QEMU with --qemu",
        source: std::io::ErrorKind::NotFound.into(),
    }
}

/// Returns the folder with the parts of a program that [`QemuSuite::fetch`] made, or `None` for any
/// other program.
pub fn folder_of_packaged(program: &Path) -> Option<PathBuf> {
    let folder = program.parent()?;
    let in_place = folder.parent()?.ends_with(FOLDER);
    (in_place && first_line(program)? == SHELL).then(|| folder.to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// The parts that Debian's packages have.
    fn parts(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    #[test]
    fn a_script_runs_the_program_with_its_own_loader() {
        let root = parts(&[
            "usr/bin/qemu-system-x86_64",
            "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
            "usr/lib/x86_64-linux-gnu/qemu/accel-qtest.so",
            "usr/share/qemu/linuxboot_dma.bin",
            "usr/share/seabios/bios-256k.bin",
        ]);
        let want = "\
#!/bin/sh
# QEMU 11.1 from the distribution's packages, with their own loader and libraries.
root=${0%/*}
export QEMU_MODULE_DIR=\"$root/usr/lib/x86_64-linux-gnu/qemu\"
exec \"$root/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2\" --argv0 \"$0\" --library-path \"$root/usr/lib/x86_64-linux-gnu\" \\
    \"$root/usr/bin/qemu-system-x86_64\" -L \"$root/usr/share/qemu\" -L \"$root/usr/share/seabios\" \"$@\"
";
        assert_eq!(wrapper(root.path(), "11.1").unwrap(), want);
    }

    #[rstest]
    #[case("QEMU emulator version 8.2.2 (Debian 1:8.2.2+ds-0ubuntu1.10)", true)]
    #[case("QEMU emulator version 8.2.2 (Debian 8.2.2+ds-0ubuntu1.10)", true)]
    #[case("QEMU emulator version 8.2.2 (Debian 1:8.2.2+ds-0ubuntu1.1)", false)]
    #[case("QEMU emulator version 8.2.2 (v8.2.2)", false)]
    #[case("QEMU emulator version 8.2.2", false)]
    #[case("QEMU (", false)]
    fn a_binary_tells_its_package(#[case] line: &str, #[case] want: bool) {
        assert_eq!(is_of_package(line, "8.2.2+ds-0ubuntu1.10"), want);
    }

    #[test]
    fn older_packages_have_their_loader_in_lib() {
        let root = parts(&[
            "usr/bin/qemu-system-x86_64",
            "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
            "usr/lib/x86_64-linux-gnu/libz.so.1",
        ]);
        let text = wrapper(root.path(), "7.2").unwrap();
        let path = "\"$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu\"";
        assert!(text.contains(path), "{text}");
        assert!(
            text.contains("\"$root/lib/x86_64-linux-gnu/ld-linux"),
            "{text}"
        );
    }

    #[test]
    fn packages_without_the_program_are_an_error() {
        let root = parts(&["usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"]);
        let error = wrapper(root.path(), "1").unwrap_err().to_string();
        assert!(error.contains("qemu-system-x86_64"), "{error}");
        let root = parts(&["usr/bin/qemu-system-x86_64"]);
        let error = wrapper(root.path(), "1").unwrap_err().to_string();
        assert!(error.contains("--qemu"), "{error}");
    }

    #[test]
    fn a_packaged_program_is_known_by_its_place_and_its_script() {
        let root = parts(&["qemu/11.1/qemu-system-x86_64", "bin/qemu-system-x86_64"]);
        let (packaged, other) = (
            root.path().join("qemu/11.1").join(x86::QEMU),
            root.path().join("bin").join(x86::QEMU),
        );
        assert_eq!(folder_of_packaged(&packaged), None);
        for program in [&packaged, &other] {
            fs::write(program, "#!/bin/sh\nexit\n").unwrap();
        }
        assert_eq!(
            folder_of_packaged(&packaged),
            packaged.parent().map(Path::to_owned)
        );
        assert_eq!(folder_of_packaged(&other), None);
        assert_eq!(folder_of_packaged(Path::new("qemu-system-x86_64")), None);
    }

    #[test]
    fn the_last_one_that_was_fetched_comes_first() {
        let root = parts(&[
            "10.0/qemu-system-x86_64",
            "11.1/qemu-system-x86_64",
            "half/x",
        ]);
        let early = std::time::SystemTime::UNIX_EPOCH;
        let older = fs::File::open(root.path().join("11.1")).unwrap();
        older.set_modified(early).unwrap();
        let found = programs_in(root.path());
        let want = ["10.0", "11.1"].map(|it| root.path().join(it).join(x86::QEMU));
        assert_eq!(found, want);
        assert!(programs_in(&root.path().join("none")).is_empty());
    }
}
