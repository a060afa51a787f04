// SPDX-License-Identifier: GPL-3.0-or-later
//! As newsletters, calendars and other programs write.

use super::{
    Everyday,
    Holds::{Document, Text},
};

pub const MESSAGES: &[Everyday] = &[
    (
        "a program that writes one long line",
        r#"
From: app@a.example
To: b@b.example
Subject: Report
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b1_0123456789abcdef

--b1_0123456789abcdef
Content-Type: text/html; charset=utf-8

<p>Report</p>

--b1_0123456789abcdef
Content-Type: application/octet-stream; name="report.bin"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename=report.bin

{document in one line}

--b1_0123456789abcdef--
"#,
        &[("", Text("<p>Report</p>\n")), ("report.bin", Document)],
    ),
    (
        "a quoted-printable attachment",
        r#"
From: a@a.example
To: b@b.example
Subject: odd but right
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=-=-="

--=-=-=
Content-Type: text/plain

Attached.

--=-=-=
Content-Type: application/pdf
Content-Disposition: attachment; filename=x.pdf
Content-Transfer-Encoding: quoted-printable

{quoted document}
--=-=-=--
"#,
        &[("x.pdf", Document)],
    ),
    (
        "names as RFC 2231 wants them",
        r#"
From: a@a.example
To: b@b.example
Subject: long name
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/plain

Attached.
--b
Content-Type: application/pdf;
 name="=?UTF-8?Q?Gr=C3=BC=C3=9Fe_aus_?= =?UTF-8?Q?Berlin.pdf?="
Content-Disposition: attachment;
 filename*0*=UTF-8''Gr%C3%BC%C3%9Fe%20aus;
 filename*1*=%20Berlin.pdf
Content-Transfer-Encoding: base64

{document}
--b--
"#,
        &[("Grüße aus Berlin.pdf", Document)],
    ),
    (
        "a newsletter",
        r#"
From: Shop <news@shop.example>
To: b@b.example
Subject: =?utf-8?Q?Only_today=3A_=E2=82=AC_5?=
List-Unsubscribe: <https://shop.example/u?x=1>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="_----------=_MCPart_1234567890"

This is a multi-part message in MIME format

--_----------=_MCPart_1234567890
Content-Type: text/plain; charset="utf-8"; format="fixed"
Content-Transfer-Encoding: quoted-printable

** Only today
------------------------------------------------------------
https://shop.example/?utm_source=3Dnewsletter&id=3DQUJDREVGR0hJSktMTU5PUFFS=
U1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3ODkrLwQUJDREVGR0hJS=
ktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3ODkrL

--_----------=_MCPart_1234567890
Content-Type: text/html; charset="utf-8"
Content-Transfer-Encoding: quoted-printable

<table width=3D"100%"><tr><td>=E2=82=AC 5</td></tr></table>

--_----------=_MCPart_1234567890--
"#,
        &[("", Text("<table width=\"100%\"><tr><td>€ 5</td></tr></table>\n"))],
    ),
    (
        "an invitation",
        r#"
From: a@a.example
To: b@b.example
Subject: Invitation
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="000000000000aa"

--000000000000aa
Content-Type: multipart/alternative; boundary="000000000000bb"

--000000000000bb
Content-Type: text/plain; charset="UTF-8"; format=flowed; delsp=yes
Content-Transfer-Encoding: base64

SGVsbG8sIHBsZWFzZSBjb21lIHRvIHRoZSBtZWV0aW5nIGluIHRoZSBsYXJnZSByb29tIG9uIHRo
ZSBzZWNvbmQgZmxvb3IsIHRoZXJlIHdpbGwgYmUgY2FrZS4K
--000000000000bb
Content-Type: text/calendar; charset="UTF-8"; method=REQUEST
Content-Transfer-Encoding: 7bit

BEGIN:VCALENDAR
METHOD:REQUEST
END:VCALENDAR

--000000000000bb--
--000000000000aa
Content-Type: application/ics; name="invite.ics"
Content-Disposition: attachment; filename="invite.ics"
Content-Transfer-Encoding: 7bit

BEGIN:VCALENDAR
METHOD:REQUEST
END:VCALENDAR

--000000000000aa--
"#,
        &[
            ("", Text("BEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR\n")),
            ("invite.ics", Text("BEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR\n")),
        ],
    ),
];
