//! Fetches a file over HTTP: resumed where it broke off, checked, and kept.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use ureq::http::{HeaderMap, Response, Uri, header};
use ureq::{Agent, Body, Proxy};

use crate::cache::{hash, rename, write};
use crate::download_error::{BadAddress, Checksum, DownloadError};
use crate::error::ImageError;
use crate::progress::Progress;

/// The list of checksums that kernel.org publishes in each folder of releases.
const SUMS: &str = "sha256sums.asc";
/// Time to reach the server.
const CONNECT: Duration = Duration::from_secs(30);
/// Time without a byte from the server until the connection counts as broken off.
const STALLED: Duration = Duration::from_secs(60);
/// How often a transfer is resumed before it is left to the next run.
const ATTEMPTS: usize = 5;

const NO_ROOM: &str = "make room on the disk, or set XDG_CACHE_HOME to a folder with 3 GB free";

/// The address of a file, and its checksum if that is known beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    url: String,
    name: String,
    checksum: Option<Checksum>,
}

impl Address {
    /// Returns the name of the file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the address of a file in the same folder of the server.
    fn beside(&self, name: &str) -> String {
        let folder = self.url.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{name}")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl FromStr for Address {
    type Err = BadAddress;

    /// Reads `URL` or `URL#sha256=HEX`.
    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let (url, fragment) = match text.split_once('#') {
            Some((url, fragment)) => (url, Some(fragment)),
            None => (text, None),
        };
        let checksum = fragment.map(|fragment| {
            let digits = fragment.strip_prefix("sha256=");
            let bad = || BadAddress::Checksum(fragment.to_owned());
            digits.ok_or_else(bad)?.parse().map_err(|_| bad())
        });
        let uri: Uri = url
            .parse()
            .map_err(|_| BadAddress::Scheme(url.to_owned()))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(BadAddress::Scheme(url.to_owned()));
        }
        let name = uri.path().rsplit('/').next().unwrap_or_default();
        if name.is_empty() || name == ".." {
            return Err(BadAddress::NoFile(url.to_owned()));
        }
        Ok(Self {
            url: url.to_owned(),
            name: name.to_owned(),
            checksum: checksum.transpose()?,
        })
    }
}

/// A file that was fetched completely and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) path: PathBuf,
    pub(crate) checksum: Checksum,
}

/// Looks up a variable of the environment.
pub(crate) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Returns the file if an earlier run fetched it.
pub(crate) fn fetched(folder: &Path, from: &Address) -> Option<Fetched> {
    Files::of(folder, from).fetched()
}

/// Fetches the file into the folder, unless an earlier run did.
pub(crate) fn fetch(
    folder: &Path,
    from: &Address,
    variables: Variables,
    progress: &dyn Progress,
) -> Result<Fetched, ImageError> {
    let files = Files::of(folder, from);
    if let Some(fetched) = files.fetched() {
        return Ok(fetched);
    }
    let transfer = Transfer {
        agent: agent(from, variables)?,
        from,
        files,
        progress,
    };
    let wanted = match &from.checksum {
        Some(checksum) => Some(checksum.clone()),
        None => transfer.published()?,
    };
    transfer.run()?;
    transfer.finish(wanted)
}

/// Names of the files of one download. They differ for files of one name on two servers.
struct Files {
    /// The whole file.
    whole: PathBuf,
    /// Its checksum.
    checksum: PathBuf,
    /// The part that has been transferred.
    part: PathBuf,
    /// What identifies the version of the file that the part belongs to.
    validator: PathBuf,
}

impl Files {
    fn of(folder: &Path, from: &Address) -> Self {
        let checksum = from.checksum.as_ref().map_or("", Checksum::as_str);
        let hash: String = hash([from.url.as_bytes(), checksum.as_bytes()])
            .chars()
            .take(16)
            .collect();
        let file = |ending: &str| folder.join(format!("{hash}-{}{ending}", from.name));
        Self {
            whole: file(""),
            checksum: file(".sha256"),
            part: file(".part"),
            validator: file(".part.validator"),
        }
    }

    fn fetched(&self) -> Option<Fetched> {
        let checksum = fs::read_to_string(&self.checksum).ok()?;
        self.whole.is_file().then_some(Fetched {
            path: self.whole.clone(),
            checksum: checksum.trim().parse().ok()?,
        })
    }

    /// Returns the number of bytes that are there, and the validator of their version. Without a
    /// validator the rest could belong to another version.
    fn resumable(&self) -> Option<(u64, String)> {
        let length = self.part_length();
        let validator = fs::read_to_string(&self.validator).ok()?;
        (length > 0 && !validator.is_empty()).then_some((length, validator))
    }

    fn part_length(&self) -> u64 {
        fs::metadata(&self.part).map_or(0, |it| it.len())
    }

    /// Forgets the part.
    fn clear(&self) {
        // A part that stays is checked like any other.
        let _ = fs::remove_file(&self.validator);
        let _ = fs::remove_file(&self.part);
    }
}

/// How an attempt ended that was not refused.
enum End {
    Complete,
    /// The connection broke off.
    Broken(String),
    /// The part does not fit to what the server has, and was removed.
    Unfit,
}

struct Transfer<'a> {
    agent: Agent,
    from: &'a Address,
    files: Files,
    progress: &'a dyn Progress,
}

impl Transfer<'_> {
    /// Returns the checksum in the list beside the file, if the server has such a list.
    fn published(&self) -> Result<Option<Checksum>, ImageError> {
        let url = self.from.beside(SUMS);
        let failed = |error| no_network(&self.from.url, &error);
        let mut response = self.agent.get(&url).call().map_err(failed)?;
        if !response.status().is_success() {
            return Ok(None);
        }
        let text = response.body_mut().read_to_string().map_err(failed)?;
        Ok(listed(&text, &self.from.name))
    }

    /// Transfers the file into its part, and resumes where the connection breaks off.
    fn run(&self) -> Result<(), ImageError> {
        self.progress.stage(&format!("downloading {}", self.from));
        let mut cause = String::new();
        for attempt in 0..ATTEMPTS {
            let before = self.files.part_length();
            match self.attempt() {
                Ok(End::Complete) => return Ok(()),
                Ok(End::Broken(why)) => cause = why,
                Ok(End::Unfit) => {
                    "the server offers another part of it".clone_into(&mut cause);
                    continue;
                }
                Err(ImageError::Download(DownloadError::NoNetwork { cause: why, .. }))
                    if attempt > 0 =>
                {
                    cause = why;
                }
                Err(error) => return Err(error),
            }
            // Without a new byte, another attempt promises nothing.
            if attempt > 0 && self.files.part_length() <= before {
                break;
            }
        }
        Err(DownloadError::BrokenOff {
            url: self.from.to_string(),
            received: self.files.part_length(),
            part: self.files.part.clone(),
            cause,
        }
        .into())
    }

    fn attempt(&self) -> Result<End, ImageError> {
        let resumable = self.files.resumable();
        let mut request = self.agent.get(&self.from.url);
        if let Some((length, validator)) = &resumable {
            request = request
                .header(header::RANGE, format!("bytes={length}-"))
                .header(header::IF_RANGE, validator);
        }
        let response = request
            .call()
            .map_err(|error| no_network(&self.from.url, &error))?;
        let url = self.from.to_string();
        match (response.status().as_u16(), resumable) {
            (200, _) => self.receive(response, 0),
            (206, Some((length, _))) if starts_at(response.headers(), length) => {
                self.receive(response, length)
            }
            (206 | 416, _) => {
                self.files.clear();
                Ok(End::Unfit)
            }
            (404 | 410, _) => Err(DownloadError::NotFound { url }.into()),
            (status, _) => Err(DownloadError::Refused { url, status }.into()),
        }
    }

    /// Writes the content of a response behind the first `start` bytes of the part.
    fn receive(&self, response: Response<Body>, start: u64) -> Result<End, ImageError> {
        write(&self.files.validator, validator(response.headers()))?;
        let failed = |source| ImageError::File {
            doing: "write",
            path: self.files.part.clone(),
            hint: NO_ROOM,
            source,
        };
        let mut open = OpenOptions::new();
        open.create(true);
        let open = if start > 0 {
            open.append(true)
        } else {
            open.write(true).truncate(true)
        };
        let mut part = open.open(&self.files.part).map_err(failed)?;
        let total = response.body().content_length().map(|rest| start + rest);
        let (mut body, mut received) = (response.into_body().into_reader(), start);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => return Ok(End::Broken(error.to_string())),
            };
            let bytes = buffer.get(..count).unwrap_or_default();
            part.write_all(bytes).map_err(failed)?;
            received += count as u64;
            self.show(received, total);
        }
        Ok(match total {
            Some(total) if received < total => {
                End::Broken("the server closed the connection".to_owned())
            }
            _ => End::Complete,
        })
    }

    fn show(&self, received: u64, total: Option<u64>) {
        let percent = total.and_then(|total| received.saturating_mul(100).checked_div(total));
        if let Some(percent) = percent {
            self.progress.steps(percent, Some(100));
        }
    }

    /// Checks the part and makes it the whole file.
    fn finish(&self, wanted: Option<Checksum>) -> Result<Fetched, ImageError> {
        let files = &self.files;
        let actual = Checksum::of_file(&files.part).map_err(|source| ImageError::File {
            doing: "read",
            path: files.part.clone(),
            hint: "remove it and run again",
            source,
        })?;
        match wanted {
            Some(wanted) if wanted != actual => {
                files.clear();
                let url = self.from.to_string();
                return Err(DownloadError::WrongChecksum {
                    url,
                    wanted,
                    actual,
                }
                .into());
            }
            Some(_) => {}
            None => self.progress.line(&format!(
                "warning: {} was not checked: the server has no {SUMS} that lists it; \
                 `--source URL#sha256=HEX` checks it (this one has {actual})",
                self.from
            )),
        }
        write(&files.checksum, actual.as_str())?;
        rename(&files.part, &files.whole)?;
        // It belongs to the part, which is no more.
        let _ = fs::remove_file(&files.validator);
        Ok(Fetched {
            path: files.whole.clone(),
            checksum: actual,
        })
    }
}

fn no_network(url: &str, error: &ureq::Error) -> ImageError {
    DownloadError::NoNetwork {
        url: url.to_owned(),
        cause: error.to_string(),
    }
    .into()
}

/// Returns the checksum of a file in a list of lines such as "HEX  NAME".
fn listed(text: &str, name: &str) -> Option<Checksum> {
    let mut lines = text.lines().filter_map(|line| line.split_once("  "));
    let (digits, _) = lines.find(|(_, file)| *file == name)?;
    digits.parse().ok()
}

/// Returns what identifies this version of the file: its strong ETag, or else its date.
fn validator(headers: &HeaderMap) -> &str {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let strong = text(header::ETAG).filter(|tag| !tag.starts_with("W/"));
    strong.or(text(header::LAST_MODIFIED)).unwrap_or_default()
}

/// Whether a response holds the bytes from there on, as in "bytes 100-199/200".
fn starts_at(headers: &HeaderMap, offset: u64) -> bool {
    let range = headers.get(header::CONTENT_RANGE);
    let range = range.and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {offset}-")))
}

/// A client with the proxy that the environment names.
fn agent(from: &Address, variables: Variables) -> Result<Agent, ImageError> {
    // The machine's own certificates: a company's proxy may have one that only those know.
    let tls = ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier);
    let config = Agent::config_builder()
        .proxy(proxy(from, variables)?)
        .tls_config(tls.build())
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT))
        .timeout_per_read(Some(STALLED));
    Ok(config.build().new_agent())
}

/// Returns the proxy for an address. ureq's own reading of the environment takes one proxy for all
/// schemes, and reads `example.org` in `no_proxy` without the hosts below it.
fn proxy(from: &Address, variables: Variables) -> Result<Option<Proxy>, DownloadError> {
    let names = match from.url.starts_with("https:") {
        true => ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        false => ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
    };
    let given = |name: &'static str| Some((name, variables(name).filter(|it| !it.is_empty())?));
    let Some((variable, value)) = names.into_iter().find_map(given) else {
        return Ok(None);
    };
    let bad = |_| DownloadError::BadProxy { variable };
    let named = Proxy::new(&value).map_err(bad)?;
    let mut proxy = Proxy::builder(named.protocol())
        .host(named.host())
        .port(named.port());
    if let Some(user) = named.username() {
        proxy = proxy.username(user);
    }
    if let Some(password) = named.password() {
        proxy = proxy.password(password);
    }
    let except = variables("no_proxy").or_else(|| variables("NO_PROXY"));
    for host in except.iter().flat_map(|text| text.split(',')) {
        let host = host.trim().trim_start_matches('.');
        if !host.is_empty() {
            proxy = proxy.no_proxy(host).no_proxy(&format!(".{host}"));
        }
    }
    Ok(Some(proxy.build().map_err(bad)?))
}

#[cfg(test)]
mod tests;
