//! Builds the agent and the initramfs that contains it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use vm_images::{Entry, Module};
use xshell::{Shell, cmd};

use crate::{agent_target::AgentTarget, options::root};

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// cargo is missing, and the agent was not built before.
    #[error(
        "the agent {} does not exist, and cargo is not available to build it; build it where \
         cargo is, with any run such as `cargo xtask run-conformance stage1`",
        .0.display()
    )]
    NotBuilt(PathBuf),
    /// Cargo failed.
    #[error("building the static agent: {0}")]
    Build(#[from] xshell::Error),
    /// Neither C library can be linked statically.
    #[error(
        "the agent is linked statically, but Rust has no library for {} and the compiler no libc.a; \
         install the static C library with ./scripts/bootstrap (glibc-static on Fedora and RHEL, \
         glibc-devel-static on openSUSE), or add the target with `rustup target add`",
        vm_images::x86::RUST_TARGET_MUSL
    )]
    NoStaticLibc,
    /// A file failed.
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
}

/// Builds the agent (milliseconds if nothing changed) and packs it with the modules and other
/// entries.
pub fn initramfs(modules: &[Module], mut entries: Vec<Entry>) -> Result<PathBuf, AgentError> {
    let agent = build()?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| AgentError::Io { path, error }
    };
    let init = fs::read(&agent).map_err(failed(&agent))?;
    entries.extend(vm_images::module_entries(modules));
    let archive = vm_images::initramfs(init, entries);
    let hash: String = Sha256::digest(&archive)
        .iter()
        .take(8)
        .map(|b| format!("{b:02x}"))
        .collect();
    let path = folder().join(format!("initramfs-{hash}.cpio"));
    if !path.exists() {
        // Another run may write the same file; rename makes the replacement atomic.
        let temporary = folder().join(format!(".initramfs-{}", std::process::id()));
        fs::write(&temporary, archive).map_err(failed(&temporary))?;
        fs::rename(&temporary, &path).map_err(failed(&path))?;
    }
    Ok(path)
}

/// Path of the agent's program, as [`initramfs`] built it last.
pub fn program() -> PathBuf {
    // Without cargo, as in the emulated host, it is the one that is there.
    let built = || AgentTarget::ALL.into_iter().find(|it| of(*it).exists());
    let target = cargo().map(|_| AgentTarget::of_this_rust());
    of(target.or_else(built).unwrap_or_default())
}

fn of(target: AgentTarget) -> PathBuf {
    folder().join(target.triple()).join("agent").join("agent")
}

/// The agent has its own target folder, because cargo locks the other one while it runs tests.
fn folder() -> PathBuf {
    root().join("target").join("agent")
}

/// Returns the archive that was used last, if there is one.
pub fn newest() -> Option<PathBuf> {
    let folder = fs::read_dir(folder()).ok()?;
    let archives = folder.flatten().filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with("initramfs-") && name.ends_with(".cpio")
    });
    let newest = archives.max_by_key(|entry| entry.metadata().and_then(|it| it.modified()).ok());
    newest.map(|entry| entry.path())
}

/// Builds the agent, or uses the one built before if cargo is not available. The handshake checks
/// that it matches this runner.
fn build() -> Result<PathBuf, AgentError> {
    let Some(cargo) = cargo() else {
        let program = program();
        let there = program.exists();
        return there
            .then_some(program.clone())
            .ok_or(AgentError::NotBuilt(program));
    };
    let target = AgentTarget::of_this_rust();
    let triple = target.triple();
    let shell = Shell::new()?;
    shell.change_dir(root());
    let built = cmd!(
        shell,
        "{cargo} build --quiet --profile agent --package agent --target {triple}"
    )
    .args(["--target-dir".as_ref(), folder().as_os_str()])
    // The C library is linked statically, so that the initramfs needs no libraries. Link at a fixed
    // address: relocations would dirty pages, which the process of each case would then have to
    // copy.
    .env(
        "RUSTFLAGS",
        "-C target-feature=+crt-static -C relocation-model=static",
    )
    .env_remove("CARGO_ENCODED_RUSTFLAGS")
    .quiet()
    .run();
    match built {
        Err(_) if target.lacks_library() => Err(AgentError::NoStaticLibc),
        built => Ok(built.map(|()| of(target))?),
    }
}

/// Returns the cargo that runs this program or is in PATH, unless the project's source is missing.
pub fn cargo() -> Option<PathBuf> {
    if !root().join("harness/agent/Cargo.toml").exists() {
        return None;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = || {
        let mut programs = std::env::split_paths(&path).map(|folder| folder.join("cargo"));
        programs.find(|program| program.is_file())
    };
    let running = std::env::var_os("CARGO").map(PathBuf::from);
    let found = running.filter(|cargo| cargo.exists()).or_else(in_path);
    found.filter(|cargo| runs(cargo))
}

/// Checks that cargo runs. The proxy of a rustup without a toolchain does not.
fn runs(cargo: &Path) -> bool {
    let mut version = std::process::Command::new(cargo);
    let output = version.arg("--version").current_dir(root()).output();
    output.is_ok_and(|output| output.status.success())
}
