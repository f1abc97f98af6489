//! Errors of fetching a file, and the checksum that they name.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The server does not have it.
    #[error("{url} does not exist on the server; check the address, or give another --source")]
    NotFound {
        /// Its address.
        url: String,
    },
    /// The server answers with an error.
    #[error(
        "the server answers the request for {url} with status {status}; try again later, or give \
         another --source"
    )]
    Refused {
        /// Its address.
        url: String,
        /// The status of HTTP.
        status: u16,
    },
    /// The server cannot be reached.
    #[error(
        "cannot reach {url}: {cause}; if this machine needs a proxy, set https_proxy and http_proxy \
         (and no_proxy for the exceptions). Without a network, give a release tarball with --source \
         FILE, a source tree with --linux TREE, or a kernel image with --kernel IMAGE"
    )]
    NoNetwork {
        /// Its address.
        url: String,
        /// What happened.
        cause: String,
    },
    /// The transfer ended before the file did.
    #[error(
        "the transfer of {url} broke off after {received} bytes: {cause}; they are kept in {}, and \
         the next run continues there",
        part.display()
    )]
    BrokenOff {
        /// Its address.
        url: String,
        /// Size of the part.
        received: u64,
        /// The part.
        part: PathBuf,
        /// What happened.
        cause: String,
    },
    /// The content is not the published one.
    #[error(
        "{url} has the SHA-256 {actual}, but {wanted} is expected; the file was removed. Run \
         again; if it happens again, the checksum is wrong, or the server or a proxy delivers \
         another file"
    )]
    WrongChecksum {
        /// Its address.
        url: String,
        /// The published one, or the user's.
        wanted: Checksum,
        /// That of the content.
        actual: Checksum,
    },
    /// A variable names no proxy.
    #[error("the variable {variable} is not the address of a proxy, such as http://HOST:PORT")]
    BadProxy {
        /// Name of the variable. Its value may hold a password.
        variable: &'static str,
    },
}

/// A text that names no file on a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Not HTTP.
    #[error("`{0}` is not an address with http:// or https://")]
    Scheme(String),
    /// The path ends with a slash.
    #[error("`{0}` names no file; give the address of a tarball, such as .../linux-7.3.4.tar.xz")]
    NoFile(String),
    /// The part behind `#`.
    #[error("`#{0}` is not a checksum; give `#sha256=` and 64 hexadecimal digits")]
    Checksum(String),
}

/// A SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum(String);

impl Checksum {
    /// Returns the checksum of a file.
    pub(crate) fn of_file(path: &Path) -> std::io::Result<Self> {
        let mut hasher = Sha256::new();
        std::io::copy(&mut File::open(path)?, &mut hasher)?;
        let digest = hasher.finalize();
        Ok(Self(digest.iter().map(|b| format!("{b:02x}")).collect()))
    }

    /// Returns its hexadecimal digits.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Checksum {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let valid = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        valid
            .then(|| Self(text.to_ascii_lowercase()))
            .ok_or_else(|| BadAddress::Checksum(text.to_owned()))
    }
}
