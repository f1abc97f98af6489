//! Guest images: kernels from a Debian source package, a release tarball, a developer's tree or a CI,
//! which are built once and cached, and the initramfs that they boot.

mod apt;
mod build;
mod bzimage;
mod cache;
mod closure;
mod coverage;
mod download;
mod error;
mod flavour;
mod fragment;
mod host;
mod image;
mod initramfs;
mod kbuild;
mod modules;
mod obtain;
mod packed;
mod process;
mod progress;
mod qemu;
mod release;
mod tarball;
mod tree;
mod work_tree;
pub mod x86;

pub use build::{Build, Compiler};
pub use bzimage::release_of;
pub use cache::cache_dir;
pub use coverage::{Llvm, MEASURED};
pub use download::{Address, BadAddress, Checksum, DownloadError};
pub use error::{Blame, ImageError, Mismatch};
pub use flavour::{COVERAGE, DEFAULT, Flavour, KernelCheck, Traits};
pub use host::{HostParts, host_parts};
pub use image::{Image, Source};
pub use initramfs::{Entry, initramfs};
pub use modules::{MODULES_DIR, pack_modules};
pub use obtain::{built, obtain};
pub use progress::{Progress, Silent, Terminal};
pub use qemu::{QemuSuite, cached_qemus, folder_of_packaged};
pub use tarball::TarballPlace;
pub use uapi::Series;
pub use work_tree::{Compiled, KernelWorkTree};
