//! An HTTP/1.1 caller with one connection that stays open, blocking and with nothing to spare: what is measured is
//! the server, and the same caller asks the floor.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A request as it goes over the wire.
pub(super) struct Request(Vec<u8>);

impl Request {
    /// A POST of JSON.
    pub(super) fn post(path: &str, body: &[u8]) -> Request {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Request([head.as_bytes(), body].concat())
    }

    /// A GET.
    pub(super) fn get(path: &str) -> Request {
        Request(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").into_bytes())
    }
}

/// One open connection.
pub(super) struct Caller {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Caller {
    /// Connects to `127.0.0.1:port`.
    pub(super) fn connect(port: u16) -> Result<Caller> {
        let stream = TcpStream::connect(("127.0.0.1", port)).context("connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Caller { stream, received: vec![0; 1 << 20] })
    }

    /// The body of the answer; an error unless the status is 200.
    pub(super) fn call(&mut self, request: &Request) -> Result<&[u8]> {
        self.stream.write_all(&request.0).context("send")?;
        let mut filled = 0;
        let (body, end) = loop {
            filled += self.receive(filled)?;
            let head = self.received.get(..filled).unwrap_or_default();
            if let Some(body) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                break (body + 4, body + 4 + content_length(head.get(..body).unwrap_or_default())?);
            }
        };
        while filled < end {
            filled += self.receive(filled)?;
        }
        self.received.get(body..end).context("an answer too short")
    }

    fn receive(&mut self, filled: usize) -> Result<usize> {
        if filled == self.received.len() {
            self.received.resize(2 * filled, 0);
        }
        let received =
            self.stream.read(self.received.get_mut(filled..).unwrap_or_default()).context("receive")?;
        ensure!(received > 0, "the connection was closed in the middle of an answer");
        Ok(received)
    }
}

fn content_length(head: &[u8]) -> Result<usize> {
    let head = std::str::from_utf8(head).context("the head is not text")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    length.context("no Content-Length")
}
