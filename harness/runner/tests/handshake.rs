//! The handshake against a QEMU that is none: what a guest says first is checked.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics to fail")]

mod common;

use std::{collections::BTreeMap, fs, time::Duration};

use common::fixtures;
use rstest::rstest;
use runner::{
    guest::{BootError, Guest, Limits},
    options::vm_images_folder,
    platform::Platform,
    qemu::{Argv, Qemu},
};
use wire::{End, Facts, Observed, Outcome, Phases, Reply, World, frame};

fn hello(revision: &str) -> Vec<u8> {
    let facts = Facts::default();
    let revision = revision.to_owned();
    frame::encode(&Reply::Hello { revision, facts }).unwrap()
}

/// Boots a program that sends `bytes` through the agent's port and ends.
fn boot(bytes: &[u8]) -> BootError {
    start(bytes, "ends", MINUTE).unwrap_err()
}

const MINUTE: Limits = Limits {
    total: Duration::from_secs(60),
    quiet: None,
};

fn start(bytes: &[u8], then: &str, limits: Limits) -> Result<Guest, BootError> {
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("said");
    fs::write(&said, bytes).unwrap();
    // Not written here: a process that another test forks meanwhile would keep it busy.
    let program = fixtures("fake-guest.sh");
    let qemu = Qemu::open(&program).unwrap();
    let platform = Platform::load(&vm_images_folder(), "intel").unwrap();
    let argv = Argv {
        args: vec![said.display().to_string(), then.to_owned()],
        devices: BTreeMap::new(),
        lacking: BTreeMap::new(),
    };
    let console = folder.path().join("console");
    Guest::boot(&qemu, &argv, &platform, &console, limits)
}

#[test]
fn a_stale_agent_is_refused() {
    let error = boot(&hello("another"));
    assert!(matches!(&error, BootError::Stale { found, .. } if found == "another"));
    assert!(
        error
            .to_string()
            .contains("rebuild both from the same source"),
        "{error}"
    );
}

#[rstest]
#[case::nothing(b"".to_vec(), "QEMU ended (exit status: 0)")]
#[case::no_frame(b"Booting Linux".to_vec(), "malformed frame")]
#[case::half_a_frame(hello("x")[..40].to_vec(), "QEMU ended")]
#[case::another_message(frame::encode(&Reply::Pong { token: 1 }).unwrap(), "first message was Pong")]
fn a_guest_that_does_not_say_hello_is_told_how(#[case] bytes: Vec<u8>, #[case] says: &str) {
    let error = boot(&bytes).to_string();
    assert!(error.contains("the guest did not boot"), "{error}");
    assert!(error.contains(says), "{error}");
}

/// The agent was busy with the set-up when it was pinged: its answer comes behind the last of that.
#[test]
fn a_late_answer_to_a_ping_is_skipped() {
    let facts = Facts {
        release: "7.3.4".to_owned(),
        ..Facts::default()
    };
    let done = Outcome {
        observed: Observed::Ok {
            ret: 0,
            data: Vec::new(),
        },
        us: 0,
    };
    // The set-up makes each of the five mediated devices.
    let steps = (0..5).map(|index| Reply::Step {
        token: 1,
        index,
        outcome: done.clone(),
    });
    let rest = [
        Reply::Done {
            token: 1,
            end: End::Finished,
            left_behind: Vec::new(),
            kmsg_before: Vec::new(),
            kmsg: Vec::new(),
            world: World::default(),
            phases: Phases::default(),
        },
        Reply::Pong { token: 1 },
        Reply::Facts(facts),
    ];
    let mut bytes = hello(wire::REVISION);
    for message in steps.chain(rest) {
        bytes.extend(frame::encode(&message).unwrap());
    }
    let guest = start(&bytes, "stays", MINUTE).unwrap();
    assert_eq!(guest.facts.release, "7.3.4");
}

#[rstest]
#[case::silent("stays", 1, None, "did not say hello within 1 s")]
#[case::quiet("stays", 60, Some(1), "no console output for 1 s")]
#[case::stopped(
    "stopped",
    60,
    None,
    "QEMU has stopped the machine: an internal error of KVM"
)]
fn a_guest_without_hope_is_given_up(
    #[case] then: &str,
    #[case] total: u64,
    #[case] quiet: Option<u64>,
    #[case] says: &str,
) {
    let limits = Limits {
        total: Duration::from_secs(total),
        quiet: quiet.map(Duration::from_secs),
    };
    let error = start(b"", then, limits).unwrap_err().to_string();
    assert!(error.contains(says), "{error}");
}
