//! The handshake against a QEMU that is none: what a guest says first is checked.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics to fail")]

mod common;

use std::{collections::BTreeMap, fs, time::Duration};

use common::fixtures;
use rstest::rstest;
use runner::{
    guest::{BootError, Guest},
    options::root,
    platform::Platform,
    qemu::{Argv, Qemu},
};
use wire::{Facts, Reply, frame};

fn hello(revision: &str) -> Vec<u8> {
    let facts = Facts::default();
    let revision = revision.to_owned();
    frame::encode(&Reply::Hello { revision, facts }).unwrap()
}

/// Boots a program that sends `bytes` through the agent's port and ends.
fn boot(bytes: &[u8]) -> BootError {
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("said");
    fs::write(&said, bytes).unwrap();
    // Not written here: a process that another test forks meanwhile would keep it busy.
    let program = fixtures("fake-guest.sh");
    let qemu = Qemu::open(&program).unwrap();
    let platform = Platform::load(&root().join("vm-images"), "intel").unwrap();
    let argv = Argv {
        args: vec![said.display().to_string()],
        devices: BTreeMap::new(),
        lacking: BTreeMap::new(),
    };
    let console = folder.path().join("console");
    let deadline = Some(Duration::from_secs(60));
    Guest::boot(&qemu, &argv, &platform, &console, deadline).unwrap_err()
}

#[test]
fn a_stale_agent_is_refused() {
    let error = boot(&hello("another"));
    assert!(matches!(&error, BootError::Stale { found, .. } if found == "another"));
    assert!(error.to_string().contains("build them together"), "{error}");
}

#[rstest]
#[case::nothing(b"".to_vec(), "QEMU ended (exit status: 0)")]
#[case::no_frame(b"Booting Linux".to_vec(), "malformed frame")]
#[case::half_a_frame(hello("x")[..40].to_vec(), "QEMU ended")]
#[case::another_message(frame::encode(&Reply::Pong { token: 1 }).unwrap(), "first said Pong")]
fn a_guest_that_does_not_say_hello_is_told_how(#[case] bytes: Vec<u8>, #[case] says: &str) {
    let error = boot(&bytes).to_string();
    assert!(error.contains("the guest did not come up"), "{error}");
    assert!(error.contains(says), "{error}");
}
