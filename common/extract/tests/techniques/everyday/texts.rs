// SPDX-License-Identifier: GPL-3.0-or-later
//! Texts that look like structure and are none, and bodies in every ordinary encoding.

use super::{Everyday, Holds::Text};

pub const MESSAGES: &[Everyday] = &[
    (
        "a signature's two hyphens",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
Content-Type: text/plain; format=flowed

Hello

-- 
A. Sender
Content-Type: the best type
--
more
"#,
        &[],
    ),
    (
        "a quoted message",
        r#"
From: a@a.example
To: b@b.example
Subject: Re: hi
Content-Type: text/plain

Yes.

--- Original Message ---
From: b@b.example
To: a@a.example
Subject: hi

> Content-Type: text/plain
> Content-Transfer-Encoding: base64
>
> SGVsbG8=

-------- Forwarded Message --------
Subject: 	hi
Date: 	Mon, 2 Nov 2026
From: 	c@c.example

No.
"#,
        &[],
    ),
    (
        "a patch in the text",
        r#"
From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001
From: A <a@a.example>
Date: Mon, 2 Nov 2026 10:00:00 +0100
Subject: [PATCH] fix the parser
MIME-Version: 1.0
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: 8bit

The boundary was lost.

Signed-off-by: A <a@a.example>
---
 src/mime.c | 4 ++--
 1 file changed, 2 insertions(+), 2 deletions(-)

diff --git a/src/mime.c b/src/mime.c
index 0123456..89abcde 100644
--- a/src/mime.c
+++ b/src/mime.c
@@ -1,4 +1,4 @@
-	puts("Content-Type: multipart/mixed; boundary=x\r\n");
+	puts("Content-Type: multipart/mixed; boundary=\"x\"\r\n");
--x;
 	return 0;
-- 
2.47.0
"#,
        &[],
    ),
    (
        "code that speaks of MIME",
        r#"
From: a@a.example
To: b@b.example
Subject: question
Content-Type: text/plain

How do I write this?

Content-Type: multipart/mixed; boundary="sep"

--sep
Content-Type: text/plain

hello
--sep--

Thanks!
"#,
        &[],
    ),
    (
        "HTML in base64",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: base64

PCFET0NUWVBFIGh0bWw+PGh0bWw+PGJvZHk+PHA+R3LDvMOfZTwvcD48L2JvZHk+PC9odG1sPg==
"#,
        &[("", Text("<!DOCTYPE html><html><body><p>Grüße</p></body></html>"))],
    ),
    (
        "text in base64",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: base64

R3LDvMOfZSBhbiBhbGxlLAoKZGFzIFRyZWZmZW4gZsOkbGx0IGF1cy4KCk1mRwo=
"#,
        &[],
    ),
    (
        "HTML in quoted-printable with trailing blanks",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

<p style=3D"color: red">a =
b =3D c</p>=20
<p>=C3=BC</p>
"#,
        &[("", Text("<p style=\"color: red\">a b = c</p> \n<p>ü</p>\n"))],
    ),
    (
        "lower-case hexadecimal digits",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

<p a=3d"b">=c3=bc</p>
"#,
        &[("", Text("<p a=\"b\">ü</p>\n"))],
    ),
    (
        "Japanese",
        "
From: a@a.example
To: b@b.example
Subject: =?ISO-2022-JP?B?GyRCJDMbKEI=?=
MIME-Version: 1.0
Content-Type: text/plain; charset=ISO-2022-JP
Content-Transfer-Encoding: 7bit

\x1b$B$3$s$K$A$O\x1b(B
",
        &[],
    ),
    (
        "a page feed and tabs",
        "
From: a@a.example
To: b@b.example
Subject: RFC
Content-Type: text/plain

1.\tIntroduction
\x0c
2.\tEnd
",
        &[],
    ),
    (
        "fields that look odd and are common",
        r#"
Received: by a.example (Postfix, from userid 33)
	id 0123456789; Mon,  2 Nov 2026 10:00:00 +0100 (CET)
X-PHP-Originating-Script: 33:mail.php
X-Priority: 3 (Normal)
X-Spam-Report: 
	*  0.0 URIBL_BLOCKED ADMINISTRATOR NOTICE: (see http://a.example/)
	*      [URIs: a.example]
	* -0.0 SPF_PASS SPF: sender matches SPF record
X-Empty:
From: a@a.example
To: undisclosed-recipients:;
Subject: hi
MIME-Version: 1.0 (1.0)
Content-Type: text/html; charset=UTF-8
Content-Transfer-Encoding: 8bit
Content-Language: en

<p>hi</p>
"#,
        &[("", Text("<p>hi</p>\n"))],
    ),
    (
        "a long table of words",
        r#"
From: a@a.example
To: b@b.example
Subject: list

Alpha
Beta
Gamma
AntidisestablishmentarianismIsLong
Delta
https://a.example/QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3ODkrLwQUJDREVGR0hJSktMTU5P
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
begin at the beginning
end
"#,
        &[],
    ),
    (
        "a text with equals signs",
        r#"
From: a@a.example
To: b@b.example
Subject: formulas
Content-Type: text/plain

a=b, c==d, =3D is an equals sign, =20 a blank
==========================================
x = y =
z
"#,
        &[],
    ),
    (
        "an empty message",
        r#"
From: a@a.example
To: b@b.example
Subject: (no body)

"#,
        &[],
    ),
    (
        "empty parts",
        r#"
From: a@a.example
To: b@b.example
Subject: empty
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/plain; charset=us-ascii

--b
Content-Type: text/plain


--b--

"#,
        &[],
    ),
    (
        "an epilogue as gateways add it",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="b"

If you can see this, your program does not know MIME.

--b
Content-Type: text/plain

hi
--b
Content-Type: text/html

<p>hi
--b--

This message was checked for viruses.
"#,
        &[("", Text("<p>hi"))],
    ),
];
