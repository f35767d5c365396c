//! Mutual TLS 1.3 with raw Ed25519 keys (RFC 7250), no certificate authority. The dialling side pins the one
//! key it expects; the accepting side lets any key prove itself and leaves the judgement to those who ask
//! [`Trust`](crate::Trust) after it, every time: nothing is remembered between two connections. A ticket would
//! let a removed node back in without a look at its key, so there are none, no resumption and no early data.
//! Knows nothing of who is enrolled.

use std::{fmt, sync::Arc};

use covault_model::{
    id::NodeId,
    key::{NodeKey, node_of_spki, spki_of},
};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    ServerConfig, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key},
    pki_types::{
        CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
    },
    server::{
        AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
    version::TLS13,
};

/// The protocol that both ends must name in the handshake.
pub const ALPN: &[u8] = b"covault/1";
/// Sent as the server's name, since TLS wants one. Nobody looks at it: the key says who a node is.
pub const SERVER_NAME: &str = "node.invalid";

/// The provider of cryptography that a node uses; a simulator brings another.
pub fn default_provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// How `key` proves itself to those who dial this node.
pub fn server_config(key: &NodeKey, provider: &Arc<CryptoProvider>) -> Result<ServerConfig, Error> {
    let shown = AlwaysResolvesServerRawPublicKeys::new(certified(key, provider)?);
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(AnyKey(Proof::by(provider))))
        .with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(config)
}

/// How `key` proves itself to the node `expected`, and to no other.
pub fn client_config(
    key: &NodeKey,
    expected: NodeId,
    provider: &Arc<CryptoProvider>,
) -> Result<ClientConfig, Error> {
    ClientKey::new(key, provider)?.expecting(expected)
}

/// What a node shows to those it dials; made once, used for every dial.
pub(crate) struct ClientKey {
    shown: Arc<AlwaysResolvesClientRawPublicKeys>,
    provider: Arc<CryptoProvider>,
}

impl ClientKey {
    pub(crate) fn new(key: &NodeKey, provider: &Arc<CryptoProvider>) -> Result<Self, Error> {
        let shown = Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified(key, provider)?));
        Ok(Self { shown, provider: provider.clone() })
    }

    pub(crate) fn expecting(&self, expected: NodeId) -> Result<ClientConfig, Error> {
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(OneKey { expected, proof: Proof::by(&self.provider) }))
            .with_client_cert_resolver(self.shown.clone());
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        Ok(config)
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey")
    }
}

/// The key that the other side of a connection has proved to hold.
pub(crate) fn peer_of(connection: &quinn::Connection) -> Option<NodeId> {
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    node_of_spki(identity.first()?)
}

/// The copy that TLS wants of the key is freed, not wiped, by its library; the program's allocator wipes.
fn certified(key: &NodeKey, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Error> {
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_pkcs8().to_vec()));
    let signer = provider.key_provider.load_private_key(private)?;
    let public = CertificateDer::from(spki_of(&key.node_id()).to_vec());
    Ok(Arc::new(CertifiedKey::new(vec![public], signer)))
}

/// That the other side holds the key it shows. The same in both directions.
#[derive(Debug)]
struct Proof(WebPkiSupportedAlgorithms);

impl Proof {
    fn by(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }

    fn verify(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(shown.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.0)
    }
}

fn node_shown(shown: &CertificateDer<'_>) -> Result<NodeId, Error> {
    node_of_spki(shown).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
}

fn tls12_refused() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::PeerIncompatible(PeerIncompatible::Tls13RequiredForQuic))
}

/// Of those who dial this node: any Ed25519 key will do, but there must be one.
#[derive(Debug)]
struct AnyKey(Proof);

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        node_shown(shown).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls12_refused()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify(message, shown, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Of the node that this one dials: the one key that is expected.
#[derive(Debug)]
struct OneKey {
    expected: NodeId,
    proof: Proof,
}

impl ServerCertVerifier for OneKey {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if node_shown(shown)? != self.expected {
            return Err(Error::InvalidCertificate(CertificateError::NotValidForName));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls12_refused()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.proof.verify(message, shown, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
