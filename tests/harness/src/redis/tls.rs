// SPDX-License-Identifier: GPL-3.0-or-later
//! A certificate authority of a test's own, and what it has signed: one certificate for the servers on 127.0.0.1, one
//! for the clients.

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::path::PathBuf;
use tempfile::TempDir;

/// PEM files in a directory that ends with this value.
pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    /// Makes an authority, a server's certificate and a client's.
    ///
    /// # Errors
    /// Where the files cannot be written.
    pub fn make() -> Result<Self> {
        let certificates = Self { directory: tempfile::tempdir()? };
        let key = KeyPair::generate()?;
        let mut authority = named("authority", &[])?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        std::fs::write(certificates.ca(), authority.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(authority, key);
        for (name, places) in [("server", ["127.0.0.1"].as_slice()), ("client", &[])] {
            let key = KeyPair::generate()?;
            let certificate = named(name, places)?.signed_by(&key, &issuer)?;
            std::fs::write(certificates.file(name, "pem"), certificate.pem())?;
            std::fs::write(certificates.file(name, "key"), key.serialize_pem())?;
        }
        Ok(certificates)
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.file("ca", "pem")
    }

    /// The server's certificate, for 127.0.0.1, and its key.
    pub fn server(&self) -> (PathBuf, PathBuf) {
        (self.file("server", "pem"), self.file("server", "key"))
    }

    /// A client's certificate and its key.
    pub fn client(&self) -> (PathBuf, PathBuf) {
        (self.file("client", "pem"), self.file("client", "key"))
    }

    /// What has a redis-server use TLS on `port`, and nothing else.
    pub(super) fn server_arguments(&self, port: u16, client_certificates: bool) -> Vec<String> {
        let (ca, (pem, key)) = (self.ca(), self.server());
        let text = |path: PathBuf| path.display().to_string();
        let demand = if client_certificates { "yes" } else { "no" };
        [
            ("--port", "0".to_owned()),
            ("--tls-port", port.to_string()),
            ("--tls-ca-cert-file", text(ca)),
            ("--tls-cert-file", text(pem)),
            ("--tls-key-file", text(key)),
            ("--tls-auth-clients", demand.to_owned()),
            // Among themselves, too.
            ("--tls-replication", "yes".to_owned()),
            ("--tls-cluster", "yes".to_owned()),
        ]
        .into_iter()
        .flat_map(|(option, value)| [option.to_owned(), value])
        .collect()
    }

    fn file(&self, name: &str, extension: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.{extension}"))
    }
}

fn named(name: &str, places: &[&str]) -> Result<CertificateParams> {
    let places: Vec<String> = places.iter().map(|&place| place.to_owned()).collect();
    let mut params = CertificateParams::new(places)?;
    params.distinguished_name.push(DnType::CommonName, format!("thundergate's test {name}"));
    Ok(params)
}
