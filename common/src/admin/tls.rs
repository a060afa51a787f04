// SPDX-License-Identifier: GPL-3.0-or-later
//! TLS at `admin.listen`: certificate and key out of their files, the settings of a server that has them, and those of a
//! client on the same machine that knows it by that certificate and no other.

use crate::config::{
    Fault,
    secret::{contents, unusable},
};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use secrecy::ExposeSecret;
use std::{path::Path, sync::Arc};
use tokio_rustls::TlsAcceptor;

const CERTIFICATE: &str = "admin.cert_file";
const KEY: &str = "admin.key_file";

const VERSIONS: &str = "the provider has what TLS 1.2 and 1.3 need";

/// Who a server is, and how it shows it.
pub struct Identity {
    /// The server's, the first of its chain.
    certificate: CertificateDer<'static>,
    pub(super) acceptor: TlsAcceptor,
}

/// Believes one certificate, whatever names and dates it has.
#[derive(Debug)]
struct Expected {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Identity {
    /// For a client that meets this server and no other.
    pub(crate) fn expected(&self) -> Arc<ClientConfig> {
        let algorithms = provider().signature_verification_algorithms;
        let verifier = Expected { certificate: self.certificate.clone(), algorithms };
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect(VERSIONS)
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Arc::new(config)
    }
}

impl ServerCertVerifier for Expected {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *shown == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Reads certificate and key.
pub(super) fn identity(certificate: &Path, key: &Path) -> Result<Identity, Fault> {
    let chain = chain(certificate)?;
    let first = chain.first().cloned();
    let first = first.ok_or_else(|| unusable(CERTIFICATE, certificate, "holds no certificate as PEM"))?;
    let bytes = contents(KEY, key)?;
    let secret = PrivateKeyDer::from_pem_slice(bytes.expose_secret());
    let secret = secret.map_err(|_| unusable(KEY, key, "holds no key as PEM"))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect(VERSIONS)
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| unusable(KEY, key, &format!("does not go with {CERTIFICATE}: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Identity { certificate: first, acceptor: TlsAcceptor::from(Arc::new(config)) })
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let bytes = contents(CERTIFICATE, path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes.expose_secret()).collect();
    chain.map_err(|_| unusable(CERTIFICATE, path, "holds no certificate as PEM"))
}
