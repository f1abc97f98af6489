//! Options of `full`.

use std::path::PathBuf;

use runner::options::GuestOptions;

/// A run on an emulated host with KVM.
#[derive(Debug, Clone, Default)]
pub struct KvmOptions {
    /// Cases and walks to run.
    pub extent: Extent,
    /// Platforms to run on; if empty, all of the extent.
    pub platforms: Vec<String>,
    /// Worlds of the model to walk in addition.
    pub explore: Vec<String>,
    /// Random walks to take in addition.
    pub random: Option<u64>,
    /// The kernel of the guests, and QEMU for them and for the host.
    pub guest: GuestOptions,
    /// Folder for both records. Default: results/runs/TIME-kvm.
    pub record: Option<PathBuf>,
}

/// Extent of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Extent {
    /// A few cases for each DMA engine and each kind of wait, on each platform.
    #[default]
    Smoke,
    /// Bind and DMA on `intel`, which every change has to pass.
    Brief,
    /// The whole corpus on `intel`, and parts of it on other platforms.
    All,
    /// These cases: the filters of run-conformance.
    Cases(Vec<String>),
}
