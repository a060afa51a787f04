// SPDX-License-Identifier: GPL-3.0-or-later
//! Keys, certificates and encoded messages.

/// Of these it matters only that nothing about them is ambiguous: whether a text with a key in it is a sample is not
/// said here.
pub const MESSAGES: &[&str] = &[
    r#"
From: a@a.example
To: b@b.example
Subject: our certificate

Please install:

-----BEGIN CERTIFICATE-----
{document}
-----END CERTIFICATE-----

Thanks
"#,
    r#"
From: a@a.example
To: b@b.example
Subject: key

-----BEGIN PGP PUBLIC KEY BLOCK-----
Version: GnuPG v2
Comment: https://a.example/

{document72}
=AbCd
-----END PGP PUBLIC KEY BLOCK-----
"#,
    r#"
From: a@a.example
To: b@b.example
Subject: secret

-----BEGIN PGP MESSAGE-----

{document72}
=AbCd
-----END PGP MESSAGE-----
"#,
    r#"
From: a@a.example
To: b@b.example
Subject: signed

-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

Hello
-----BEGIN PGP SIGNATURE-----

{picture}
{picture}
=AbCd
-----END PGP SIGNATURE-----
"#,
    r#"
From: a@a.example
To: b@b.example
Subject: two keys
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b_1"

--b_1
Content-Type: text/plain

Attached.
--b_1
Content-Type: application/pgp-keys; name="key.asc"
Content-Disposition: attachment; filename="key.asc"

-----BEGIN PGP PUBLIC KEY BLOCK-----

{document72}
-----END PGP PUBLIC KEY BLOCK-----
--b_1
Content-Type: application/x-x509-ca-cert; name="ca.pem"
Content-Disposition: attachment; filename="ca.pem"

-----BEGIN CERTIFICATE-----
{document}
-----END CERTIFICATE-----
--b_1--
"#,
    r#"
From: a@a.example
To: b@b.example
Subject: a message that Exchange encodes
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b_1"

--b_1
Content-Type: text/plain

Attached.
--b_1
Content-Type: message/rfc822; name="mail.eml"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="mail.eml"

U3ViamVjdDogaGkNCk1JTUUtVmVyc2lvbjogMS4wDQpDb250ZW50LVR5cGU6IHRleHQvaHRtbA0K
DQo8cD5oaQ0K
--b_1--
"#,
];
