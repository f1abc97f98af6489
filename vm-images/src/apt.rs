//! Finds and fetches source packages with a private apt: its own sources, lists and cache. The
//! machine's configuration is only read, for the mirror and the proxy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::cache::{Cache, make_dir, write};
use crate::error::ImageError;
use crate::process::{check, command, output, run, shown};
use crate::progress::Progress;
use uapi::Series;

/// Package lists younger than this are not fetched again.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// Suites of Debian which carry kernels newer than a stable release's own.
const NEW_SUITES: &[&str] = &["trixie-backports"];
/// Suites with large lists, for series that the others do not have.
const FALL_BACK: &[&str] = &["trixie", "forky", "sid"];

/// Settings of the machine's apt that are needed to reach the mirror.
const NETWORK: &[&str] = &[
    "Acquire::http",
    "Acquire::https",
    "Acquire::Force",
    "Acquire::Check-",
    "Acquire::Retries",
];

/// How the name of a package with a kernel begins.
const IMAGE_PACKAGE: &str = "linux-image-";
/// How the names of all packages of a kernel begin.
const KERNEL_PACKAGES: [&str; 4] = [
    IMAGE_PACKAGE,
    "linux-binary-",
    "linux-modules-",
    "linux-base-",
];

/// The list of installed packages of a private apt, which is empty.
const STATUS: &str = "status";

/// Hint for errors in apt's own files.
const BROKEN: &str = "remove the cache folder and run again\n";

/// A package with the source of a kernel series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) deb: Deb,
    pub(crate) series: Series,
}

/// The machine's distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Such as "debian".
    pub(crate) id: String,
    pub(crate) codename: String,
    /// Address of the main archive.
    pub(crate) site: String,
}

/// Returns the package of the series, or of the newest one.
pub(crate) fn find(
    cache: &Cache,
    wanted: Option<Series>,
    progress: &dyn Progress,
) -> Result<Package, ImageError> {
    let machine = Machine::this("give a kernel tree or a ready image instead")?;
    let _lock = cache.lock("apt", progress)?;
    let (mut suites, mut offered, mut trouble) = (Vec::new(), Vec::new(), String::new());
    for (name, group) in ["apt", "apt-more"].into_iter().zip(suite_groups(&machine)) {
        let apt = Apt::open(cache.folder(name)?, &machine, &group)?;
        trouble.push_str(&apt.update(progress)?);
        let names = apt.names()?;
        if let Some((series, package)) = choose(&names, wanted) {
            return apt.package(package, series);
        }
        suites.extend(group);
        offered.extend(names.into_iter().map(|(series, _)| series));
    }
    offered.sort();
    offered.dedup();
    Err(ImageError::NoSeries {
        wanted: wanted.map(|series| series.to_string()),
        suites,
        offered: offered.iter().map(Series::to_string).collect(),
        update: trouble,
    })
}

/// Returns a package of this suite by its name.
pub(crate) fn named(
    cache: &Cache,
    name: &str,
    suite: Suite,
    progress: &dyn Progress,
) -> Result<Deb, ImageError> {
    let _lock = cache.lock("apt", progress)?;
    let (apt, version) = with_package(cache, name, suite, progress)?;
    Ok(Deb {
        name: name.to_owned(),
        version,
        folder: apt.folder,
    })
}

/// Returns the packages of this suite with a kernel and its modules, by its metapackage. Debian's
/// 6.12 is one package; of 7.2 and 7.3, image, modules and configuration are packages of their own.
pub(crate) fn kernel(
    cache: &Cache,
    metapackage: &str,
    suite: Suite,
    progress: &dyn Progress,
) -> Result<Vec<Deb>, ImageError> {
    let _lock = cache.lock("apt", progress)?;
    let (apt, version) = with_package(cache, metapackage, suite, progress)?;
    let mut depends = apt.command("apt-cache");
    depends.args(["depends", "--recurse", "--no-recommends", "--no-suggests"]);
    depends.args([
        "--no-conflicts",
        "--no-breaks",
        "--no-replaces",
        "--no-enhances",
    ]);
    let text = output(depends.arg(metapackage), BROKEN)?;
    let deb = |name: &str| {
        Ok(Deb {
            version: apt.version(name)?.unwrap_or_else(|| version.clone()),
            name: name.to_owned(),
            folder: apt.folder.clone(),
        })
    };
    let names = kernel_packages(&text, metapackage);
    match names.is_empty() {
        // A metapackage of another kind.
        true => Ok(vec![deb(metapackage)?]),
        false => names.into_iter().map(deb).collect(),
    }
}

/// Opens the private apt of a suite that has a package, and returns the newest version of that.
fn with_package(
    cache: &Cache,
    name: &str,
    suite: Suite,
    progress: &dyn Progress,
) -> Result<(Apt, String), ImageError> {
    let machine = Machine::this("run on a machine that has one")?;
    let (folder, suites) = match suite {
        Suite::Release => ("apt-release", vec![machine.codename.clone()]),
        Suite::Backports => {
            let backports = format!("{}-backports", machine.codename);
            ("apt-backports", vec![backports])
        }
    };
    let apt = Apt::open(cache.folder(folder)?, &machine, &suites)?;
    let update = apt.update(progress)?;
    let found = apt.version(name)?;
    let version = found.ok_or_else(|| ImageError::NoPackage {
        name: name.to_owned(),
        suites,
        update,
    })?;
    Ok((apt, version))
}

/// Suites to search for a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suite {
    /// The suites of the machine's release.
    Release,
    /// The backports.
    Backports,
}

/// A package that a private apt offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deb {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The private apt.
    pub(crate) folder: PathBuf,
}

/// Fetches the package and returns the file. A complete file is not fetched again.
pub(crate) fn download(
    cache: &Cache,
    package: &Deb,
    progress: &dyn Progress,
) -> Result<PathBuf, ImageError> {
    let folder = cache.folder("download")?;
    // apt looks whether what is there is whole and of this version.
    let doing = match newest_deb(&folder, &package.name) {
        Some(_) => "checking the download of",
        None => "downloading",
    };
    progress.stage(&format!("{doing} {} {}", package.name, package.version));
    let wanted = format!("{}={}", package.name, package.version);
    download_all(&package.folder, &[wanted], &folder, progress)?;
    newest_deb(&folder, &package.name).ok_or_else(|| ImageError::File {
        doing: "find the downloaded package in",
        path: folder,
        hint: "remove the cache folder and run again",
        source: std::io::ErrorKind::NotFound.into(),
    })
}

/// Fetches packages, each `NAME=VERSION`, with a private apt into a folder.
pub(crate) fn download_all(
    apt: &Path,
    wanted: &[String],
    folder: &Path,
    progress: &dyn Progress,
) -> Result<(), ImageError> {
    let mut get = command("apt-get");
    get.env("APT_CONFIG", apt.join("apt.conf"))
        .current_dir(folder)
        .args(["-q", "-o", "APT::Status-Fd=1", "download"])
        .args(wanted);
    let finished = run(&mut get, &mut |line| {
        if let Some(percent) = percent(line) {
            progress.steps(percent, Some(100));
        }
        Ok(())
    })?;
    if finished.status.success() {
        return Ok(());
    }
    Err(ImageError::StepFailed {
        command: shown(&get),
        status: finished.status.to_string(),
        tail: finished.tail,
        hint: "check the network and the proxy settings of apt, and run again\n".to_owned(),
    })
}

/// Returns the percentage in a line such as "dlstatus:1:44.06:Retrieving file 1 of 1".
fn percent(line: &str) -> Option<u64> {
    let number = line.strip_prefix("dlstatus:")?.split(':').nth(1)?;
    number.split('.').next()?.parse().ok()
}

/// Returns the file of the package that was fetched last.
fn newest_deb(folder: &Path, name: &str) -> Option<PathBuf> {
    let mine = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        file.starts_with(&format!("{name}_")) && file.ends_with(".deb")
    };
    let paths = fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path());
    paths
        .filter(mine)
        .max_by_key(|path| path.metadata().and_then(|m| m.modified()).ok())
}

/// Returns the suites to search, those with small lists first.
fn suite_groups(machine: &Machine) -> Vec<Vec<String>> {
    let name = &machine.codename;
    if machine.id != "debian" {
        return vec![vec![format!("{name}-updates"), name.clone()]];
    }
    let mut first = vec![format!("{name}-backports")];
    first.extend(NEW_SUITES.iter().map(|suite| (*suite).to_owned()));
    first.dedup();
    let more: Vec<String> = FALL_BACK.iter().map(|suite| (*suite).to_owned()).collect();
    vec![first, more]
}

/// Returns the wanted series, or the newest.
fn choose(names: &[(Series, String)], wanted: Option<Series>) -> Option<(Series, &str)> {
    let fits = |(series, _): &&(Series, String)| wanted.is_none_or(|wanted| wanted == *series);
    let best = names.iter().filter(fits).max_by_key(|(series, _)| *series);
    best.map(|(series, name)| (*series, name.as_str()))
}

impl Machine {
    /// Reads the configuration of this machine. `instead` says what to do without an archive.
    pub(crate) fn this(instead: &'static str) -> Result<Self, ImageError> {
        let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let (id, codename) = (os_value(&text, "ID"), os_value(&text, "VERSION_CODENAME"));
        // It prints the URIs even if the lists were never fetched.
        let mut apt = command("apt-get");
        let uris = output(apt.args(["update", "--print-uris"]), instead)?;
        match main_site(&uris, &codename) {
            Some(site) => Ok(Self { id, codename, site }),
            None => Err(ImageError::NoArchive { codename, instead }),
        }
    }
}

fn os_value(text: &str, name: &str) -> String {
    let value = |line: &str| {
        Some(
            line.strip_prefix(name)?
                .strip_prefix('=')?
                .trim_matches('"')
                .to_owned(),
        )
    };
    text.lines().find_map(value).unwrap_or_default()
}

/// Returns the archive that has the release itself. Archives for security and of third parties have
/// suites with other names.
fn main_site(uris: &str, codename: &str) -> Option<String> {
    let releases: Vec<(&str, &str)> = uris.lines().filter_map(release_uri).collect();
    let of = |suite: &str| {
        releases
            .iter()
            .find(|(_, s)| *s == suite)
            .map(|(site, _)| (*site).to_owned())
    };
    let updates = format!("{codename}-updates");
    [codename, &updates, "stable", "testing", "unstable"]
        .into_iter()
        .find_map(of)
}

/// Returns site and suite of a line such as "'SITE/dists/SUITE/InRelease' FILE 0".
fn release_uri(line: &str) -> Option<(&str, &str)> {
    let uri = line.strip_prefix('\'')?.split('\'').next()?;
    uri.strip_suffix("/InRelease")?.rsplit_once("/dists/")
}

/// A private apt in a folder of the cache.
pub(crate) struct Apt {
    folder: PathBuf,
}

impl Apt {
    pub(crate) fn open(
        folder: PathBuf,
        machine: &Machine,
        suites: &[String],
    ) -> Result<Self, ImageError> {
        for name in ["parts", "lists/partial", "cache/archives/partial"] {
            make_dir(&folder.join(name))?;
        }
        let apt = Self { folder };
        let sources = sources(machine, suites);
        let path = apt.folder.join("sources.list");
        if fs::read_to_string(&path).is_ok_and(|had| had == sources) {
            return Ok(apt);
        }
        // The lists of other suites do not count as lists of these.
        let _ = fs::remove_file(apt.stamp());
        let theirs = output(command("apt-config").arg("dump"), "")?;
        write(
            &apt.folder.join("apt.conf"),
            configuration(&apt.folder, &theirs),
        )?;
        // What the machine has installed does not count.
        write(&apt.folder.join(STATUS), "")?;
        write(&path, sources)?;
        Ok(apt)
    }

    /// Fetches the lists if they are old. A failure is returned as text and is not an error: not
    /// every mirror has every suite, and old lists are better than none.
    pub(crate) fn update(&self, progress: &dyn Progress) -> Result<String, ImageError> {
        let age = fs::metadata(self.stamp())
            .and_then(|m| m.modified())
            .ok()
            .and_then(|t| t.elapsed().ok());
        if age.is_some_and(|age| age < FRESH) {
            return Ok(String::new());
        }
        progress.stage("fetching the lists of packages");
        // By itself, apt ends with success where the network fails.
        let all = ["-q", "-o", "APT::Update::Error-Mode=any", "update"];
        match check(self.command("apt-get").args(all), "") {
            Ok(()) => write(&self.stamp(), "").map(|()| String::new()),
            Err(ImageError::StepFailed { tail, .. }) => {
                let lines = tail
                    .lines()
                    .filter(|l| l.starts_with("E:") || l.starts_with("Err:"));
                Ok(lines.map(|line| format!("{line}\n")).collect())
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the next [`Self::update`] fetch the lists, however old they are.
    pub(crate) fn forget_update(&self) {
        // Without it, the lists count as fresh for a day.
        let _ = fs::remove_file(self.stamp());
    }

    pub(crate) fn into_folder(self) -> PathBuf {
        self.folder
    }

    /// Returns the packages with the source of a series.
    fn names(&self) -> Result<Vec<(Series, String)>, ImageError> {
        let mut search = self.command("apt-cache");
        search.args(["search", "--names-only", "^linux-source-[0-9.]+$"]);
        Ok(source_packages(&output(&mut search, BROKEN)?))
    }

    /// Returns the newest version of the package.
    fn package(&self, name: &str, series: Series) -> Result<Package, ImageError> {
        let deb = Deb {
            name: name.to_owned(),
            version: self.version(name)?.unwrap_or_default(),
            folder: self.folder.clone(),
        };
        Ok(Package { deb, series })
    }

    /// Returns the newest version of a package, or `None` if there is no such package.
    pub(crate) fn version(&self, name: &str) -> Result<Option<String>, ImageError> {
        let mut madison = self.command("apt-cache");
        let text = output(madison.args(["madison", name]), BROKEN)?;
        // "NAME | VERSION | ORIGIN", newest first.
        let first = text.lines().next();
        let version = first.and_then(|line| line.split('|').nth(1));
        Ok(version.map(|version| version.trim().to_owned()))
    }

    fn stamp(&self) -> PathBuf {
        self.folder.join("fetched")
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = command(program);
        command.env("APT_CONFIG", self.folder.join("apt.conf"));
        command
    }
}

/// Returns the packages of one kernel among the recursive dependencies of its metapackage, such as
/// `linux-image-7.3.4+deb13-cloud-amd64` of `linux-image-cloud-amd64`; the image comes first.
fn kernel_packages<'a>(text: &'a str, metapackage: &str) -> Vec<&'a str> {
    let Some(flavour) = metapackage.strip_prefix(IMAGE_PACKAGE) else {
        return Vec::new();
    };
    let of_release = |name: &str| {
        let rest = KERNEL_PACKAGES
            .iter()
            .find_map(|part| name.strip_prefix(part));
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let ending = format!("-{flavour}");
    // The names stand at the start of a line, and what each depends on is indented.
    let names = text.lines().map(str::trim_end);
    let mut found: Vec<_> = names
        .filter(|name| of_release(name) && name.ends_with(&ending))
        .collect();
    found.sort_by_key(|name| !name.starts_with(IMAGE_PACKAGE));
    found
}

/// Returns names and series in the result of a search.
fn source_packages(text: &str) -> Vec<(Series, String)> {
    let package = |line: &str| {
        let name = line.split_whitespace().next()?;
        let series = Series::of_release(name.strip_prefix("linux-source-")?)?;
        Some((series, name.to_owned()))
    };
    text.lines().filter_map(package).collect()
}

fn sources(machine: &Machine, suites: &[String]) -> String {
    let keyring = format!("/usr/share/keyrings/{}-archive-keyring.gpg", machine.id);
    let signed = match Path::new(&keyring).exists() {
        true => format!("[signed-by={keyring}] "),
        // apt then uses its own trusted keys.
        false => String::new(),
    };
    let line = |suite: &String| format!("deb {signed}{} {suite} main\n", machine.site);
    suites.iter().map(line).collect()
}

/// Returns the private configuration. It only has the network settings of the machine's
/// configuration: hooks would act on the machine's own lists.
fn configuration(folder: &Path, theirs: &str) -> String {
    let network = theirs
        .lines()
        .filter(|line| NETWORK.iter().any(|name| line.starts_with(name)));
    let mut text: String = network.map(|line| format!("{line}\n")).collect();
    let inside = [
        ("Dir::Etc::SourceList", "sources.list"),
        ("Dir::Etc::SourceParts", "parts"),
        ("Dir::Etc::PreferencesParts", "parts"),
        ("Dir::Etc::Preferences", "none"),
        ("Dir::Etc::Parts", "parts"),
        ("Dir::Etc::Main", "none"),
        ("Dir::State", "state"),
        ("Dir::State::status", STATUS),
        ("Dir::State::Lists", "lists"),
        ("Dir::Cache", "cache"),
        ("Dir::Log", "log"),
    ];
    for (name, file) in inside {
        text.push_str(&format!("{name} \"{}\";\n", folder.join(file).display()));
    }
    // The sandbox's user cannot write here, and without root there is no sandbox.
    text.push_str("APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const URIS: &str = "\
'scheme://vendor.example/apt/dists/bookworm-sdk/InRelease' a 0
'scheme://mirror.example/debian-security/dists/bookworm-security/InRelease' b 0
'scheme://mirror.example/debian/dists/bookworm/InRelease' c 0
'scheme://mirror.example/debian/dists/bookworm/main/binary-amd64/Packages.xz' d 0
'scheme://mirror.example/other/dists/stable/InRelease' e 0
";

    #[rstest]
    #[case("bookworm", Some("scheme://mirror.example/debian"))]
    #[case("trixie", Some("scheme://mirror.example/other"))]
    fn finds_the_main_archive(#[case] codename: &str, #[case] want: Option<&str>) {
        assert_eq!(main_site(URIS, codename).as_deref(), want);
    }

    #[test]
    fn no_archive_is_none() {
        assert_eq!(main_site("", "bookworm"), None);
    }

    #[rstest]
    #[case(None, Some("linux-source-7.3"))]
    #[case(Some("6.12"), Some("linux-source-6.12"))]
    #[case(Some("6.8"), Some("linux-source-6.8.0"))]
    #[case(Some("5.10"), None)]
    fn chooses_a_version(#[case] wanted: Option<&str>, #[case] want: Option<&str>) {
        let names = source_packages(
            "linux-source-6.12 - x\nlinux-source-7.3 - y\nlinux-source-6.8.0 - z\nlinux-source-6.9 - q\n",
        );
        let wanted = wanted.map(|text| text.parse().unwrap());
        assert_eq!(choose(&names, wanted).map(|(_, name)| name), want);
    }

    #[rstest]
    #[case("debian", "bookworm", &["bookworm-backports", "trixie-backports"])]
    #[case("debian", "trixie", &["trixie-backports"])]
    #[case("ubuntu", "noble", &["noble-updates", "noble"])]
    fn looks_in_cheap_suites_first(
        #[case] id: &str,
        #[case] codename: &str,
        #[case] want: &[&str],
    ) {
        let machine = Machine {
            id: id.into(),
            codename: codename.into(),
            site: String::new(),
        };
        assert_eq!(suite_groups(&machine)[0], want);
    }

    #[test]
    fn takes_the_proxy_and_no_hooks() {
        let theirs = "Acquire::http::Proxy \"scheme://p\";\nAPT::Update::Post-Invoke:: \"rm x\";\nDir \"/\";\n";
        let text = configuration(Path::new("/c"), theirs);
        assert!(text.contains("Proxy") && text.contains("Dir::State::Lists \"/c/lists\";"));
        assert!(!text.contains("Invoke") && !text.contains("Dir \"/\""));
    }

    const ONE_PACKAGE: &str = "\
linux-image-cloud-amd64
  Depends: linux-image-6.12.95+deb12-cloud-amd64
linux-image-6.12.95+deb12-cloud-amd64
 |Depends: kmod
linux-base
kmod
";
    const SEVERAL: &str = "\
linux-image-cloud-amd64
linux-base-cloud-amd64
linux-base-7.3.4+deb13-cloud-amd64
linux-image-7.3.4+deb13-cloud-amd64
  Depends: linux-binary-7.3.4+deb13-cloud-amd64
linux-modules-cloud-amd64
linux-base
linux-binary-7.3.4+deb13-cloud-amd64
linux-modules-7.3.4+deb13-cloud-amd64
linux-modules-7.3.4+deb13-amd64
";

    #[rstest]
    #[case(ONE_PACKAGE, &["linux-image-6.12.95+deb12-cloud-amd64"])]
    #[case(SEVERAL, &[
        "linux-image-7.3.4+deb13-cloud-amd64",
        "linux-base-7.3.4+deb13-cloud-amd64",
        "linux-binary-7.3.4+deb13-cloud-amd64",
        "linux-modules-7.3.4+deb13-cloud-amd64",
    ])]
    #[case("", &[])]
    fn a_kernel_is_one_package_or_several(#[case] text: &str, #[case] want: &[&str]) {
        assert_eq!(kernel_packages(text, "linux-image-cloud-amd64"), want);
    }

    #[rstest]
    #[case("dlstatus:1:44.0603:Retrieving file 1 of 1", Some(44))]
    #[case("Get:1 somewhere", None)]
    #[case("dlstatus:", None)]
    fn reads_the_progress(#[case] line: &str, #[case] want: Option<u64>) {
        assert_eq!(percent(line), want);
    }

    #[test]
    fn reads_os_release() {
        let text = "ID=debian\nVERSION_CODENAME=\"trixie\"\n";
        assert_eq!(
            (os_value(text, "ID"), os_value(text, "VERSION_CODENAME")),
            ("debian".into(), "trixie".into())
        );
    }
}
