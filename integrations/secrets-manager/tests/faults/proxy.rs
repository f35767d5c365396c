//! What a proxy gets to see that the environment names: connections that are encrypted to their end, and no others. The
//! environment is a process's own, so each client runs in one of its own.

use std::{
    env,
    io::{Read, Write},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::mpsc::{Sender, channel},
    thread,
};

use reqwest::{Method, header::HeaderMap};
use secrets_manager::transport::{Http, TransportConfig};

/// The variable that tells [`asks`] whom to ask.
const URL: &str = "SECRETS_MANAGER_TEST_URL";

/// A process that asks `url` once, with `proxy` in these variables.
fn asking(url: &str, proxy: &str, variables: &[&str]) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "proxy::asks", "--ignored"]).env(URL, url).stdout(Stdio::null());
    for name in ["NO_PROXY", "no_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    for name in variables {
        command.env(name, proxy);
    }
    command.spawn().unwrap()
}

/// Hears one request, tells its first line to `heard` with the name of who heard it, and answers with `answer`.
fn listen(name: &'static str, answer: &'static str, heard: Sender<(&'static str, String)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).unwrap();
        let first = String::from_utf8_lossy(&bytes[..count]).lines().next().unwrap_or_default().to_owned();
        heard.send((name, first)).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
    });
    url
}

const NOTHING: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const NO: &str = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";

#[test]
fn what_goes_in_plain_goes_past_the_proxy() {
    for variables in [&["HTTP_PROXY", "http_proxy"][..], &["HTTP_PROXY", "ALL_PROXY", "HTTPS_PROXY"]] {
        let (heard, hears) = channel();
        let (store, proxy) = (listen("store", NOTHING, heard.clone()), listen("proxy", NO, heard));
        let mut child = asking(&store, &proxy, variables);
        assert_eq!(hears.recv().unwrap(), ("store", "GET / HTTP/1.1".to_owned()));
        child.wait().unwrap();
        assert!(hears.try_recv().is_err(), "the proxy was asked too");
    }
}

#[test]
fn what_is_encrypted_goes_through_the_proxy() {
    for variable in ["HTTPS_PROXY", "ALL_PROXY"] {
        let (heard, hears) = channel();
        let proxy = listen("proxy", NO, heard);
        let mut child = asking("https://store.example/", &proxy, &[variable]);
        assert_eq!(hears.recv().unwrap(), ("proxy", "CONNECT store.example:443 HTTP/1.1".to_owned()));
        child.wait().unwrap();
    }
}

#[tokio::test]
#[ignore = "the tests above run it, each in a process of its own"]
async fn asks() {
    let Ok(url) = env::var(URL) else { return };
    let http = Http::new(&TransportConfig::default()).unwrap();
    // What comes of it is for whoever is asked to see.
    let _ = http.send(Method::GET, url.parse().unwrap(), HeaderMap::new(), None).await;
}
