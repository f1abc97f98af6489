//! The monitor of a machine: what cases ask the host to do to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufReader, Read},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use qapi::{
    ExecuteError, Qmp, Stream,
    qmp::{RunState, device_del, human_monitor_command, qom_list, query_status},
};
use wire::HostAction;

/// A guest has so long to let a device go.
const GONE: Duration = Duration::from_secs(10);
/// The monitor answers every command at once.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two looks for a device.
const PAUSE: Duration = Duration::from_millis(2);
/// Where QEMU has the devices of its command line and those that were plugged in.
const PERIPHERAL: &str = "/machine/peripheral";

type Client = Qmp<Stream<BufReader<Unended>, UnixStream>>;

/// A stream whose end is an error: a QEMU that has died does not greet, and the client panics where
/// the greeting is missing.
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
    /// Devices that the guest was asked to let go.
    leaving: BTreeSet<String>,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor")
            .field("leaving", &self.leaving)
            .finish_non_exhaustive()
    }
}

/// Why the monitor did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The connection failed, or the command was refused.
    #[error("{doing}: {error}")]
    Refused {
        /// What was tried.
        doing: String,
        /// What the monitor said.
        error: ExecuteError,
    },
    /// The human monitor answers in words only when it refuses.
    #[error("`{command}` on the monitor of QEMU: {answer}")]
    Said {
        /// The command.
        command: String,
        /// The words.
        answer: String,
    },
    /// The machine has no such device.
    #[error("the machine has no device `{0}` on its command line")]
    NoDevice(String),
    /// The guest does not let the device go.
    #[error("the guest did not let {device} go within {} s", GONE.as_secs())]
    Stays {
        /// The device.
        device: String,
    },
}

impl Monitor {
    /// A monitor that nobody has talked to yet.
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

    /// Does what a case asks for.
    pub fn perform(&mut self, action: &HostAction) -> Result<(), MonitorError> {
        self.greet()?;
        match action {
            HostAction::Unplug(device) => self.unplug(device),
            HostAction::Plug(device) => self.plug(device),
        }
    }

    /// Why the machine does not run, if it does not: as under a KVM that cannot go on. None also
    /// where the monitor does not answer.
    pub fn why_stopped(&mut self) -> Option<String> {
        self.greet().ok()?;
        let status = self.client.execute(&query_status {}).ok()?;
        self.client.events().for_each(drop); // nobody else takes them
        let failed = status.status == RunState::internal_error;
        failed.then(|| "an internal error of KVM".to_owned())
    }

    fn greet(&mut self) -> Result<(), MonitorError> {
        if !self.greeted {
            let greeting = self.client.handshake();
            greeting.map_err(|error| refused("greeting the monitor of QEMU".to_owned(), error))?;
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

    /// A case that failed half way may not have unplugged what is to be plugged in.
    fn plug(&mut self, device: &str) -> Result<(), MonitorError> {
        if !self.leaving.contains(device) {
            return Ok(());
        }
        let known = self.devices.get(device).cloned();
        let argument = known.ok_or_else(|| MonitorError::NoDevice(device.to_owned()))?;
        self.await_gone(device)?;
        // The command line's own words: QMP would want each option with its type.
        self.say(format!("device_add {argument}"))?;
        self.leaving.remove(device);
        Ok(())
    }

    /// DEVICE_DELETED comes when nothing refers to a device any more, which is never after QEMU's
    /// nvme saw its DMA refused. Whether the machine still has it, the machine itself knows.
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

    /// Says something to the human monitor, which does not answer when all is well.
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
