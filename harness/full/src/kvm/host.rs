//! The emulated host: its initramfs and its QEMU.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use runner::{
    host_clock,
    options::{GuestOptions, root},
    qemu::Qemu,
};
use vm_images::{HostParts, KernelConfig, Module, Progress};
use xshell::{Shell, cmd};

use vm_images::x86::{CONSOLE, HOST_MACHINE, TCG_PROCESSOR};

use crate::{
    FullError,
    kvm::{archive::Archive, libraries},
};

/// Folder of the project in the host. The program is below it, so it finds the project.
const PROJECT: &str = "/project";
/// Folder of the records, below the project. The host hands it over.
const RECORDS: &str = "results/runs";
/// Maximum size of firmware files. Larger ones are for other machines.
const LARGEST_FIRMWARE: u64 = 1 << 20;
/// Size of the disk for the records. The file is sparse.
const ROOM: u64 = 1 << 30;
/// The folders of a packaged QEMU with programs and libraries.
const PACKAGED: [&str; 3] = ["usr/bin", "usr/lib", "lib"];
const MEMORY: &str = "6G";
const PROCESSORS: &str = "2";
/// Arguments that keep the host and its clocks stable under emulation. Nested paging is not
/// changed.
const CMDLINE: &str = "mitigations=off nokaslr no_timer_check nowatchdog panic=-1 \
                       tsc=reliable loglevel=4";
const INIT: &str = include_str!("init.sh");

/// The name of a job, and the arguments of xtask.
pub type NamedCommand<'a> = (&'a str, Vec<String>);

/// The programs and files that the host runs.
#[derive(Debug)]
pub struct Suite {
    /// The release build of xtask.
    pub xtask: PathBuf,
    /// The agent.
    pub agent: PathBuf,
    /// The files of its guests.
    pub guest: GuestFiles,
}

/// The files of guests.
#[derive(Debug, Clone)]
pub struct GuestFiles {
    /// The kernel.
    pub kernel: PathBuf,
    /// The folder of its modules, if it has any.
    pub modules: Option<PathBuf>,
    /// Its configuration, if it is known.
    pub config: Option<PathBuf>,
    /// Its flavour, for what the guests need.
    pub flavour: String,
    /// Arguments to add to its command line.
    pub append: String,
    /// QEMU, which also emulates the host.
    pub qemu: PathBuf,
}

impl GuestFiles {
    /// Returns the paths in the emulated host.
    fn in_host(&self) -> Self {
        let project = Path::new(PROJECT);
        Self {
            kernel: project.join("kernel"),
            modules: self.modules.as_ref().map(|_| project.join("modules")),
            config: self.config.as_ref().map(|_| project.join("config")),
            ..self.clone()
        }
    }

    /// The options of a command that boots such guests.
    pub fn arguments(&self) -> Vec<String> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let mut words = vec!["--kernel".to_owned(), path(&self.kernel)];
        if let Some(modules) = &self.modules {
            words.extend(["--modules".to_owned(), path(modules)]);
        }
        if let Some(config) = &self.config {
            words.extend(["--config".to_owned(), path(config)]);
        }
        words.extend(["--flavour".to_owned(), self.flavour.clone()]);
        if !self.append.is_empty() {
            words.extend(["--append".to_owned(), self.append.clone()]);
        }
        words.extend(["--qemu".to_owned(), path(&self.qemu)]);
        words
    }
}

/// Files of a host that is about to start.
#[derive(Debug)]
pub struct Host<'a> {
    parts: &'a HostParts,
    suite: &'a Suite,
    initramfs: PathBuf,
    disk: PathBuf,
}

impl<'a> Host<'a> {
    /// Writes the files that it boots from into a folder.
    pub fn new(
        parts: &'a HostParts,
        suite: &'a Suite,
        jobs: &[NamedCommand<'_>],
        folder: &Path,
        progress: &dyn Progress,
    ) -> Result<Self, FullError> {
        progress.stage("packing the emulated host");
        let archive = archive(parts, suite, jobs)?;
        let bytes = vm_images::initramfs(INIT.as_bytes().to_vec(), archive.into_entries());
        let initramfs = folder.join("host.cpio");
        fs::write(&initramfs, bytes).map_err(FullError::file("writing", &initramfs))?;
        let disk = folder.join("records.tar");
        let made = File::create(&disk).and_then(|file| file.set_len(ROOM));
        made.map_err(FullError::file("writing", &disk))?;
        Ok(Self {
            parts,
            suite,
            initramfs,
            disk,
        })
    }

    /// Returns the command that runs it. Its kernel's console goes to a file, the output of its
    /// jobs to standard output.
    pub fn command(&self, console: &Path) -> Command {
        let clock = host_clock::parameter().unwrap_or_default();
        let mut command = Command::new(&self.suite.guest.qemu);
        command
            .args(["-nodefaults", "-no-user-config", "-display", "none"])
            .args(["-no-reboot", "-accel", "tcg,thread=multi,tb-size=1024"])
            .args([
                "-machine",
                HOST_MACHINE,
                "-cpu",
                TCG_PROCESSOR,
                "-m",
                MEMORY,
            ])
            .args(["-smp", PROCESSORS, "-append"])
            .arg(format!("{CONSOLE} {CMDLINE} {clock}"))
            .arg("-kernel")
            .arg(&self.parts.kernel)
            .arg("-initrd")
            .arg(&self.initramfs)
            .arg("-serial")
            .arg(format!("file:{}", escaped(console)))
            .args(["-serial", "stdio", "-drive"])
            .arg(format!(
                "file={},format=raw,if=none,id=records,cache=unsafe",
                escaped(&self.disk)
            ))
            .args(["-device", "virtio-blk-pci,drive=records"]);
        command
    }

    /// Unpacks the records that it handed over.
    pub fn records(&self, into: &Path) -> Result<(), FullError> {
        fs::create_dir_all(into).map_err(FullError::file("creating", into))?;
        let shell = Shell::new()?;
        let disk = &self.disk;
        cmd!(shell, "tar -xf {disk} -C {into} --no-same-owner")
            .quiet()
            .run()?;
        Ok(())
    }
}

/// Escapes commas in a value of QEMU by doubling them.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

fn archive(
    parts: &HostParts,
    suite: &Suite,
    jobs: &[NamedCommand<'_>],
) -> Result<Archive, FullError> {
    let mut archive = Archive::default();
    archive.file(&parts.busybox, Path::new("/bin/busybox"), 0o755)?;
    archive.extend(parts.modules.clone());
    let project = Path::new(PROJECT);
    program(
        &mut archive,
        &suite.xtask,
        &project.join("target/release/xtask"),
    )?;
    qemu(&mut archive, &suite.guest.qemu)?;
    firmware(&mut archive, &suite.guest.qemu)?;
    archive.file(&suite.guest.kernel, &project.join("kernel"), 0o644)?;
    if let Some(modules) = &suite.guest.modules {
        archive.below(modules, &project.join("modules"), &|_| true)?;
    }
    if let Some(config) = &suite.guest.config {
        archive.file(config, &project.join("config"), 0o644)?;
    }
    for name in [
        "cases",
        "vm-images/kernels",
        "vm-images/platforms",
        "vm-images/topologies",
        "results/findings",
        "results/snapshots",
    ] {
        archive.below(&root().join(name), &project.join(name), &|_| true)?;
    }
    let agent = project.join(below_root(&runner::agent::program()));
    archive.file(&suite.agent, &agent, 0o755)?;
    archive.folder(&project.join(RECORDS));
    archive.bytes(Path::new("/jobs"), 0o644, script(suite, jobs).into_bytes());
    Ok(archive)
}

/// Returns a path relative to the project.
fn below_root(path: &Path) -> PathBuf {
    path.strip_prefix(root()).unwrap_or(path).to_owned()
}

fn program(archive: &mut Archive, from: &Path, at: &Path) -> Result<(), FullError> {
    archive.file(from, at, 0o755)?;
    for library in libraries::of(from)? {
        archive.file(&library, &library, 0o755)?;
    }
    Ok(())
}

/// Adds QEMU with its libraries. A packaged one brings its own, and its program is a script.
fn qemu(archive: &mut Archive, at: &Path) -> Result<(), FullError> {
    let Some(folder) = vm_images::folder_of_packaged(at) else {
        return program(archive, at, at);
    };
    archive.file(at, at, 0o755)?;
    let parts = PACKAGED.iter().map(|part| folder.join(part));
    for part in parts.filter(|part| part.is_dir()) {
        archive.programs_below(&part, &part)?;
    }
    Ok(())
}

/// Adds the firmware from the folders that QEMU lists.
fn firmware(archive: &mut Archive, qemu: &Path) -> Result<(), FullError> {
    let shell = Shell::new()?;
    let folders = cmd!(shell, "{qemu} -L help").quiet().read()?;
    let small = |metadata: &fs::Metadata| metadata.len() <= LARGEST_FIRMWARE;
    for folder in folders.lines().map(Path::new).filter(|it| it.is_dir()) {
        archive.below(folder, folder, &small)?;
    }
    Ok(())
}

/// Returns the shell script of the host.
fn script(suite: &Suite, jobs: &[NamedCommand<'_>]) -> String {
    let mut text = String::new();
    for (name, arguments) in jobs {
        let words = command_line(suite, name, arguments);
        let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        text.push_str(&format!("run {} {}\n", quoted(name), words.join(" ")));
    }
    text
}

/// Returns the command line of a job. KVM is tried in the first job, and the result is stored for
/// the others.
fn command_line(suite: &Suite, name: &str, arguments: &[String]) -> Vec<String> {
    let mut words = vec![format!("{PROJECT}/target/release/xtask")];
    words.extend_from_slice(arguments);
    words.extend(["--accel", "auto"].map(str::to_owned));
    words.extend(suite.guest.in_host().arguments());
    if arguments
        .first()
        .is_some_and(|command| command == "run-conformance")
    {
        words.push("--record".to_owned());
        words.push(format!("{PROJECT}/{RECORDS}/{name}"));
    }
    words
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Builds the suite for release, with the kernel under test. Everything is copied into a folder, so
/// that builds in the meantime have no effect.
pub fn suite(
    guest: &GuestOptions,
    qemu: &Qemu,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<Suite, FullError> {
    let qemu = qemu.found()?;
    let image = vm_images::obtain(&guest.source(), &guest.build()?, progress)?;
    progress.stage("building the suite for release");
    let xtask = xtask()?;
    runner::agent::initramfs(&[], Vec::new())?;
    Ok(Suite {
        xtask: copied(&xtask, folder)?,
        agent: copied(&runner::agent::program(), folder)?,
        guest: GuestFiles {
            kernel: copied(&image.kernel, folder)?,
            modules: modules(&image.modules, folder)?,
            config: config(image.config.as_ref(), folder)?,
            flavour: guest.flavour.clone(),
            append: guest.append.clone(),
            qemu,
        },
    })
}

/// Writes the modules to a folder of their own, if there are any.
fn modules(modules: &[Module], folder: &Path) -> Result<Option<PathBuf>, FullError> {
    let to = folder.join("modules");
    fs::create_dir_all(&to).map_err(FullError::file("creating", &to))?;
    for module in modules {
        let file = to.join(format!("{}.ko", module.name));
        fs::write(&file, &module.content).map_err(FullError::file("writing", &file))?;
    }
    Ok((!modules.is_empty()).then_some(to))
}

fn config(config: Option<&KernelConfig>, folder: &Path) -> Result<Option<PathBuf>, FullError> {
    let to = folder.join("config");
    match config {
        None => Ok(None),
        Some(config) => match fs::write(&to, config.to_string()) {
            Ok(()) => Ok(Some(to)),
            Err(error) => Err(FullError::file("writing", &to)(error)),
        },
    }
}

fn copied(file: &Path, folder: &Path) -> Result<PathBuf, FullError> {
    let to = folder.join(file.file_name().unwrap_or_default());
    fs::copy(file, &to).map_err(FullError::file("copying", file))?;
    Ok(to)
}

/// Builds this program for release, or uses the running one if cargo is not available.
fn xtask() -> Result<PathBuf, FullError> {
    let Some(cargo) = runner::agent::cargo() else {
        let own = Path::new("/proc/self/exe");
        return own.canonicalize().map_err(FullError::file("finding", own));
    };
    let shell = Shell::new()?;
    shell.change_dir(root());
    let target = root().join("target");
    cmd!(
        shell,
        "{cargo} build --quiet --release --package xtask --locked --target-dir {target}"
    )
    .quiet()
    .run()?;
    Ok(target.join("release/xtask"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_says_what_is_done_and_where_the_record_goes() {
        let suite = Suite {
            xtask: "/x".into(),
            agent: "/a".into(),
            guest: GuestFiles {
                kernel: "/k".into(),
                modules: Some("/m".into()),
                config: Some("/c".into()),
                flavour: "debug".to_owned(),
                append: "iommu=pt".to_owned(),
                qemu: "/usr/bin/qemu".into(),
            },
        };
        let words = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect();
        let jobs = [
            ("intel", words(&["run-conformance", "it's"])),
            ("walks", words(&["explore"])),
        ];
        insta::assert_snapshot!(script(&suite, &jobs), @r"
        run 'intel' '/project/target/release/xtask' 'run-conformance' 'it'\''s' '--accel' 'auto' '--kernel' '/project/kernel' '--modules' '/project/modules' '--config' '/project/config' '--flavour' 'debug' '--append' 'iommu=pt' '--qemu' '/usr/bin/qemu' '--record' '/project/results/runs/intel'
        run 'walks' '/project/target/release/xtask' 'explore' '--accel' 'auto' '--kernel' '/project/kernel' '--modules' '/project/modules' '--config' '/project/config' '--flavour' 'debug' '--append' 'iommu=pt' '--qemu' '/usr/bin/qemu'
        ");
    }
}
