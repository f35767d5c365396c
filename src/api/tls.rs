//! TLS for the API: a certificate and its key from PEM, HTTP/2 and HTTP/1.1 on one port.
//! Knows nothing of files; the node reads them.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// Why certificate and key cannot be used. Carries no part of the key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate's text is not PEM.
    #[error("the certificate file holds no certificate in PEM")]
    Certificate,
    /// The key's text is not PEM.
    #[error("the key file holds no private key in PEM")]
    Key,
    /// They do not fit each other, or the kind of key is not supported.
    #[error("certificate and key cannot be used together: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The configuration for a chain of certificates, the server's own first, and its key. `provider` is an
/// argument, since a simulation needs one whose chance it can set.
pub fn config(
    certificates_pem: &[u8],
    key_pem: &[u8],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(certificates_pem)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::Certificate)?;
    if certificates.is_empty() {
        return Err(TlsError::Certificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| TlsError::Key)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn made() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn check(certificate: &str, key: &str) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        config(certificate.as_bytes(), key.as_bytes(), provider)
    }

    #[test]
    fn a_certificate_with_its_key_is_taken() {
        let (certificate, key) = made();
        assert_eq!(check(&certificate, &key).unwrap().alpn_protocols[0], b"h2");
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let (certificate, key) = made();
        let (_, other) = made();
        assert!(matches!(check("", &key), Err(TlsError::Certificate)));
        assert!(matches!(check(&certificate, ""), Err(TlsError::Key)));
        assert!(matches!(check(&certificate, &other), Err(TlsError::Unusable(_))));
    }
}
