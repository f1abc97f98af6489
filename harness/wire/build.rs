//! Gives the crate a revision made of its own sources, so that a host and an agent
//! built from different trees notice it in the first message.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn main() {
    println!("cargo:rerun-if-changed=src");
    let root = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let mut files = sources(&Path::new(&root).join("src"));
    files.sort();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64; // FNV-1a: enough to tell two trees apart
    for byte in files.iter().flat_map(|f| fs::read(f).unwrap_or_default()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    println!("cargo:rustc-env=WIRE_REVISION={hash:016x}");
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let below = entries.map(|entry| entry.path()).flat_map(|path| {
        if path.is_dir() {
            sources(&path)
        } else {
            vec![path]
        }
    });
    below.collect()
}
