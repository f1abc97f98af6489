//! Builds the agent and the initramfs it boots from.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use vm_images::Entry;
use xshell::{Shell, cmd};

use crate::options::root;

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Cargo failed.
    #[error("building the static agent: {0}")]
    Build(#[from] xshell::Error),
    /// A file failed.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The modules could not be packed.
    #[error(transparent)]
    Modules(#[from] vm_images::ImageError),
}

/// Target of the agent: the C library is linked in, so that the initramfs needs nothing else.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the agent (a matter of milliseconds when nothing changed) and packs it with the
/// modules and more entries.
///
/// # Errors
/// When cargo, or a file, fails.
pub fn initramfs(modules: Option<&Path>, mut entries: Vec<Entry>) -> Result<PathBuf, AgentError> {
    // A target folder of its own: cargo holds a lock on the other one while it runs tests.
    let target = root().join("target").join("agent");
    let agent = build(&target)?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| AgentError::Io { path, error }
    };
    let init = fs::read(&agent).map_err(failed(&agent))?;
    if let Some(modules) = modules {
        entries.extend(vm_images::pack_modules(modules)?);
    }
    let archive = vm_images::initramfs(init, entries);
    let hash: String = Sha256::digest(&archive)
        .iter()
        .take(8)
        .map(|b| format!("{b:02x}"))
        .collect();
    let path = target.join(format!("initramfs-{hash}.cpio"));
    if !path.exists() {
        // Another run may write the same file: rename makes one of them win, whole.
        let temporary = target.join(format!(".initramfs-{}", std::process::id()));
        fs::write(&temporary, archive).map_err(failed(&temporary))?;
        fs::rename(&temporary, &path).map_err(failed(&path))?;
    }
    Ok(path)
}

fn build(target: &Path) -> Result<PathBuf, AgentError> {
    let shell = Shell::new()?;
    shell.change_dir(root());
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    cmd!(
        shell,
        "{cargo} build --quiet --release --package agent --target {TARGET}"
    )
    .args(["--target-dir".as_ref(), target.as_os_str()])
    .env("RUSTFLAGS", "-C target-feature=+crt-static")
    .env_remove("CARGO_ENCODED_RUSTFLAGS")
    .quiet()
    .run()?;
    Ok(target.join(TARGET).join("release").join("agent"))
}
