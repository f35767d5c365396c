//! TLS with a certificate and key; plain HTTP beyond the machine only when a setting asks for it.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::support::{Client, Place, Process, client::configured, eventually, wire};

/// A node with a self-signed certificate for `localhost`, and the certificate.
fn secured(place: &Place) -> (Process, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let cert_file = place.write_private("cert.pem", &cert.pem());
    let key_file = place.write_private("key.pem", &signing_key.serialize_pem());
    let node = place.launch(&format!("[tls]\ncert = {cert_file:?}\nkey = {key_file:?}\n"), &[]);
    (node, cert.pem())
}

fn trusting(place: &Place, pem: &str) -> Client {
    let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&[certificate]))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build();
    let agent = configured().tls_config(tls).build().into();
    Client::with_agent(agent, &format!("https://localhost:{}", place.port()), Some(place.admin().token()))
}

#[test]
fn a_node_with_a_certificate_serves_over_tls_only() {
    let place = Place::initialised();
    let (mut node, pem) = secured(&place);
    let client = trusting(&place, &pem);
    eventually("the node to answer over TLS", || {
        assert!(node.ended().is_none(), "{}", node.output());
        client.try_send("GET", "/health", &[], None).ok()
    });
    client.create("over/tls", "value");
    assert_eq!(client.value("over/tls"), "value");
    let plain = wire::exchange(&place.url(), b"GET /health HTTP/1.1\r\nHost: v\r\nConnection: close\r\n\r\n");
    assert_ne!(wire::status(&plain), 200, "plain HTTP is not answered on a TLS port");
    client.get("/health").expect(200);
    assert!(node.ended().is_none());
}

#[test]
fn a_client_that_does_not_trust_the_certificate_gets_nothing() {
    let place = Place::initialised();
    let (mut node, pem) = secured(&place);
    let client = trusting(&place, &pem);
    eventually("the node to answer over TLS", || client.try_send("GET", "/health", &[], None).ok());
    let other = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    assert!(trusting(&place, &other.cert.pem()).try_send("GET", "/health", &[], None).is_err());
    assert!(node.ended().is_none());
}

#[test]
fn a_certificate_with_the_key_of_another_is_refused_at_start() {
    let place = Place::initialised();
    let one = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let cert = place.write_private("cert.pem", &one.cert.pem());
    let key = place.write_private("key.pem", &other.signing_key.serialize_pem());
    let said = place.refused(&format!("[tls]\ncert = {cert:?}\nkey = {key:?}\n"), &[]);
    assert!(!said.contains("panicked") && !said.contains("PRIVATE KEY"), "{said}");
    let broken = place.write_private("broken.pem", "not a certificate");
    let said = place.refused(&format!("[tls]\ncert = {broken:?}\nkey = {key:?}\n"), &[]);
    assert!(said.contains("certificate") && !said.contains("panicked"), "{said}");
}

#[test]
fn plain_http_beyond_the_machine_needs_to_be_asked_for() {
    let place = Place::initialised();
    let config =
        |more: &str| format!("data = {:?}\nlisten = \"0.0.0.0:{}\"\n{more}", place.data(), place.port());
    let mut refused = place.launch_with(&config(""), &[], &[]);
    assert_eq!(refused.wait().code(), Some(1), "{}", refused.output());
    assert!(refused.output().contains("plain_http"), "{}", refused.output());
    let mut asked = place.launch_with(&config("plain_http = \"anywhere\"\n"), &[], &[]);
    place.until_ready(&mut asked);
    place.admin().get("/v1/self").expect(200);
}
