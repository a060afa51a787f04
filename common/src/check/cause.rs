// SPDX-License-Identifier: GPL-3.0-or-later
//! Why a server cannot be used, read from what the libraries say, and what to do. Their errors differ in type and agree in
//! words: those of the operating system, of the resolver and of rustls.

use crate::api::check::Level;
use std::error::Error;

/// Why a connection did not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its name has no address.
    Name,
    /// Nobody listens there.
    Refused,
    /// There is no way to it.
    NoWay,
    /// No answer in time.
    Late,
    /// Its socket in the file system is not there.
    NoSocket,
    /// This user may not connect to its socket.
    Forbidden,
    /// Nobody who is trusted has signed its certificate.
    Authority,
    /// Its certificate is for another name.
    OtherName,
    /// Its certificate is not valid now.
    Expired,
    /// Something else is wrong with its certificate.
    Certificate,
    /// It wants to see a certificate.
    ClientCertificate,
    /// It does not speak TLS.
    NotTls,
    /// Anything else.
    Other,
}

/// A server as the configuration names it.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// What it is, `Redis`.
    pub what: &'a str,
    /// The key that says where it is.
    pub url_key: &'a str,
    /// The section that has `ca_file`, `cert_file` and `key_file`.
    pub section: &'a str,
    /// How a URL without TLS begins there.
    pub plain: &'a str,
}

/// The servers that `[redis]` names.
pub const REDIS: Server<'_> =
    Server { what: "Redis", url_key: "redis.url", section: "redis", plain: "redis:// instead of rediss://" };

/// What is in errors of each cause; the first that fits holds.
const WORDS: [(&str, Cause); 23] = [
    ("failed to lookup address", Cause::Name),
    ("dns error", Cause::Name),
    ("UnknownIssuer", Cause::Authority),
    // An authority of the same name, with another key.
    ("BadSignature", Cause::Authority),
    ("CaUsedAsEndEntity", Cause::Authority),
    ("NotValidForName", Cause::OtherName),
    ("not valid for name", Cause::OtherName),
    ("xpired", Cause::Expired),
    ("not valid yet", Cause::Expired),
    ("NotValidYet", Cause::Expired),
    ("invalid peer certificate", Cause::Certificate),
    ("CertificateRequired", Cause::ClientCertificate),
    ("BadCertificate", Cause::ClientCertificate),
    ("InvalidContentType", Cause::NotTls),
    ("Connection refused", Cause::Refused),
    ("No route to host", Cause::NoWay),
    ("etwork is unreachable", Cause::NoWay),
    ("Host is unreachable", Cause::NoWay),
    ("No such file or directory", Cause::NoSocket),
    ("Permission denied", Cause::Forbidden),
    ("timed out", Cause::Late),
    ("deadline has elapsed", Cause::Late),
    ("no answer in time", Cause::Late),
];

/// An error and what caused it, in one line. What says the same as its cause is said once.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

/// What lies at the bottom of an error.
pub fn root_of<'a>(mut error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error
}

impl Cause {
    /// The cause in an error's words, its causes among them.
    pub fn of(words: &str) -> Self {
        WORDS.iter().find(|(word, _)| words.contains(word)).map_or(Self::Other, |(_, cause)| *cause)
    }

    /// Whether that is the configuration's fault, or may pass.
    pub fn level(self) -> Level {
        match self {
            Self::Authority
            | Self::OtherName
            | Self::Expired
            | Self::Certificate
            | Self::ClientCertificate
            | Self::NotTls
            | Self::Forbidden => Level::Wrong,
            Self::Name | Self::Refused | Self::NoWay | Self::Late | Self::NoSocket | Self::Other => {
                Level::Unavailable
            }
        }
    }

    /// What to do.
    pub fn cure(self, server: Server<'_>) -> String {
        let Server { what, url_key, section, plain } = server;
        match self {
            Self::Name => {
                format!("correct the name in {url_key}, or have DNS or /etc/hosts know it on this host")
            }
            Self::Refused => format!("start {what} there, or correct host and port in {url_key}"),
            Self::NoWay => format!("correct the address in {url_key}, or look at routes and firewall"),
            Self::Late => {
                format!("look whether host and port in {url_key} are right, and at the firewall on the way")
            }
            Self::NoSocket => format!("start {what}, or correct the path in {url_key}"),
            Self::Forbidden => {
                format!(
                    "make this user a member of the group that owns the socket in {url_key}, or look at the \
                     firewall"
                )
            }
            Self::Authority => {
                format!("name the certificate of the authority that signed the server's in {section}.ca_file")
            }
            Self::OtherName => {
                format!(
                    "use a name in {url_key} that stands in the server's certificate, or give it one for \
                     this name"
                )
            }
            Self::Expired => {
                "give the server a certificate that is valid now, or set the clock of this host".to_owned()
            }
            Self::Certificate => format!("look at the server's certificate, and at {section}.ca_file"),
            Self::ClientCertificate => {
                format!(
                    "show the server a certificate that it trusts: {section}.cert_file and {section}.key_file"
                )
            }
            Self::NotTls => {
                format!(
                    "the server speaks no TLS at this port: name its TLS port in {url_key}, or begin the \
                     URL with {plain}"
                )
            }
            Self::Other => format!("look at the log of {what}, and whether {url_key} names the right port"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{AlertDescription, CertificateError, InvalidMessage};
    use std::io;

    #[test]
    fn the_words_of_system_and_tls_are_known() {
        use rustls::Error as Tls;
        let refused = io::Error::from_raw_os_error(111);
        let of = |error: &dyn Error| Cause::of(&with_causes(error));
        assert_eq!(of(&refused), Cause::Refused);
        assert_eq!(of(&io::Error::from_raw_os_error(113)), Cause::NoWay);
        assert_eq!(of(&io::Error::from_raw_os_error(110)), Cause::Late);
        for (error, cause) in [
            (Tls::InvalidCertificate(CertificateError::UnknownIssuer), Cause::Authority),
            (Tls::InvalidCertificate(CertificateError::NotValidForName), Cause::OtherName),
            (Tls::InvalidCertificate(CertificateError::Expired), Cause::Expired),
            (Tls::InvalidCertificate(CertificateError::Revoked), Cause::Certificate),
            (Tls::AlertReceived(AlertDescription::CertificateRequired), Cause::ClientCertificate),
            (Tls::InvalidMessage(InvalidMessage::InvalidContentType), Cause::NotTls),
        ] {
            assert_eq!(of(&error), cause, "{error}");
        }
        let name = std::net::ToSocketAddrs::to_socket_addrs("no such name:1").unwrap_err();
        assert_eq!(of(&name), Cause::Name, "{name}");
    }
}
