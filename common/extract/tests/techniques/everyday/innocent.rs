// SPDX-License-Identifier: GPL-3.0-or-later
//! What looks like a trick and is what common software writes: each rule of the extraction with its innocent writers.

use super::{
    Everyday,
    Holds::{Document, Text},
};

pub const MESSAGES: &[Everyday] = &[
    (
        "a signature whose list of names goes on with content-type",
        r#"
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=shop.example; s=k1; h=from:to:subject:
	content-type:content-transfer-encoding:mime-version:date; bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
	b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB
ARC-Message-Signature: i=1; a=rsa-sha256; d=relay.example; s=arc; h=mime-version:
 Content-Type; bh=x=; b=y=
From: Shop <news@shop.example>
To: b@b.example
Subject: offers
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8

<p>Hello
"#,
        &[("", Text("<p>Hello\n"))],
    ),
    (
        "names of fields with marks that are none of ours",
        r#"
>Received: from a.example
X-Copyright(C): nobody
X-Mailer[1]: a
From: a@a.example
To: b@b.example
Subject: hi
MIME-Version: 1.0
Content-Type: text/html

<p>Hello
"#,
        &[("", Text("<p>Hello\n"))],
    ),
    (
        "a soft break before an empty line",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

<p>The paragraph ends where the encoder breaks its line.=

<p>Regards=

"#,
        &[("", Text("<p>The paragraph ends where the encoder breaks its line.\n<p>Regards\n"))],
    ),
    (
        "line ends that are escaped, beside others",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Hello=0A=0AWorld=0D=0A
and a hard break.
"#,
        &[],
    ),
    (
        "a boundary with parentheses, in quotes",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="Boundary_(ID_2xGq+aA7Yh1f9y0wZcVb1Q)"

--Boundary_(ID_2xGq+aA7Yh1f9y0wZcVb1Q)
Content-Type: text/plain; charset=us-ascii

Hello
--Boundary_(ID_2xGq+aA7Yh1f9y0wZcVb1Q)
Content-Type: application/pdf; name=a.pdf
Content-Transfer-Encoding: base64

{document}
--Boundary_(ID_2xGq+aA7Yh1f9y0wZcVb1Q)--
"#,
        &[("a.pdf", Document)],
    ),
    (
        "a delivery report with the header of the message in a text",
        r#"
From: MAILER-DAEMON@mx.example
To: a@a.example
Subject: failure notice
MIME-Version: 1.0
Content-Type: text/plain

Hi. This is the program at mx.example. I could not deliver your message.

<b@b.example>: no such user

--- Below this line is a copy of the message.

Return-Path: <a@a.example>
From: a@a.example
To: b@b.example
Subject: lunch
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Shall we meet at noon? My number is AB12CD34.
"#,
        &[],
    ),
    (
        "a text that quotes the header of an answer",
        r#"
From: a@a.example
To: b@b.example
Subject: the server
MIME-Version: 1.0
Content-Type: text/plain

It answers

HTTP/1.1 200 OK
Content-Type: text/html
Content-Length: 512

which is wrong. The token is TWFuIGlzIGRpc3Rpbmd1aXNoZWQ, x=3D.
"#,
        &[],
    ),
    (
        "options of a command, each on a line of its own",
        r#"
From: a@a.example
To: b@b.example
Subject: how to build
MIME-Version: 1.0
Content-Type: text/plain

./configure
    --prefix=/usr/local
    --with-AB=12

and then make. MD5=AB12CD34EF56
"#,
        &[],
    ),
    (
        "variables of a style sheet",
        r#"
From: Shop <news@shop.example>
To: b@b.example
Subject: offers
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8

<style>:root {
  --main-color: #AB12CD;
  --main-width: 600px;

  --button: url("x=3D");
  color: var(--main-color);
}</style>
"#,
        &[(
            "",
            Text(
                "<style>:root {\n  --main-color: #AB12CD;\n  --main-width: 600px;\n\n  --button: url(\"x=3D\");\n  color: var(--main-color);\n}</style>\n",
            ),
        )],
    ),
    (
        "a table that begins with an empty line",
        r#"
From: a@a.example
To: b@b.example
Subject: numbers
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/plain

Hello
--b
Content-Type: text/csv; name=a.csv
Content-Disposition: attachment; filename=a.csv


id;name
1;x=20
--b--
"#,
        &[("a.csv", Text("\nid;name\n1;x=20"))],
    ),
    (
        "a name and its translation",
        r#"
From: a@a.example
To: b@b.example
Subject: the invoice
MIME-Version: 1.0
Content-Type: application/octet-stream; name="=?utf-8?B?UmVjaG51bmc=?="
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="Invoice.pdf"

{document}
"#,
        &[("Invoice.pdf", Document)],
    ),
    (
        "an invoice in XML with a document as a value",
        r#"
From: a@a.example
To: b@b.example
Subject: invoice
MIME-Version: 1.0
Content-Type: text/xml; name="invoice.xml"
Content-Disposition: attachment; filename="invoice.xml"

<?xml version="1.0"?>
<Invoice><Object mimeCode="application/pdf">JVBERi0xLjQKHC4ruFadgGwSUdzJvuOJEg667qPC2FRaeHYM
WqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7Xo
WqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7Xo
WqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7Xo
WqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7Xo
WqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7Xo
WqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7Xo
</Object></Invoice>
"#,
        &[(
            "invoice.xml",
            Text(
                "<?xml version=\"1.0\"?>\n<Invoice><Object mimeCode=\"application/pdf\">JVBERi0xLjQKHC4ruFadgGwSUdzJvuOJEg667qPC2FRaeHYM\nWqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7Xo\nWqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7Xo\nWqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7Xo\nWqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7Xo\nWqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7Xo\nWqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7XoWqZYRbhd5NS6tbnkUszsf/qO/7Xo\n</Object></Invoice>\n",
            ),
        )],
    ),
];
