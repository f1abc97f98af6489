//! The libraries of this machine that a program needs, according to the loader.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use xshell::{Shell, cmd};

use crate::FullError;

/// Returns the paths of the libraries and of the loader, or none for a static program.
pub fn of(program: &Path) -> Result<BTreeSet<PathBuf>, FullError> {
    let shell = Shell::new()?;
    let output = cmd!(shell, "ldd {program}")
        .quiet()
        .ignore_status()
        .ignore_stderr()
        .read()?;
    Ok(paths(&output))
}

/// Returns the paths in lines such as `libc.so.6 => /lib/libc.so.6 (0x...)` or, for the loader,
/// `/lib64/ld.so (0x...)`.
fn paths(output: &str) -> BTreeSet<PathBuf> {
    let words = output.lines().flat_map(str::split_whitespace);
    let absolute = words.filter(|word| word.starts_with('/'));
    absolute.map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found() {
        let output = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibz.so.1 => /lib/x/libz.so.1 (0x1)\n\t/lib64/ld.so.2 (0x2)\n";
        let want = ["/lib/x/libz.so.1", "/lib64/ld.so.2"].map(PathBuf::from);
        assert_eq!(paths(output), BTreeSet::from(want));
        assert_eq!(paths("\tstatically linked\n"), BTreeSet::new());
    }
}
