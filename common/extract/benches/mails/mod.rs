// SPDX-License-Identifier: GPL-3.0-or-later
//! Mails that the benches share: the same bytes in every run.

#![allow(dead_code, reason = "no bench uses all of them")]

use encodify::base64;

/// A text and one attachment of `size` bytes; the attachment's encoded bytes.
pub fn with_attachment(size: usize) -> (String, String) {
    let encoded = base64::MIME.encode(noise(size));
    let text = "A line of text as people write it, neither short nor long.\r\n".repeat(10);
    let message = format!(
        "Received: from a.example by b.example\r\nFrom: <a@a.example>\r\nTo: <b@b.example>\r\nSubject: Invoice\r\n\
         Message-ID: <1@a.example>\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n\
         --=_b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n\
         --=_b\r\nContent-Type: application/pdf; name=\"invoice.pdf\"\r\n\
         Content-Disposition: attachment; filename=\"invoice.pdf\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n--=_b--\r\n"
    );
    (message, encoded)
}

/// `size` bytes without a pattern.
pub fn noise(size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..size).map(|_| random.u8(..)).collect()
}

/// A page of about `size` bytes in quoted-printable, as programs that write German or French send it.
pub fn quoted_printable(size: usize) -> String {
    let line = "<p>Sehr geehrte Damen und Herren, anbei die gew=C3=BCnschten Unterlagen f=C3=BCr=\r\n \
                Ihre Akten=2E <a href=3D\"https://a.example/?n=3D1\">Ansehen</a></p>\r\n";
    format!(
        "From: <a@a.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\n{}",
        line.repeat(size / line.len() + 1)
    )
}
