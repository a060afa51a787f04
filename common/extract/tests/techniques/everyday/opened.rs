// SPDX-License-Identifier: GPL-3.0-or-later
//! Mails with files in files, and with what only begins like one.

use super::{
    Everyday,
    Holds::{Bytes, Picture, Sent, Text},
};

pub const MESSAGES: &[Everyday] = &[
    (
        "an address card with a photograph",
        r#"
From: a@a.example
To: b@b.example
Subject: my card
MIME-Version: 1.0
Content-Type: text/vcard; charset=utf-8; name="a.vcf"
Content-Disposition: attachment; filename="a.vcf"

BEGIN:VCARD
VERSION:3.0
FN:A
PHOTO;ENCODING=b;TYPE=JPEG:{picture folded}
END:VCARD
"#,
        &[
            (
                "a.vcf",
                Sent(
                    "BEGIN:VCARD\nVERSION:3.0\nFN:A\nPHOTO;ENCODING=b;TYPE=JPEG:{picture folded}\nEND:VCARD\n",
                ),
            ),
            ("", Picture),
        ],
    ),
    (
        "an address card of Outlook's, and a signature's logo",
        r#"
From: a@a.example
To: b@b.example
Subject: my card
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/plain

Hello
--b
Content-Type: text/x-vcard; charset=utf-8; name="a.vcf"
Content-Disposition: attachment; filename="a.vcf"
Content-Transfer-Encoding: 8bit

BEGIN:VCARD
VERSION:2.1
N:B;A
PHOTO;TYPE=JPEG;ENCODING=BASE64:
 {picture folded}

X-MS-OL-DESIGN;CHARSET=utf-8:<card xmlns="http://schemas.microsoft.com/office/outlook/12/electronicbusinesscards" ver="1.0"></card>
NOTE;ENCODING=QUOTED-PRINTABLE:one=0D=0A=
two
END:VCARD

--b--
"#,
        &[
            (
                "a.vcf",
                Sent(
                    r#"
BEGIN:VCARD
VERSION:2.1
N:B;A
PHOTO;TYPE=JPEG;ENCODING=BASE64:
 {picture folded}

X-MS-OL-DESIGN;CHARSET=utf-8:<card xmlns="http://schemas.microsoft.com/office/outlook/12/electronicbusinesscards" ver="1.0"></card>
NOTE;ENCODING=QUOTED-PRINTABLE:one=0D=0A=
two
END:VCARD
"#,
                ),
            ),
            ("", Picture),
        ],
    ),
    (
        "an invitation",
        r#"
From: a@a.example
To: b@b.example
Subject: Meeting
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="b"

--b
Content-Type: text/plain

Hello
--b
Content-Type: text/calendar; charset=utf-8; method=REQUEST

BEGIN:VCALENDAR
BEGIN:VEVENT
UID:040000008200E00074C5B7101A82E00800000000B0CE6D8C3E5BD901000000000000000
 010000000A7D1B5C1B7F8C94B8C1B3C0D1E2F3A4B
DESCRIPTION:data: see https://a.example/x;base64,\n
ATTACH:https://a.example/agenda.pdf
END:VEVENT
END:VCALENDAR
--b--
"#,
        &[(
            "",
            Text(
                "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:040000008200E00074C5B7101A82E00800000000B0CE6D8C3E5BD901000000000000000\n 010000000A7D1B5C1B7F8C94B8C1B3C0D1E2F3A4B\nDESCRIPTION:data: see https://a.example/x;base64,\\n\nATTACH:https://a.example/agenda.pdf\nEND:VEVENT\nEND:VCALENDAR",
            ),
        )],
    ),
    (
        "an invitation with its agenda",
        r#"
From: a@a.example
To: b@b.example
Subject: Meeting
MIME-Version: 1.0
Content-Type: text/calendar; charset=utf-8; method=REQUEST

BEGIN:VCALENDAR
ATTACH;ENCODING=BASE64;VALUE=BINARY;X-FILENAME=agenda.png:{picture folded}
END:VCALENDAR
"#,
        &[
            (
                "",
                Sent(
                    "BEGIN:VCALENDAR\nATTACH;ENCODING=BASE64;VALUE=BINARY;X-FILENAME=agenda.png:{picture folded}\nEND:VCALENDAR\n",
                ),
            ),
            ("agenda.png", Picture),
        ],
    ),
    (
        "a patch that is attached",
        r#"
From: a@a.example
To: b@b.example
Subject: fix
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/plain

Attached.
--b
Content-Type: text/x-patch; charset=us-ascii; name="0001.patch"
Content-Disposition: attachment; filename="0001.patch"

From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001
From: A <a@a.example>
Subject: [PATCH] mime: fields
MIME-Version: 1.0
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: 8bit

---
 a.c | 2 +-

--- a/a.c
+++ b/a.c
-Content-Type: x=20
+Content-Type: y=20
-- 
2.40
--b--
"#,
        &[(
            "0001.patch",
            Text(
                "From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001\nFrom: A <a@a.example>\nSubject: [PATCH] mime: fields\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\n---\n a.c | 2 +-\n\n--- a/a.c\n+++ b/a.c\n-Content-Type: x=20\n+Content-Type: y=20\n-- \n2.40",
            ),
        )],
    ),
    (
        "a mailbox with two mails",
        r#"
From: a@a.example
To: b@b.example
Subject: mails
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: application/mbox; name="a.mbox"

From a@a.example Mon Jun  1 10:00:00 2026
From: a@a.example
Subject: one

Hello

From a@a.example Mon Jun  1 10:00:00 2026
From: a@a.example
Subject: two
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="c"

--c
Content-Type: text/plain

Hello
--c
Content-Type: image/x; name=x.png
Content-Transfer-Encoding: base64

{picture}
--c--

--b--
"#,
        &[
            (
                "a.mbox",
                Sent(
                    r#"
From a@a.example Mon Jun  1 10:00:00 2026
From: a@a.example
Subject: one

Hello

From a@a.example Mon Jun  1 10:00:00 2026
From: a@a.example
Subject: two
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="c"

--c
Content-Type: text/plain

Hello
--c
Content-Type: image/x; name=x.png
Content-Transfer-Encoding: base64

{picture}
--c--
"#,
                ),
            ),
            ("x.png", Picture),
        ],
    ),
    (
        "a log that quotes a header",
        r#"
From: a@a.example
To: b@b.example
Subject: mails
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/plain; name="mail.log"

The mail was
Subject: two
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="d"

This is no MIME.
--b--
"#,
        &[(
            "mail.log",
            Text(
                "The mail was\nSubject: two\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"d\"\n\nThis is no MIME.",
            ),
        )],
    ),
    (
        "a table in UTF-16",
        r#"
From: a@a.example
To: b@b.example
Subject: numbers
MIME-Version: 1.0
Content-Type: text/csv; name=a.csv
Content-Transfer-Encoding: base64

//5pAGQAOwBuAA==
"#,
        &[("a.csv", Bytes(b"\xff\xfei\0d\0;\0n\0")), ("a.csv", Text("id;n"))],
    ),
];
