//! The choice of a QEMU: what a binary offers decides, and nothing is fetched without need.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics to fail")]

mod common;

use std::{
    cell::RefCell,
    fs,
    io::ErrorKind,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Mutex,
};

use rstest::rstest;
use runner::{
    options::vm_images_folder,
    platform::Platform,
    qemu::{Qemu, QemuError},
    qemu_choice::{Supply, choose},
};
use tempfile::TempDir;
use vm_images::{ImageError, Progress};

/// A machine whose QEMUs have an `amd-iommu` with these options; `none` is a missing program.
struct Fake {
    folder: TempDir,
    installed: Vec<&'static str>,
    cached: Vec<&'static str>,
    suites: Result<Vec<&'static str>, ()>,
    fetched: RefCell<Vec<String>>,
}

impl Fake {
    fn new(installed: &[&'static str], cached: &[&'static str], suites: &[&'static str]) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            installed: installed.to_vec(),
            cached: cached.to_vec(),
            suites: Ok(suites.to_vec()),
            fetched: RefCell::default(),
        }
    }

    fn program(&self, place: &str, offers: &str) -> PathBuf {
        program(&self.folder.path().join(place), offers)
    }

    fn programs(&self, place: &str, offers: &[&str]) -> Vec<PathBuf> {
        let each = offers.iter().enumerate();
        each.map(|(index, offers)| self.program(&format!("{place}-{index}"), offers))
            .collect()
    }

    fn choose(&self, platform: &str) -> (Result<Qemu, QemuError>, Vec<String>) {
        let told = Told::default();
        let platform = Platform::load(&vm_images_folder(), platform).unwrap();
        let chosen = choose(None, &[platform], self, &told);
        let lines = told.0.into_inner().unwrap();
        (chosen, lines.iter().map(|line| self.shown(line)).collect())
    }

    /// A text without the folder of this test.
    fn shown(&self, text: &str) -> String {
        text.replace(&self.folder.path().display().to_string(), "DIR")
    }

    fn place(&self, qemu: &Qemu) -> String {
        let found = qemu.path().parent().unwrap().file_name().unwrap();
        found.to_string_lossy().into_owned()
    }
}

fn program(folder: &Path, offers: &str) -> PathBuf {
    let path = folder.join("qemu");
    if offers == "none" {
        return path;
    }
    fs::create_dir_all(folder).unwrap();
    // Without a device that does DMA there is no platform.
    for (device, offers) in [("amd-iommu", offers), ("nvme", "serial cmb_size_mb")] {
        let options = offers.split(' ').map(|it| format!("  {it}=<str>\n"));
        let help = format!("{device} options:\n{}", options.collect::<String>());
        fs::write(folder.join(format!("{device}.help")), help).unwrap();
    }
    if !path.exists() {
        symlink(common::fixtures("fake-qemu.sh"), &path).unwrap();
    }
    path
}

impl Supply for Fake {
    type Suite = &'static str;

    fn installed(&self) -> Vec<PathBuf> {
        self.programs("installed", &self.installed)
    }

    fn cached(&self) -> Vec<PathBuf> {
        self.programs("cached", &self.cached)
    }

    fn suites(&self) -> Result<Vec<&'static str>, ImageError> {
        self.suites.clone().map_err(|()| ImageError::NotStarted {
            program: "apt-get".to_owned(),
            source: ErrorKind::NotFound.into(),
        })
    }

    /// A suite is called like the options that its QEMU has; `broken` cannot be fetched, and `same`
    /// has the package of the first that was tried.
    fn fetch(
        &self,
        suite: &&'static str,
        tried: &[&str],
        _: &dyn Progress,
    ) -> Result<Option<PathBuf>, ImageError> {
        self.fetched.borrow_mut().push((*suite).to_owned());
        match *suite {
            "broken" => Err(ImageError::NoPackage {
                name: "qemu-system-x86".to_owned(),
                suites: vec!["broken".to_owned()],
                update: "Err: no network\n".to_owned(),
            }),
            "same" => {
                assert_eq!(tried.first(), Some(&"QEMU emulator version 99.0"));
                Ok(None)
            }
            offers => Ok(Some(self.program("fetched", offers))),
        }
    }
}

/// Keeps the lines for the user.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Progress for Told {
    fn stage(&self, _text: &str) {}
    fn steps(&self, _done: u64, _total: Option<u64>) {}
    fn line(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

#[rstest]
#[case::the_machine_has_it(&["dma-remap"], &["dma-remap"], &["dma-remap"], "installed-0", &[])]
#[case::outside_of_path(&["none", "dma-remap"], &[], &["dma-remap"], "installed-1", &[])]
#[case::the_second_has_it(&["pci-id", "dma-remap"], &[], &["dma-remap"], "installed-1", &[])]
#[case::an_earlier_run_fetched_it(&["pci-id"], &["dma-remap"], &["dma-remap"], "cached-0", &[])]
#[case::an_earlier_one_lacks_it(&["pci-id"], &["pci-id", "dma-remap"], &[], "cached-1", &[])]
#[case::fetched(&["pci-id"], &["pci-id"], &["dma-remap"], "fetched", &["dma-remap"])]
#[case::of_the_second_suite(&["none"], &[], &["broken", "dma-remap"], "fetched", &["broken", "dma-remap"])]
fn the_first_that_offers_it_is_taken(
    #[case] installed: &[&'static str],
    #[case] cached: &[&'static str],
    #[case] suites: &[&'static str],
    #[case] place: &str,
    #[case] fetched: &[&str],
) {
    let fake = Fake::new(installed, cached, suites);
    let qemu = fake.choose("amd").0.unwrap();
    assert_eq!(fake.place(&qemu), place);
    assert_eq!(*fake.fetched.borrow(), fetched);
}

#[test]
fn the_reason_is_told_before_it_is_fetched() {
    let (_, told) = Fake::new(&["pci-id"], &[], &["dma-remap"]).choose("amd");
    insta::assert_snapshot!(told.join("\n"), @"QEMU emulator version 99.0 has no option `dma-remap` of device `amd-iommu`, which platform amd needs; fetching one from dma-remap");
    let (_, told) = Fake::new(&["none"], &[], &["dma-remap"]).choose("amd");
    insta::assert_snapshot!(told.join("\n"), @"QEMU is not installed; fetching one from dma-remap");
    let (_, told) = Fake::new(&["pci-id"], &["dma-remap"], &[]).choose("amd");
    insta::assert_snapshot!(told.join("\n"), @"QEMU emulator version 99.0 has no option `dma-remap` of device `amd-iommu`, which platform amd needs; using the one in DIR/cached-0");
    let (_, told) = Fake::new(&["dma-remap"], &[], &[]).choose("amd");
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn an_error_names_all_that_was_tried() {
    let fake = Fake::new(
        &["none", "pci-id"],
        &["xtsup"],
        &["broken", "same", "device-iotlb"],
    );
    let error = fake.choose("amd").0.unwrap_err();
    insta::assert_snapshot!(fake.shown(&error.to_string()), @r"
    no QEMU at hand has what platform amd needs:
      QEMU emulator version 99.0 has no option `dma-remap` of device `amd-iommu`, which platform amd needs
      QEMU emulator version 99.0 has no option `dma-remap` of device `amd-iommu`, which platform amd needs
      fetching one from broken: no package qemu-system-x86 in the suites broken; it is a package of Debian
        some package lists could not be fetched:
        Err: no network
      same has the same package
      QEMU emulator version 99.0 has no option `dma-remap` of device `amd-iommu`, which platform amd needs
    give one with --qemu PATH, or choose another platform
    ");
}

#[test]
fn without_packages_the_error_says_so() {
    let fake = Fake {
        suites: Err(()),
        ..Fake::new(&["none", "none"], &[], &[])
    };
    let error = fake.choose("amd").0.unwrap_err();
    insta::assert_snapshot!(fake.shown(&error.to_string()), @r"
    no QEMU at hand has what platform amd needs:
      DIR/installed-0/qemu: not installed; ./scripts/bootstrap installs it
      a newer one is fetched from packages of Debian or Ubuntu by apt, which this machine does not have
    give one with --qemu PATH, or choose another platform
    ");
    let fake = Fake::new(&["pci-id"], &[], &[]);
    let error = fake.choose("amd").0.unwrap_err();
    insta::assert_snapshot!(fake.shown(&error.to_string()), @r"
    no QEMU at hand has what platform amd needs:
      QEMU emulator version 99.0 has no option `dma-remap` of device `amd-iommu`, which platform amd needs
      none was fetched before that has it; a run tries to fetch one
    give one with --qemu PATH, or choose another platform
    ");
}

#[test]
fn the_given_one_is_used_or_an_error() {
    let fake = Fake::new(&["dma-remap"], &["dma-remap"], &["dma-remap"]);
    let platform = [Platform::load(&vm_images_folder(), "amd").unwrap()];
    let given = fake.program("given", "pci-id");
    let error = choose(Some(&given), &platform, &fake, &Told::default()).unwrap_err();
    assert!(matches!(error, QemuError::Lacks { .. }), "{error}");
    assert!(error.to_string().contains("option `dma-remap`"), "{error}");
    let error = choose(Some(Path::new("/none")), &platform, &fake, &Told::default()).unwrap_err();
    assert!(matches!(error, QemuError::NotThere { .. }), "{error}");
    assert!(fake.fetched.borrow().is_empty());
}
