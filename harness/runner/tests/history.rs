//! Compares the history of the uAPI with the headers of the kernels at hand: of the images in the
//! cache, of this machine, and of each folder in `CONFORMANCE_HEADERS`, which has a folder for each
//! release with `vfio.h`, `iommufd.h`, `kvm.h` and `iommufd_test.h`.
//!
//! With that folder, `-- --ignored` adds the facts of these headers to `uapi/tests/history.tsv`.

#![allow(clippy::panic, clippy::unwrap_used)] // Clippy's leave for tests does not cover helpers.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use uapi::{Header, IOMMUFD_H, KVM_H, MOCK_H, Series, Since, VFIO_H};

#[path = "common/header.rs"]
mod header;

use header::read;

/// The headers of the kernel that the history covers.
const SOURCES: [&str; 4] = [VFIO_H, IOMMUFD_H, KVM_H, MOCK_H];

/// The headers of one release.
struct Release {
    name: String,
    headers: BTreeMap<&'static str, PathBuf>,
}

impl Release {
    /// The headers of a folder that has `linux/vfio.h`.
    fn installed(include: &Path) -> Self {
        let paths = [VFIO_H, IOMMUFD_H, KVM_H].map(|header| (header, include.join(header)));
        Self {
            name: header::release(include),
            headers: paths
                .into_iter()
                .filter(|(_, path)| path.exists())
                .collect(),
        }
    }

    /// The headers of a folder that has `vfio.h` itself.
    fn collected(folder: &Path) -> Self {
        let names = [
            (VFIO_H, "vfio.h"),
            (IOMMUFD_H, "iommufd.h"),
            (KVM_H, "kvm.h"),
            (MOCK_H, MOCK_H),
        ];
        let paths = names.map(|(header, file)| (header, folder.join(file)));
        Self {
            name: folder.file_name().unwrap().to_string_lossy().into_owned(),
            headers: paths
                .into_iter()
                .filter(|(_, path)| path.exists())
                .collect(),
        }
    }

    /// What its header declares; nothing if the release has no such header, and `None` if it may
    /// have one that is not here. A kernel without iommufd has no mock, and each has KVM.
    fn header(&self, name: &str) -> Option<Header> {
        let there = self.headers.get(name).map(|path| Header::scan(&read(path)));
        let unknown = match name {
            KVM_H => true,
            MOCK_H => self.headers.contains_key(IOMMUFD_H),
            _ => false,
        };
        there.or_else(|| (!unknown).then(Header::default))
    }

    fn series(&self) -> Series {
        Series::of_release(&self.name).unwrap()
    }
}

fn collected() -> Vec<Release> {
    let folder = std::env::var_os("CONFORMANCE_HEADERS").map(PathBuf::from);
    let folders = folder
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap());
    let folders = folders.map(|entry| entry.unwrap().path());
    let releases = folders.filter(|path| path.join("vfio.h").exists());
    releases.map(|path| Release::collected(&path)).collect()
}

fn at_hand() -> Vec<Release> {
    let images = fs::read_dir(vm_images::cache_dir().join("images"));
    let images = images.into_iter().flatten().flatten();
    let installed = images.map(|image| image.path().join("include"));
    let installed = installed.chain([PathBuf::from("/usr/include")]);
    let installed = installed.filter(|include| include.join(VFIO_H).exists());
    let installed = installed.map(|include| Release::installed(&include));
    installed.chain(collected()).collect()
}

#[test]
fn a_release_has_what_is_older() {
    let mut wrong = Vec::new();
    for release in at_hand() {
        let (lacks, more) = compare(&release);
        eprintln!("{}: also has {more:?}", release.name);
        wrong.extend(
            lacks
                .iter()
                .map(|name| format!("{} lacks {name}", release.name)),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a release lacks of its age, and what it has that is newer. A stable release may have
/// backports.
fn compare(release: &Release) -> (Vec<String>, Vec<String>) {
    let (mut lacks, mut more) = (Vec::new(), Vec::new());
    for source in SOURCES {
        let Some(header) = release.header(source) else {
            continue;
        };
        for part in uapi::history().filter(|part| part.source == source) {
            match (
                part.since.series() <= release.series(),
                header.has(&part.name),
            ) {
                (true, false) => lacks.push(part.name),
                (false, true) if matches!(part.since, Since::Exactly(_)) => more.push(part.name),
                _ => {}
            }
        }
    }
    (lacks, more)
}

/// What the headers of one release declare.
struct Facts {
    release: String,
    /// The headers that were read.
    read: Vec<&'static str>,
    /// The number that a C compiler makes of each name.
    numbers: BTreeMap<String, String>,
}

impl Facts {
    fn of(release: &Release) -> Self {
        let there = |header: &&str| release.header(header).is_some();
        Self {
            release: release.name.clone(),
            read: SOURCES.into_iter().filter(there).collect(),
            numbers: numbers(release),
        }
    }

    /// The facts of all releases in the file.
    fn stored(text: &str) -> Vec<Self> {
        let mut facts: BTreeMap<&str, Self> = BTreeMap::new();
        let mut releases = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<_> = line.split('\t').collect();
            if let ["header", header, read] = columns[..] {
                let source = SOURCES.into_iter().find(|known| *known == header).unwrap();
                releases = read.split(' ').collect();
                for release in &releases {
                    let new = || Self {
                        release: (*release).to_owned(),
                        read: Vec::new(),
                        numbers: BTreeMap::new(),
                    };
                    facts.entry(release).or_insert_with(new).read.push(source);
                }
                continue;
            }
            let changes = columns[1]
                .split(' ')
                .filter_map(|change| change.split_once('='));
            let changes: BTreeMap<_, _> = changes.collect();
            let mut number = "-";
            for release in &releases {
                number = changes.get(release).copied().unwrap_or(number);
                if let Some(of) = facts.get_mut(release).filter(|_| number != "-") {
                    of.numbers.insert(columns[0].to_owned(), number.to_owned());
                }
            }
        }
        facts.into_values().collect()
    }

    /// Orders releases; a candidate comes before its release.
    fn order(&self) -> (Series, bool, u32) {
        let candidate = self.release.split_once("-rc");
        let number = match candidate {
            Some((_, number)) => number,
            None => self.release.splitn(3, '.').nth(2).unwrap_or("0"),
        };
        let series = Series::of_release(&self.release).unwrap();
        (series, candidate.is_none(), number.parse().unwrap())
    }
}

/// The facts as a file: for each name the releases with which its number changes.
fn written(facts: &[Facts]) -> String {
    let mut text = String::from(
        "# What the headers of releases declare, extracted by the test `history` of the runner.\n\
         # `header`: the releases whose header was read, from the oldest. Else a name, and each\n\
         # release with which its number changes: the value of a constant or ioctl, the size of a\n\
         # struct, or offset and size of a field. `-`: the header does not declare it.\n",
    );
    for source in SOURCES {
        let read: Vec<_> = facts
            .iter()
            .filter(|of| of.read.contains(&source))
            .collect();
        let names: Vec<_> = read.iter().map(|of| of.release.as_str()).collect();
        let _ = writeln!(text, "header\t{source}\t{}", names.join(" "));
        for part in uapi::history().filter(|part| part.source == source) {
            let mut before = "-";
            let mut changes = Vec::new();
            for of in &read {
                let number = of.numbers.get(&part.name).map_or("-", String::as_str);
                if number != before {
                    changes.push(format!("{}={number}", of.release));
                    before = number;
                }
            }
            let _ = writeln!(text, "{}\t{}", part.name, changes.join(" "));
        }
    }
    text
}

fn stored() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../uapi/tests/history.tsv")
}

#[test]
fn stored_facts_are_read_as_they_were_written() {
    let text = read(&stored());
    let mut facts = Facts::stored(&text);
    facts.sort_by_key(Facts::order);
    assert_eq!(written(&facts), text);
}

#[test]
#[ignore = "adds what CONFORMANCE_HEADERS has"]
fn extract() {
    let releases = collected();
    assert!(
        !releases.is_empty(),
        "CONFORMANCE_HEADERS names a folder with headers"
    );
    let mut facts: Vec<_> = releases.iter().map(Facts::of).collect();
    let had = Facts::stored(&read(&stored())).into_iter();
    let had = had.filter(|of| releases.iter().all(|release| release.name != of.release));
    facts.extend(had.collect::<Vec<_>>());
    facts.sort_by_key(Facts::order);
    fs::write(stored(), written(&facts)).unwrap();
}

/// The number that a C compiler makes of each name of the tables, as the facts have it.
fn numbers(release: &Release) -> BTreeMap<String, String> {
    let include = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("headers")
        .join(&release.name);
    fs::create_dir_all(include.join("linux")).unwrap();
    let mut program = String::from(header::PRINT);
    for (name, path) in &release.headers {
        let _ = fs::remove_file(include.join(name));
        symlink(path, include.join(name)).unwrap();
        let _ = writeln!(program, "#include <{name}>");
    }
    program.push_str("int main(void)\n{\n");
    let mut kinds = BTreeMap::new();
    for part in uapi::history() {
        let header = release
            .headers
            .get(part.source)
            .map(|path| Header::scan(&read(path)));
        if !header.is_some_and(|header| header.has(&part.name)) {
            continue;
        }
        let name = &part.name;
        let kind = Kind::of(name);
        for (what, expression) in kind.asks(name) {
            let _ = writeln!(program, "\tP(\"{what} {name}\", {expression});");
        }
        kinds.insert(part.name, kind);
    }
    program.push_str("\treturn 0;\n}\n");
    let printed = header::compile_and_run(&format!("headers-{}", release.name), &include, &program);
    let text = |(name, kind): (String, Kind)| {
        let number = |what: &str| printed[&format!("{what} {name}")];
        let text = match kind {
            Kind::Struct => number("size").to_string(),
            Kind::Field => format!("{}+{}", number("offset"), number("size")),
            Kind::Number => format!("{:#x}", number("value")),
        };
        (name, text)
    };
    kinds.into_iter().map(text).collect()
}

/// What a name of the tables is.
#[derive(Clone, Copy)]
enum Kind {
    Struct,
    Field,
    Number,
}

impl Kind {
    fn of(name: &str) -> Self {
        match (name.contains('.'), uapi::structure(name)) {
            (true, _) => Self::Field,
            (false, Some(_)) => Self::Struct,
            (false, None) => Self::Number,
        }
    }

    /// The C expressions for its numbers.
    fn asks(self, name: &str) -> Vec<(&'static str, String)> {
        match (self, name.split_once('.')) {
            (Self::Field, Some((of, field))) => vec![
                ("offset", format!("offsetof(struct {of}, {field})")),
                ("size", format!("sizeof(MEMBER({of}, {field}))")),
            ],
            (Self::Struct, _) => vec![("size", format!("sizeof(struct {name})"))],
            _ => vec![("value", format!("NUMBER({name})"))],
        }
    }
}
