//! Raw connections, for bytes that no honest client would send and for answers byte by byte.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// A plain connection to the node at `base` (`http://host:port`).
pub fn connect(base: &str) -> TcpStream {
    let address = base.trim_start_matches("http://");
    let stream = TcpStream::connect(address).expect("the node listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
    stream
}

/// Sends these bytes on a connection of their own and reads until the node closes it.
/// The request should carry `Connection: close`.
pub fn exchange(base: &str, request: &[u8]) -> Vec<u8> {
    let mut stream = connect(base);
    // The node may refuse and close before it has read everything; what it said still counts.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// A request in full, to be sent with [`exchange`].
pub fn request(method: &str, path: &str, token: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: vault\r\nConnection: close\r\n");
    text.push_str(&format!("Authorization: Bearer {token}\r\nContent-Length: {}\r\n", body.len()));
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

/// The status of a raw answer; 0 when the connection closed without one.
pub fn status(answer: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(answer);
    text.strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .unwrap_or(0)
}

/// A raw answer without the two headers that differ by nature: the request's id and the date.
pub fn comparable(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let kept = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        name != "x-request-id" && name != "date"
    };
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let head: Vec<_> = head.split("\r\n").filter(kept).collect();
    format!("{}\r\n\r\n{body}", head.join("\r\n"))
}
