//! The QEMU monitor of a machine, which performs the actions that cases request from the host.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufReader, Read},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use qapi::{
    ExecuteError, Qmp, Stream,
    qmp::{RunState, device_del, human_monitor_command, inject_nmi, qom_list, query_status},
};
use wire::HostAction;

/// Time within which a guest has to release a device.
const GONE: Duration = Duration::from_secs(10);
/// Timeout for an answer; the monitor answers every command at once.
const ANSWER: Duration = Duration::from_secs(10);
/// Interval at which the presence of a device is checked.
const PAUSE: Duration = Duration::from_millis(2);
/// QOM path of the devices on QEMU's command line and of those that were plugged in.
const PERIPHERAL: &str = "/machine/peripheral";

type Client = Qmp<Stream<BufReader<Unended>, UnixStream>>;

/// A stream whose end is an error. The client panics if the greeting is missing, as it is after
/// QEMU has died.
struct Unended(UnixStream);

impl Read for Unended {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 if !into.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

/// The monitor of one machine.
pub struct Monitor {
    client: Client,
    greeted: bool,
    /// `-device` arguments by device.
    devices: BTreeMap<String, String>,
    /// Devices that the guest was asked to release.
    leaving: BTreeSet<String>,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor")
            .field("leaving", &self.leaving)
            .finish_non_exhaustive()
    }
}

/// Why the monitor did not perform an action.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The connection failed, or the command was refused.
    #[error("{doing}: {error}")]
    Refused {
        /// What was tried.
        doing: String,
        /// The monitor's answer.
        error: ExecuteError,
    },
    /// The human monitor refused the command; it answers with text only then.
    #[error("`{command}` on the QEMU monitor: {answer}")]
    Said {
        /// The command.
        command: String,
        /// The answer.
        answer: String,
    },
    /// The machine has no such device.
    #[error("the command line of QEMU has no device `{0}`")]
    NoDevice(String),
    /// The guest did not release the device.
    #[error("the guest did not release {device} within {} s", GONE.as_secs())]
    Stays {
        /// The device.
        device: String,
    },
}

/// Whether QEMU runs the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MachineState {
    /// It does.
    Running,
    /// It has stopped it, for this reason.
    Stopped(String),
    /// The monitor does not answer.
    NoAnswer,
}

impl Monitor {
    /// Returns a monitor that has not been greeted yet.
    pub fn new(stream: UnixStream, devices: BTreeMap<String, String>) -> io::Result<Self> {
        stream.set_read_timeout(Some(ANSWER))?;
        let reader = BufReader::new(Unended(stream.try_clone()?));
        Ok(Self {
            client: Qmp::new(Stream::new(reader, stream)),
            greeted: false,
            devices,
            leaving: BTreeSet::new(),
        })
    }

    /// Performs an action that a case requests.
    pub fn perform(&mut self, action: &HostAction) -> Result<(), MonitorError> {
        self.greet()?;
        match action {
            HostAction::Unplug(device) => self.unplug(device),
            HostAction::Plug(device) => self.plug(device),
        }
    }

    /// Returns whether QEMU runs the machine.
    pub fn state(&mut self) -> MachineState {
        match self.status() {
            None => MachineState::NoAnswer,
            Some(RunState::internal_error) => {
                MachineState::Stopped("an internal error of KVM".to_owned())
            }
            Some(_) => MachineState::Running,
        }
    }

    fn status(&mut self) -> Option<RunState> {
        self.greet().ok()?;
        let status = self.client.execute(&query_status {}).ok()?;
        self.client.events().for_each(drop); // nobody else takes them
        Some(status.status)
    }

    /// Sends a non-maskable interrupt, at which the kernel prints where each processor is and ends.
    pub fn interrupt(&mut self) -> Result<(), MonitorError> {
        let sent = self.client.execute(&inject_nmi {});
        let failed = |error| refused("sending an NMI".to_owned(), error);
        sent.map(drop).map_err(failed)
    }

    fn greet(&mut self) -> Result<(), MonitorError> {
        if !self.greeted {
            let greeting = self.client.handshake();
            greeting
                .map_err(|error| refused("connecting to the QEMU monitor".to_owned(), error))?;
            self.greeted = true;
        }
        Ok(())
    }

    fn unplug(&mut self, device: &str) -> Result<(), MonitorError> {
        let command = device_del {
            id: device.to_owned(),
        };
        self.client
            .execute(&command)
            .map_err(|error| refused(format!("unplugging {device}"), error))?;
        self.leaving.insert(device.to_owned());
        Ok(())
    }

    /// Plugs a device in, unless it is still there because the case failed before it was unplugged.
    fn plug(&mut self, device: &str) -> Result<(), MonitorError> {
        if !self.leaving.contains(device) {
            return Ok(());
        }
        let known = self.devices.get(device).cloned();
        let argument = known.ok_or_else(|| MonitorError::NoDevice(device.to_owned()))?;
        self.await_gone(device)?;
        // The human monitor takes the options of the command line; QMP needs each option with its
        // type.
        self.say(format!("device_add {argument}"))?;
        self.leaving.remove(device);
        Ok(())
    }

    /// Waits until the machine no longer lists the device. Does not wait for DEVICE_DELETED, which
    /// is sent when the last reference is gone: that never happens after DMA of QEMU's nvme was
    /// blocked.
    fn await_gone(&mut self, device: &str) -> Result<(), MonitorError> {
        let deadline = Instant::now() + GONE;
        while self.has(device)? {
            if Instant::now() >= deadline {
                let device = device.to_owned();
                return Err(MonitorError::Stays { device });
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn has(&mut self, device: &str) -> Result<bool, MonitorError> {
        let listed = self.client.execute(&qom_list {
            path: PERIPHERAL.to_owned(),
        });
        let listed = listed.map_err(|error| refused(format!("looking for {device}"), error))?;
        self.client.events().for_each(drop); // nobody else takes them
        Ok(listed.iter().any(|child| child.name == device))
    }

    /// Sends a command to the human monitor, which answers only on failure.
    fn say(&mut self, command: String) -> Result<(), MonitorError> {
        let command_line = human_monitor_command {
            cpu_index: None,
            command_line: command.clone(),
        };
        let answer = self.client.execute(&command_line);
        let answer = answer.map_err(|error| refused(command.clone(), error))?;
        let answer = answer.trim().to_owned();
        if answer.is_empty() {
            return Ok(());
        }
        Err(MonitorError::Said { command, answer })
    }
}

fn refused(doing: String, error: ExecuteError) -> MonitorError {
    MonitorError::Refused { doing, error }
}
