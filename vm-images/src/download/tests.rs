//! Downloads from servers on this machine.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::progress::Silent;
use sha2::{Digest, Sha256};

const NAME: &str = "linux-7.3.4.tar.xz";

/// An answer of a server.
struct Answer {
    status: &'static str,
    headers: Vec<String>,
    body: Vec<u8>,
    /// Number of bytes of the body after which the connection is closed.
    cut: Option<usize>,
}

impl Answer {
    fn of(status: &'static str, body: &[u8]) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
            cut: None,
        }
    }

    fn with(mut self, header: impl Into<String>) -> Self {
        self.headers.push(header.into());
        self
    }

    fn send(&self, mut to: &TcpStream) {
        let mut head = format!("HTTP/1.1 {}\r\nConnection: close\r\n", self.status);
        head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        for header in &self.headers {
            head.push_str(&format!("{header}\r\n"));
        }
        let sent = &self.body[..self.cut.unwrap_or(self.body.len())];
        // The client may have gone.
        let _ = to.write_all(head.as_bytes());
        let _ = to.write_all(b"\r\n");
        let _ = to.write_all(sent);
    }
}

/// A server on this machine, and the requests that it got: their first lines and headers.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answer` gets the head of a request and the number of the requests for its path before it.
    /// The thread ends with the process.
    fn start(answer: impl Fn(&str, usize) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(&stream.unwrap(), &log, &answer);
            }
        });
        Self { port, requests }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v7.x/{NAME}", self.port)
    }

    /// The requests for the file itself.
    fn asked(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        let mine = |head: &&String| head.contains(NAME);
        requests.iter().filter(mine).cloned().collect()
    }
}

fn serve(stream: &TcpStream, log: &Mutex<Vec<String>>, answer: &impl Fn(&str, usize) -> Answer) {
    let mut reader = BufReader::new(stream);
    let mut head = head_of(&mut reader);
    if head.starts_with("CONNECT") {
        log.lock().unwrap().push(head);
        let mut to = stream;
        to.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        head = head_of(&mut reader);
    }
    let path = |head: &str| head.lines().next().unwrap_or_default().to_owned();
    let mut log = log.lock().unwrap();
    let before = log.iter().filter(|it| path(it) == path(&head)).count();
    log.push(head.clone());
    drop(log);
    answer(&head, before).send(stream);
}

fn head_of(reader: &mut impl BufRead) -> String {
    let mut head = String::new();
    while reader.read_line(&mut head).unwrap() > 2 {}
    head.to_ascii_lowercase()
        .replace("connect ", "CONNECT ")
        .replace("get ", "GET ")
}

/// Content that is not the same anywhere.
fn content() -> Vec<u8> {
    (0..100_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn checksum_of(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A list with the checksum of the content among others, as kernel.org signs it.
fn sums(bytes: &[u8]) -> Vec<u8> {
    let (other, mine) = ("0".repeat(64), checksum_of(bytes));
    format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{other}  linux-7.3.tar.xz\n\
         {mine}  {NAME}\n-----BEGIN PGP SIGNATURE-----\n"
    )
    .into_bytes()
}

fn none(_: &str) -> Option<String> {
    None
}

/// A folder for downloads, and what was said while something was fetched into it.
struct Fixture {
    folder: tempfile::TempDir,
    said: Said,
}

#[derive(Default)]
struct Said(Mutex<Vec<String>>, Mutex<Vec<u64>>);

impl Progress for Said {
    fn stage(&self, _text: &str) {}
    fn steps(&self, done: u64, total: Option<u64>) {
        assert_eq!(total, Some(100));
        self.1.lock().unwrap().push(done);
    }
    fn line(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let said = Said::default();
        Self { folder, said }
    }

    fn fetch(&self, url: &str) -> Result<Fetched, ImageError> {
        let from = url.parse().unwrap();
        fetch(self.folder.path(), &from, &none, &self.said)
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap().flatten();
        let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy()[17..].to_owned();
        let mut names: Vec<_> = entries.map(name).collect();
        names.sort();
        names
    }
}

/// A server that has the list and the file, and can resume.
fn honest(head: &str, _before: usize) -> Answer {
    let bytes = content();
    if head.contains(SUMS) {
        return Answer::of("200 OK", &sums(&bytes));
    }
    let whole = Answer::of("200 OK", &bytes).with("ETag: \"v1\"");
    let range = head.split("range: bytes=").nth(1);
    let start = range.and_then(|it| it.split('-').next()?.parse::<usize>().ok());
    match start {
        Some(start) if head.contains("if-range: \"v1\"") => {
            let last = bytes.len() - 1;
            Answer::of("206 Partial Content", &bytes[start..])
                .with(format!(
                    "Content-Range: bytes {start}-{last}/{}",
                    bytes.len()
                ))
                .with("ETag: \"v1\"")
        }
        _ => whole,
    }
}

#[test]
fn a_file_is_fetched_checked_and_kept() {
    let (server, fixture) = (Server::start(honest), Fixture::new());
    let fetched = fixture.fetch(&server.url()).unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), content());
    assert_eq!(fetched.checksum.as_str(), checksum_of(&content()));
    assert_eq!(fixture.said.1.lock().unwrap().last(), Some(&100));
    assert!(fixture.said.0.lock().unwrap().is_empty());
    assert_eq!(fixture.files(), [NAME, "linux-7.3.4.tar.xz.sha256"]);
    // The second time, nothing is asked.
    let asked = server.requests.lock().unwrap().len();
    assert_eq!(fixture.fetch(&server.url()).unwrap(), fetched);
    assert_eq!(server.requests.lock().unwrap().len(), asked);
}

#[test]
fn a_transfer_resumes_where_it_broke_off() {
    let server = Server::start(|head, before| {
        let mut answer = honest(head, before);
        answer.cut = (head.contains(NAME) && before == 0).then_some(150_000);
        answer
    });
    let fixture = Fixture::new();
    let fetched = fixture.fetch(&server.url()).unwrap();
    assert_eq!(fs::read(fetched.path).unwrap(), content());
    let asked = server.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(!asked[0].contains("range:"), "{asked:?}");
    assert!(asked[1].contains("range: bytes=150000-"), "{asked:?}");
    assert!(asked[1].contains("if-range: \"v1\""), "{asked:?}");
}

#[test]
fn the_next_run_resumes_too() {
    let cut = Arc::new(Mutex::new(true));
    let state = Arc::clone(&cut);
    let server = Server::start(move |head, before| {
        let mut answer = honest(head, before);
        let broken = *state.lock().unwrap();
        // Half of the file at first, and then not a byte more.
        let some = if before == 0 { 150_000 } else { 0 };
        answer.cut = (head.contains(NAME) && broken).then_some(some);
        answer
    });
    let fixture = Fixture::new();
    let error = fixture.fetch(&server.url()).unwrap_err().to_string();
    for said in [
        &server.url(),
        "broke off after 150000 bytes",
        "the next run continues",
    ] {
        assert!(error.contains(said), "{error}");
    }
    *cut.lock().unwrap() = false;
    let fetched = fixture.fetch(&server.url()).unwrap();
    assert_eq!(fs::read(fetched.path).unwrap(), content());
    let last = server.asked().pop().unwrap();
    assert!(last.contains("range: bytes=150000-"), "{last}");
}

#[rstest]
#[case::ignores_ranges("200 OK", "Server: x")]
#[case::has_another_version("200 OK", "ETag: \"v2\"")]
#[case::has_less("416 Range Not Satisfiable", "Server: x")]
#[case::sends_another_part("206 Partial Content", "Content-Range: bytes 5-9/400000")]
fn a_server_that_does_not_resume_starts_again(
    #[case] status: &'static str,
    #[case] header: &'static str,
) {
    let server = Server::start(move |head, before| {
        let bytes = content();
        if head.contains(SUMS) {
            return Answer::of("200 OK", &sums(&bytes));
        }
        let first = || Answer::of("200 OK", &bytes).with("ETag: \"v1\"");
        match (before, head.contains("range:")) {
            (0, _) => Answer {
                cut: Some(150_000),
                ..first()
            },
            (_, true) => Answer::of(status, &bytes).with(header),
            (_, false) => first(),
        }
    });
    let fixture = Fixture::new();
    let fetched = fixture.fetch(&server.url()).unwrap();
    assert_eq!(fs::read(fetched.path).unwrap(), content());
}

#[test]
fn a_part_of_unknown_version_is_not_resumed() {
    let server = Server::start(|head, before| {
        let mut answer = honest(head, before);
        if head.contains(NAME) {
            answer.headers.clear();
            answer.cut = (before == 0).then_some(150_000);
        }
        answer
    });
    let fixture = Fixture::new();
    fixture.fetch(&server.url()).unwrap();
    assert!(!server.asked()[1].contains("range:"));
}

#[rstest]
#[case::published("")]
#[case::given(&format!("#sha256={}", "1".repeat(64)))]
fn another_content_is_removed(#[case] fragment: &str) {
    let published = fragment.is_empty();
    let server = Server::start(move |head, before| match head.contains(SUMS) && published {
        true => Answer::of("200 OK", &sums(b"other")),
        false => honest(head, before),
    });
    let fixture = Fixture::new();
    let error = fixture.fetch(&(server.url() + fragment)).unwrap_err();
    let ImageError::Download(DownloadError::WrongChecksum { actual, .. }) = &error else {
        panic!("{error}");
    };
    assert_eq!(actual.as_str(), checksum_of(&content()));
    assert!(error.to_string().contains(&server.url()), "{error}");
    assert!(fixture.files().is_empty(), "{:?}", fixture.files());
}

#[rstest]
#[case::no_list("404 Not Found", b"")]
#[case::not_in_the_list("200 OK", b"1234  other.tar.xz\n")]
fn what_was_not_checked_is_said(#[case] status: &'static str, #[case] list: &'static [u8]) {
    let server = Server::start(move |head, before| match head.contains(SUMS) {
        true => Answer::of(status, list),
        false => honest(head, before),
    });
    let fixture = Fixture::new();
    fixture.fetch(&server.url()).unwrap();
    let said = fixture.said.0.lock().unwrap().concat();
    assert!(said.contains("was not checked"), "{said}");
    assert!(said.contains(&checksum_of(&content())), "{said}");
}

#[test]
fn a_given_checksum_needs_no_list() {
    let (server, fixture) = (Server::start(honest), Fixture::new());
    let url = format!("{}#sha256={}", server.url(), checksum_of(&content()));
    fixture.fetch(&url).unwrap();
    assert_eq!(server.requests.lock().unwrap().len(), 1);
}

#[rstest]
#[case("404 Not Found", "does not exist on the server")]
#[case("503 Service Unavailable", "with status 503")]
fn a_refusal_is_named(#[case] status: &'static str, #[case] says: &str) {
    let server = Server::start(move |_, _| Answer::of(status, b"sorry"));
    let fixture = Fixture::new();
    let error = fixture.fetch(&server.url()).unwrap_err().to_string();
    assert!(
        error.contains(says) && error.contains(&server.url()),
        "{error}"
    );
    assert!(fixture.files().is_empty());
}

#[test]
fn without_a_network_the_ways_out_are_named() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}/{NAME}");
    let error = Fixture::new().fetch(&url).unwrap_err().to_string();
    for said in ["https_proxy", "no_proxy", "--source", "--linux", "--kernel"] {
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_proxy_is_used_except_for_the_hosts_without() {
    let server = Server::start(honest);
    let address = format!("http://127.0.0.1:{}", server.port);
    let folder = tempfile::tempdir().unwrap();
    let fetch_from = |host: &str, except: &str| {
        let variables = |name: &str| match name {
            "http_proxy" => Some(address.clone()),
            "no_proxy" => Some(except.to_owned()),
            _ => None,
        };
        let from = format!("http://{host}/v7.x/{NAME}").parse().unwrap();
        fetch(folder.path(), &from, &variables, &Silent)
    };
    // Only the proxy knows this host.
    fetch_from("kernel.invalid", "example.org").unwrap();
    let first = server.requests.lock().unwrap()[0].clone();
    assert!(first.starts_with("CONNECT kernel.invalid:80"), "{first}");
    let asked = server.requests.lock().unwrap().len();
    assert!(fetch_from("cdn.kernel.invalid", "example.org, kernel.invalid").is_err());
    assert_eq!(server.requests.lock().unwrap().len(), asked);
}

#[rstest]
#[case("https://x/y", &[("http_proxy", "http://a:1")], None)]
#[case("https://x/y", &[("https_proxy", "http://a:1")], Some("a"))]
#[case("https://x/y", &[("HTTPS_PROXY", "a:1")], Some("a"))]
#[case("http://x/y", &[("http_proxy", ""), ("all_proxy", "http://b:2")], Some("b"))]
#[case("http://x/y", &[], None)]
fn each_scheme_has_its_proxy(
    #[case] url: &str,
    #[case] variables: &[(&str, &str)],
    #[case] want: Option<&str>,
) {
    let variable = |name: &str| {
        let (_, value) = variables.iter().find(|(it, _)| *it == name)?;
        Some((*value).to_owned())
    };
    let proxy = proxy(&url.parse().unwrap(), &variable).unwrap();
    assert_eq!(proxy.as_ref().map(Proxy::host), want);
}

#[test]
fn a_bad_proxy_is_named_without_its_value() {
    let variables = |_: &str| Some("nosuch://u:secret@h".to_owned());
    let error = proxy(&"https://x/y".parse().unwrap(), &variables).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("https_proxy") && !error.contains("secret"),
        "{error}"
    );
}

#[rstest]
#[case("ftp://x/y", "http://")]
#[case("http://", "http://")]
#[case("http://x/", "names no file")]
#[case("http://x/y/", "names no file")]
#[case("http://x/y#z", "`#z` is not a checksum")]
#[case("http://x/y#sha256=12", "64 hexadecimal digits")]
fn an_address_has_its_form(#[case] text: &str, #[case] says: &str) {
    let error = text.parse::<Address>().unwrap_err().to_string();
    assert!(error.contains(says), "{error}");
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*", digits in "[0-9a-fA-F]{0,70}") {
        let _ = text.parse::<Address>();
        let _ = format!("http://x/{text}#sha256={digits}").parse::<Address>();
        let _ = listed(&format!("{digits}  {text}\n{text}"), &text);
    }
}
