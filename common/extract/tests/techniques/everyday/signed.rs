// SPDX-License-Identifier: GPL-3.0-or-later
//! Signed messages, keys and certificates.

use super::{
    Everyday,
    Holds::{Document, Picture, Text},
};

pub const MESSAGES: &[Everyday] = &[
    (
        "S/MIME, clear-signed",
        r#"
From: a@a.example
To: b@b.example
Subject: signed
MIME-Version: 1.0
Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256;
	boundary="----=_NextPart_000_0001_01DB2D00.12345678"

This is an S/MIME signed message

------=_NextPart_000_0001_01DB2D00.12345678
Content-Type: multipart/mixed; boundary="----=_NextPart_001_0002_01DB2D00.12345678"

------=_NextPart_001_0002_01DB2D00.12345678
Content-Type: text/plain; charset="us-ascii"
Content-Transfer-Encoding: 7bit

Signed text.

------=_NextPart_001_0002_01DB2D00.12345678
Content-Type: application/pdf; name="x.pdf"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="x.pdf"

{document}

------=_NextPart_001_0002_01DB2D00.12345678--

------=_NextPart_000_0001_01DB2D00.12345678
Content-Type: application/pkcs7-signature; name="smime.p7s"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="smime.p7s"

{picture}

------=_NextPart_000_0001_01DB2D00.12345678--
"#,
        &[("x.pdf", Document), ("smime.p7s", Picture)],
    ),
    (
        "PGP/MIME",
        r#"
From: a@a.example
To: b@b.example
Subject: signed
MIME-Version: 1.0
Content-Type: multipart/signed; micalg=pgp-sha512; protocol="application/pgp-signature"; boundary="sig"

--sig
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

- -- =20
Hello

--sig
Content-Type: application/pgp-signature; name="signature.asc"
Content-Description: OpenPGP digital signature
Content-Disposition: attachment; filename="signature.asc"

-----BEGIN PGP SIGNATURE-----

iQIzBAEBCAAdFiEE0123456789abcdefghijklmnopqrstuvwxAFAmVDUQAACgkQ0123456789ab
=AbCd
-----END PGP SIGNATURE-----

--sig--
"#,
        &[(
            "signature.asc",
            Text(
                "-----BEGIN PGP SIGNATURE-----\n\niQIzBAEBCAAdFiEE0123456789abcdefghijklmnopqrstuvwxAFAmVDUQAACgkQ0123456789ab\n=AbCd\n-----END PGP SIGNATURE-----\n",
            ),
        )],
    ),
    (
        "PGP-signed text",
        r#"
From: a@a.example
To: b@b.example
Subject: signed

-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA512

Hello,
- --
A
-----BEGIN PGP SIGNATURE-----

iHUEARYIAB0WIQQ0123456789abcdefghijklmnopqrstuvwFAmVDUQAACgkQ0123
=AbCd
-----END PGP SIGNATURE-----
"#,
        &[],
    ),
    (
        "a short certificate in the text",
        r#"
From: a@a.example
To: b@b.example
Subject: our CA

Please install this:

-----BEGIN CERTIFICATE-----
MIIBhTCCASugAwIBAgIQIRi6zePL6mKjOipn
-----END CERTIFICATE-----

Thanks
"#,
        &[],
    ),
    (
        "an SSH key in the text",
        r#"
From: a@a.example
To: b@b.example
Subject: my key

Please add:
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfG a@a.example

and
ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz0123456789 a@a.example
"#,
        &[],
    ),
    (
        "DKIM signatures and keys in the header",
        r#"
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=a.example; s=s1;
 h=from:to:subject; bh=AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfG=;
 b=AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz0123456789Ab
 CdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEf
 GhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz0123456789==
X-Microsoft-Antispam-Message-Info: AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz
Autocrypt: addr=a@a.example; keydata=
 xjMEAbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz0123456789
 xjMEAbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz0123456789
From: a@a.example
To: b@b.example
Subject: hello
Content-Type: text/plain

Hello
"#,
        &[],
    ),
];
