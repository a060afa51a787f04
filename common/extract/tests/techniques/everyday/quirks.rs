// SPDX-License-Identifier: GPL-3.0-or-later
//! Habits of programs that are odd, harmless and everywhere.

use super::{
    Everyday,
    Holds::{Document, Picture, Text},
};

pub const MESSAGES: &[Everyday] = &[
    (
        "trailing semicolons, no blanks, unquoted boundaries",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
MIME-Version: 1.0
Content-Type: multipart/mixed;boundary=----=_Part_123_456.789;

------=_Part_123_456.789
Content-Type:text/plain;charset=UTF-8;
Content-Transfer-Encoding: 7Bit

Hello
------=_Part_123_456.789
Content-Type: text/html;charset='utf-8';
Content-Transfer-Encoding: Quoted-Printable

<p a=3D"b">
------=_Part_123_456.789
Content-Type: application/pdf;name=Report 2026.pdf;
Content-Transfer-Encoding: BASE64
Content-Disposition: attachment;filename=Report 2026.pdf;

{document}
------=_Part_123_456.789--
"#,
        &[("", Text("<p a=\"b\">")), ("Report 2026.pdf", Document)],
    ),
    (
        "8-bit characters in the header",
        r#"
From: Jürgen <a@a.example>
To: b@b.example
Subject: Grüße
MIME-Version: 1.0
Content-Type: application/pdf; name="Übersicht (1); final.pdf"
Content-Disposition: attachment; filename="Übersicht (1); final.pdf"
Content-Transfer-Encoding: base64

{document}
"#,
        &[("Übersicht (1); final.pdf", Document)],
    ),
    (
        "one name in three ways",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
MIME-Version: 1.0
Content-Type: application/pdf;
 name="=?UTF-8?B?R3LDvMOfZS5wZGY=?="
Content-Disposition: attachment;
 filename="=?UTF-8?B?R3LDvMOfZS5wZGY=?=";
 filename*=UTF-8''Gr%C3%BC%C3%9Fe.pdf
Content-Transfer-Encoding: base64

{document}
"#,
        &[("Grüße.pdf", Document)],
    ),
    (
        "fields that hardly anybody knows",
        r#"
Received: from a.example ([192.0.2.1]) by b.example with esmtp
X-MIME-Autoconverted: from quoted-printable to 8bit by b.example id x
X-MimeOLE: Produced By Microsoft Exchange V6.5
Content-class: urn:content-classes:message
Content-Language: de
Content-return: allowed
X_Script.Name: mail
X-Mailer:	Mailer (v1.0; x64)
References: <1@a.example>
	<2@a.example>

 
Subject: not a header any more
"#,
        &[],
    ),
    (
        "a long header",
        r#"
From: a@a.example
To: b@b.example
Subject:
 =?utf-8?Q?a_folded?=
 =?utf-8?Q?_subject?=
References: <AbCdEfGhIjKlMnOpQrStUvWxYz0123456789@a.example> <AbCdEfGhIjKlMnOpQrStUvWxYz0123456789@a.example> <AbCdEfGhIjKlMnOpQrStUvWxYz0123456789@a.example> <AbCdEfGhIjKlMnOpQrStUvWxYz0123456789@a.example> <AbCdEfGhIjKlMnOpQrStUvWxYz0123456789@a.example> <AbCdEfGhIjKlMnOpQrStUvWxYz0123456789@a.example> <AbCdEfGhIjKlMnOpQrStUvWxYz0123456789@a.example> <AbCdEfGhIjKlMnOpQrStUvWxYz0123456789@a.example> <AbCdEfGhIjKlMnOpQrStUvWxYz0123456789@a.example> <AbCdEfGhIjKlMnOpQrStUvWxYz0123456789@a.example> <AbCdEfGhIjKlMnOpQrStUvWxYz0123456789@a.example> <AbCdEfGhIjKlMnOpQrStUvWxYz0123456789@a.example> <AbCdEfGhIjKlMnOpQrStUvWxYz0123456789@a.example> <AbCdEfGhIjKlMnOpQrStUvWxYz0123456789@a.example> <AbCdEfGhIjKlMnOpQrStUvWxYz0123456789@a.example> <AbCdEfGhIjKlMnOpQrStUvWxYz0123456789@a.example> <AbCdEfGhIjKlMnOpQrStUvWxYz0123456789@a.example>
Content-Type: text/html

<p>
"#,
        &[("", Text("<p>\n"))],
    ),
    (
        "rulers that begin like a delimiter",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="------------0AbCdEfGhIjKlMnOpQrStUvW"

--------------0AbCdEfGhIjKlMnOpQrStUvW
Content-Type: text/plain

Title
--------------
text
--------------------------------------------
more
-- 
A
--------------0AbCdEfGhIjKlMnOpQrStUvW
Content-Type: application/pdf; name=x.pdf
Content-Transfer-Encoding: base64

{document}

--------------0AbCdEfGhIjKlMnOpQrStUvW--

"#,
        &[("x.pdf", Document)],
    ),
    (
        "a stray equals sign in quoted-printable HTML",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

<p class=3D"a"><p class=3D"a"><p class=3D"a"><p class=3D"a"><p class=3D"a">=
<p class=3D"a"><p class=3D"a"><p class=3D"a"><p class=3D"a"><p class=3D"a">=
<a href=3D"https://a.example/?q=zz">x</a>
"#,
        &[(
            "",
            Text(
                "<p class=\"a\"><p class=\"a\"><p class=\"a\"><p class=\"a\"><p class=\"a\"><p class=\"a\"><p class=\"a\"><p class=\"a\"><p class=\"a\"><p class=\"a\"><a href=\"https://a.example/?q=zz\">x</a>\n",
            ),
        )],
    ),
    (
        "quoted-printable that is neither wrapped nor fully escaped",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

<p class=3D"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">Grüße</p>
"#,
        &[(
            "",
            Text(
                "<p class=\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\">Grüße</p>\n",
            ),
        )],
    ),
    (
        "a picture in the HTML itself",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8

<img src="data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk">
"#,
        &[(
            "",
            Text(
                "<img src=\"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk\">\n",
            ),
        )],
    ),
    (
        "pictures beside HTML, and fields in any order",
        r#"
MIME-Version: 1.0
Content-Type: multipart/related; type="text/html"; boundary="rel"; start="<html@a.example>"
From: a@a.example
To: b@b.example
Subject: hi

--rel
Content-ID: <html@a.example>
Content-Transfer-Encoding: 7bit
Content-Type: text/html; charset=us-ascii

<img src="cid:p@a.example">
--rel
Content-Transfer-Encoding: base64
Content-ID: <p@a.example>
Content-Type: image/png
Content-Location: p.png
Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==

{picture}

--rel--
"#,
        &[("", Text("<img src=\"cid:p@a.example\">")), ("", Picture)],
    ),
    (
        "a multipart in a multipart with a longer boundary",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=_part"

--=_part
Content-Type: multipart/alternative; boundary="=_part.alt"

--=_part.alt
Content-Type: text/plain

hi
--=_part.alt
Content-Type: text/html

<p>hi
--=_part.alt--

--=_part
Content-Type: application/pdf; name=x.pdf
Content-Transfer-Encoding: base64

{document}
--=_part--
"#,
        &[("", Text("<p>hi")), ("x.pdf", Document)],
    ),
    (
        "the same field twice",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 8bit
Content-Transfer-Encoding: 8bit

<p>
"#,
        &[("", Text("<p>\n"))],
    ),
    (
        "empty attachments and names with folders",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b_1"

--b_1
Content-Type: application/octet-stream; name="empty.txt"
Content-Disposition: attachment; filename="empty.txt"
Content-Transfer-Encoding: base64


--b_1
Content-Type: text/plain; name="log.txt"
Content-Disposition: attachment; filename="log.txt"

line
--b_1--
"#,
        &[("log.txt", Text("line"))],
    ),
    (
        "text in a charset of its own",
        "
From: a@a.example
To: b@b.example
Subject: =?windows-1252?Q?Gr=FC=DFe?=
MIME-Version: 1.0
Content-Type: text/plain; charset=\"windows-1252\"
Content-Transfer-Encoding: quoted-printable

Gr=FC=DFe =96 =80 5
",
        &[],
    ),
];
