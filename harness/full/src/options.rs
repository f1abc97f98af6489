//! What is proved.

use std::path::PathBuf;

use runner::options::GuestOptions;

/// A run on an emulated host with KVM.
#[derive(Debug, Clone, Default)]
pub struct KvmOptions {
    /// Which cases and walks.
    pub extent: Extent,
    /// Only these platforms, if any is named.
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

/// How much is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Extent {
    /// One case or a few for each DMA engine and each kind of wait, on each platform.
    #[default]
    Smoke,
    /// Bind and DMA on `intel`: what a change has to pass.
    Brief,
    /// The whole corpus on `intel`, and parts of it on other platforms.
    All,
    /// These cases, as run-conformance takes them.
    Cases(Vec<String>),
}
