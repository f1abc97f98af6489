//! Small reads and writes of sysfs, and the binding of drivers.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use wire::Timeout;

/// Returns the contents without the trailing newline, or an empty text if the file cannot be read.
pub fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim_end()
        .to_owned()
}

/// Writes with one `write(2)`: sysfs takes a value completely or not at all.
pub fn write(path: impl AsRef<Path>, text: &str) -> io::Result<()> {
    write_by(path, text, |file, bytes| file.write(bytes))
}

/// Like [`write()`], but `call` makes the system call.
pub fn write_by(
    path: impl AsRef<Path>,
    text: &str,
    call: impl FnOnce(&mut File, &[u8]) -> io::Result<usize>,
) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    match call(&mut file, text.as_bytes())? {
        n if n == text.len() => Ok(()),
        n => Err(io::Error::other(format!(
            "short write: {n} of {} bytes",
            text.len()
        ))),
    }
}

/// Returns the last component of a link's target.
pub fn link_name(path: impl AsRef<Path>) -> Option<String> {
    let target = fs::read_link(path).ok()?;
    Some(target.file_name()?.to_string_lossy().into_owned())
}

/// Returns the sorted names in a directory, or none if it cannot be read.
pub fn names(path: impl AsRef<Path>) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// `/sys/bus/pci/devices/NAME`.
pub fn pci(device: &str) -> PathBuf {
    Path::new("/sys/bus/pci/devices").join(device)
}

/// Unbinds a PCI device from its driver and binds it to `driver`.
///
/// The error is that of the write to `bind`, which has the result of the driver's probe.
pub fn set_driver(device: &str, driver: Option<&str>) -> io::Result<()> {
    if link_name(pci(device).join("driver")).as_deref() == driver {
        return Ok(());
    }
    set_driver_anew(device, driver)
}

/// Unbinds a PCI device from any driver and binds it to `driver`, even if that is bound already.
///
/// For a device that the kernel may just be binding to the same driver: sysfs shows the driver
/// before its probe has ended. Unbinding and binding wait for the probe, and binding fails where the
/// kernel was first.
fn set_driver_anew(device: &str, driver: Option<&str>) -> io::Result<()> {
    let sysfs = pci(device);
    if link_name(sysfs.join("driver")).is_some() {
        write(sysfs.join("driver/unbind"), device)?;
    }
    // The override keeps other drivers from binding, and lets vfio-pci bind any device.
    write(sysfs.join("driver_override"), driver.unwrap_or("\n"))?;
    let Some(driver) = driver else { return Ok(()) };
    write(
        Path::new("/sys/bus/pci/drivers").join(driver).join("bind"),
        device,
    )
}

/// Binds a driver to a device that was just plugged in. The device is in sysfs some time before the
/// kernel allows a driver to bind.
pub fn wait_hotplug(device: &str, driver: Option<&str>, timeout: Timeout) -> io::Result<()> {
    let deadline = Instant::now() + timeout.duration();
    loop {
        match set_driver_anew(device, driver) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}
