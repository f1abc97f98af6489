//! A package with all its dependencies, down to the C library, so that it runs on a machine of
//! another release. What the machine has installed does not count.

use std::path::{Path, PathBuf};

use crate::apt::{Apt, Machine, download_all};
use crate::cache::Cache;
use crate::error::ImageError;
use crate::process::output;
use crate::progress::Progress;

/// Debian's newest release with backports. Its backports follow the development of QEMU.
const NEWEST: &str = "trixie";

/// A release, and the suite of it that a package is taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    machine: Machine,
    /// The suite that is preferred, if not the release itself.
    target: Option<String>,
    /// All suites.
    suites: Vec<String>,
}

impl Release {
    /// Returns the releases to take a new package from, the newest first.
    pub(crate) fn all(instead: &'static str) -> Result<Vec<Self>, ImageError> {
        Ok(releases(&Machine::this(instead)?))
    }

    /// The suite that a package is taken from.
    pub(crate) fn name(&self) -> &str {
        let first = self.target.as_ref().or_else(|| self.suites.first());
        first.map_or("", String::as_str)
    }
}

fn releases(machine: &Machine) -> Vec<Release> {
    let own = machine.codename.as_str();
    let mut names = match machine.id.as_str() {
        "debian" => vec![NEWEST, own],
        // Each release of Ubuntu has backports of its own. Other releases are not searched.
        _ => vec![own],
    };
    names.dedup();
    let release = |name: &str| {
        let backports = format!("{name}-backports");
        let mut suites = vec![backports.clone(), name.to_owned()];
        if machine.id != "debian" {
            suites.insert(1, format!("{name}-updates"));
        }
        Release {
            machine: machine.clone(),
            suites,
            target: Some(backports),
        }
    };
    names.into_iter().map(release).collect()
}

/// A package and its dependencies in one release.
#[derive(Debug)]
pub(crate) struct Closure {
    archives: Vec<Archive>,
    apt: PathBuf,
}

/// The file of a package, such as `qemu-system-x86_1%3a11.1.3+ds-1_amd64.deb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archive {
    file: String,
    name: String,
    /// With its epoch.
    version: String,
}

impl Closure {
    /// Asks a private apt for the packages, of which nothing is fetched yet.
    pub(crate) fn resolve(
        cache: &Cache,
        package: &str,
        release: &Release,
        progress: &dyn Progress,
    ) -> Result<Self, ImageError> {
        let _lock = cache.lock("apt", progress)?;
        let folder = cache.folder(&format!("apt-all-{}", release.name()))?;
        let apt = Apt::open(folder, &release.machine, &release.suites)?;
        let update = apt.update(progress)?;
        let found = install(&apt, package, release);
        if found.is_err() {
            // The lists may be those of a network that failed: the next run fetches them again.
            apt.forget_update();
        }
        let known = apt.version(package)?.is_some();
        match found {
            Ok(archives) if !archives.is_empty() => Ok(Self {
                archives,
                apt: apt.into_folder(),
            }),
            Err(error) if known => Err(error),
            _ => Err(ImageError::NoPackage {
                name: package.to_owned(),
                suites: release.suites.clone(),
                update,
            }),
        }
    }

    /// Returns the version of one of its packages, without the epoch.
    pub(crate) fn version_of(&self, package: &str) -> Option<&str> {
        let archive = self.archives.iter().find(|it| it.name == package)?;
        let version = archive.version.as_str();
        Some(version.split_once(':').map_or(version, |(_, rest)| rest))
    }

    /// Fetches the packages into a folder, and returns their files.
    pub(crate) fn fetch(
        &self,
        folder: &Path,
        progress: &dyn Progress,
    ) -> Result<Vec<PathBuf>, ImageError> {
        let wanted = self.archives.iter();
        let wanted = wanted.map(|it| format!("{}={}", it.name, it.version));
        let wanted: Vec<_> = wanted.collect();
        download_all(&self.apt, &wanted, folder, progress)?;
        let files = self.archives.iter().map(|it| folder.join(&it.file));
        Ok(files.collect())
    }
}

/// Returns what an installation on a machine without any package would fetch.
fn install(apt: &Apt, package: &str, release: &Release) -> Result<Vec<Archive>, ImageError> {
    let mut get = apt.command("apt-get");
    get.args(["-qq", "--yes", "--print-uris", "--no-install-recommends"]);
    if let Some(target) = &release.target {
        get.args(["--target-release", target]);
    }
    let hint = "the package lists of the mirror may be incomplete; run again later\n";
    let text = output(get.args(["install", package]), hint)?;
    Ok(text.lines().filter_map(archive).collect())
}

/// Returns the file of a line such as `'URI' qemu-system-x86_1%3a11.1_amd64.deb 10377056 HASH`.
fn archive(line: &str) -> Option<Archive> {
    let (_, rest) = line.strip_prefix('\'')?.split_once("' ")?;
    let file = rest.split(' ').next()?;
    let mut parts = file.strip_suffix(".deb")?.split('_');
    let (name, version) = (parts.next()?, parts.next()?);
    let whole = !name.is_empty() && !version.is_empty() && !file.contains('/');
    whole.then(|| Archive {
        file: file.to_owned(),
        name: name.to_owned(),
        version: version.replace("%3a", ":"),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn machine(id: &str, codename: &str) -> Machine {
        Machine {
            id: id.into(),
            codename: codename.into(),
            site: String::new(),
        }
    }

    #[rstest]
    #[case("debian", "bookworm", &["trixie-backports", "bookworm-backports"])]
    #[case("debian", "trixie", &["trixie-backports"])]
    #[case("ubuntu", "noble", &["noble-backports"])]
    fn the_newest_release_comes_first(
        #[case] id: &str,
        #[case] codename: &str,
        #[case] want: &[&str],
    ) {
        let releases = releases(&machine(id, codename));
        let names: Vec<_> = releases.iter().map(Release::name).collect();
        assert_eq!(names, want);
    }

    #[test]
    fn ubuntus_updates_count_as_well() {
        let [release] = <[Release; 1]>::try_from(releases(&machine("ubuntu", "noble"))).unwrap();
        assert_eq!(
            release.suites,
            ["noble-backports", "noble-updates", "noble"]
        );
    }

    #[rstest]
    #[case(
        "'scheme://m/pool/q_1%3a11.1.3+ds-1~bpo13+1_amd64.deb' q_1%3a11.1.3+ds-1~bpo13+1_amd64.deb 10377056 SHA256:0",
        Some(("q", "1:11.1.3+ds-1~bpo13+1"))
    )]
    #[case("'scheme://m/libc6_2.41-12_amd64.deb' libc6_2.41-12_amd64.deb 1 SHA256:0", Some(("libc6", "2.41-12")))]
    #[case("'scheme://m/x' ../x_1_all.deb 1 SHA256:0", None)]
    #[case("Reading package lists...", None)]
    #[case("'scheme://m/x' x.deb 1", None)]
    #[case("'", None)]
    fn a_line_names_a_package(#[case] line: &str, #[case] want: Option<(&str, &str)>) {
        let found = archive(line);
        let found = found
            .as_ref()
            .map(|it| (it.name.as_str(), it.version.as_str()));
        assert_eq!(found, want);
    }

    #[test]
    fn a_version_has_no_epoch_where_it_names_a_folder() {
        let line = |file: &str| archive(&format!("'u' {file} 1 h")).unwrap();
        let closure = Closure {
            archives: vec![line("a_2%3a1.0-1_all.deb"), line("b_3.1_all.deb")],
            apt: PathBuf::new(),
        };
        assert_eq!(closure.version_of("a"), Some("1.0-1"));
        assert_eq!(closure.version_of("b"), Some("3.1"));
        assert_eq!(closure.version_of("c"), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read(line in ".*", rest in "[a-z_%./ ]*") {
            let _ = archive(&line);
            if let Some(archive) = archive(&format!("'u' {rest}")) {
                prop_assert!(!archive.file.contains('/'));
            }
        }
    }
}
