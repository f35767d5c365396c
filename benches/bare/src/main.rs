//! The ceiling: warp 0.4.3 and nothing behind it. Answers `GET /v1/secrets/…` with bytes it was given, under
//! the headers it was given, so that what it puts on the wire has the size of a read's answer.
//! Knows nothing of secrets, tokens or disks.
//!
//! Usage: `bare PORT HEAD BODY`. `HEAD` is a file with a `name: value` on each line, `BODY` one with the
//! body; `load.py` fills both from an answer of the vault. Runs until it is stopped.

use std::{env, error::Error, fs, net::Ipv4Addr};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use warp::{Filter, path::FullPath};

fn main() -> Result<(), Box<dyn Error>> {
    let [port, head, body] = arguments()?;
    let port: u16 = port.parse()?;
    let headers = read_head(&fs::read_to_string(head)?)?;
    let body = Bytes::from(fs::read(body)?);
    // As many workers as the vault has: one for each core.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(port, headers, body));
    Ok(())
}

async fn serve(port: u16, headers: HeaderMap, body: Bytes) {
    let answer = warp::get().and(warp::path::full()).map(move |_: FullPath| {
        let mut response = Response::new(body.clone());
        *response.headers_mut() = headers.clone();
        response
    });
    warp::serve(answer).run((Ipv4Addr::LOCALHOST, port)).await;
}

fn arguments() -> Result<[String; 3], &'static str> {
    let given: Vec<String> = env::args().skip(1).collect();
    given.try_into().map_err(|_| "usage: bare PORT HEAD BODY")
}

fn read_head(text: &str) -> Result<HeaderMap, Box<dyn Error>> {
    let mut headers = HeaderMap::new();
    for line in text.lines() {
        let (name, value) = line.split_once(": ").ok_or("a line of HEAD is not `name: value`")?;
        headers.insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    Ok(headers)
}
