//! The chains of capabilities in the configuration space of a vfio-pci device.

use std::{fs::File, io, os::unix::fs::FileExt};

use wire::Chain;

/// vfio-pci gives each region the file offset `index << 40`; configuration space is the 7th.
const CONFIG: u64 = 7 << 40;
const CAPABILITY_LIST: u64 = 0x34;
const EXTENDED: u64 = 0x100;
/// Maximum number of entries in a chain: one for each dword.
const LONGEST: usize = 1024;

/// Returns the offset of the first capability with this id.
///
/// A chain that does not end is an error; following it would never end.
pub fn capability(device: &File, id: u16, chain: Chain) -> io::Result<u64> {
    let mut at = match chain {
        Chain::Standard => read::<1>(device, CAPABILITY_LIST)? & !3,
        Chain::Extended => EXTENDED,
    };
    for _ in 0..LONGEST {
        if at == 0 {
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        let (found, next) = match chain {
            Chain::Standard => standard(read::<2>(device, at)?),
            Chain::Extended => extended(read::<4>(device, at)?),
        };
        if found == id {
            return Ok(at);
        }
        at = next;
    }
    Err(io::Error::other("the chain of capabilities does not end"))
}

fn standard(header: u64) -> (u16, u64) {
    ((header & 0xff) as u16, (header >> 8) & 0xfc)
}

fn extended(header: u64) -> (u16, u64) {
    ((header & 0xffff) as u16, (header >> 20) & 0xffc)
}

fn read<const N: usize>(device: &File, at: u64) -> io::Result<u64> {
    let mut bytes = [0; N];
    device.read_exact_at(&mut bytes, CONFIG + at)?;
    let mut word = [0; 8];
    word[..N].copy_from_slice(&bytes);
    Ok(u64::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::{extended, standard};

    #[test]
    fn headers_are_taken_apart() {
        assert_eq!(standard(0x5005), (0x05, 0x50));
        assert_eq!(extended(0x1482_0001), (0x01, 0x148));
    }
}
