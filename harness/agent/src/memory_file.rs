//! memfds, and dma-bufs made of them.

use std::{
    fs::{File, OpenOptions},
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use nix::{
    errno::Errno,
    sys::mman::{MapFlags, ProtFlags, mmap, munmap},
};

/// `_IOW('u', 0x42, struct udmabuf_create)`.
const UDMABUF_CREATE: u32 = 0x4018_7542;

#[repr(C)]
struct UdmabufCreate {
    memfd: u32,
    flags: u32,
    offset: u64,
    size: u64,
}

/// Creates a memfd of `size` bytes, filled or with a hole, and seals it.
pub fn memfd(size: u64, fill: Option<u8>, seals: u32, huge: bool) -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let flags = flags | if huge { libc::MFD_HUGETLB } else { 0 };
    // SAFETY: a constant name; a non-negative result is a new descriptor of ours.
    let fd = Errno::result(unsafe { libc::memfd_create(c"case".as_ptr(), flags) })?;
    // SAFETY: see above.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.set_len(size)?;
    if let (Some(fill), Some(length)) = (fill, std::num::NonZeroUsize::new(size as usize)) {
        write_all(&file, fill, length)?;
    }
    // SAFETY: plain system call on a descriptor that outlives it.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seals) })?;
    Ok(file.into())
}

/// Fills the file through a mapping: files of huge pages do not support write(2).
fn write_all(file: &File, fill: u8, length: std::num::NonZeroUsize) -> io::Result<()> {
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping of its own, written within its length and removed again.
    unsafe {
        let at = mmap(None, length, access, MapFlags::MAP_SHARED, file, 0)?;
        std::ptr::write_bytes(at.as_ptr().cast::<u8>(), fill, length.get());
        munmap(at, length.get())?;
    }
    Ok(())
}

/// Makes a dma-buf of part of a memfd.
pub fn udmabuf(memfd: RawFd, offset: u64, size: u64) -> io::Result<OwnedFd> {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/udmabuf")?;
    let create = UdmabufCreate {
        memfd: memfd as u32,
        flags: 1, // UDMABUF_FLAGS_CLOEXEC
        offset,
        size,
    };
    // SAFETY: the structure is what the request takes; the result is a new descriptor.
    let fd = unsafe {
        libc::ioctl(
            device.as_raw_fd(),
            UDMABUF_CREATE as libc::Ioctl,
            &raw const create,
        )
    };
    // SAFETY: see above.
    Ok(unsafe { OwnedFd::from_raw_fd(Errno::result(fd)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::os::unix::fs::FileExt;

    #[test]
    fn a_memfd_has_its_size_its_contents_and_its_seals() {
        let file = File::from(memfd(8192, Some(3), libc::F_SEAL_SHRINK as u32, false).unwrap());
        let mut bytes = [0; 8192];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(bytes, [3; 8192]);
        assert_eq!(
            file.set_len(0).unwrap_err().raw_os_error(),
            Some(libc::EPERM)
        );
    }
}
