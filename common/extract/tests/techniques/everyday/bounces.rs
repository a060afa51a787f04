// SPDX-License-Identifier: GPL-3.0-or-later
//! Reports, forwarded messages and what mailing lists make of a message.

use super::{
    Everyday,
    Holds::{Document, Text},
};

pub const MESSAGES: &[Everyday] = &[
    (
        "Postfix's bounce",
        r#"
Return-Path: <>
Date: Mon, 2 Nov 2026 10:00:00 +0100 (CET)
From: MAILER-DAEMON@a.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: a@a.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="4ABCDE1234.1762074000/a.example"
Content-Transfer-Encoding: 8bit

This is a MIME-encapsulated message.

--4ABCDE1234.1762074000/a.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host a.example.

<c@c.example>: host mx.c.example[192.0.2.9] said: 550 5.1.1 User unknown (in
    reply to RCPT TO command)

--4ABCDE1234.1762074000/a.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; a.example
Arrival-Date: Mon,  2 Nov 2026 09:59:59 +0100 (CET)

Final-Recipient: rfc822; c@c.example
Action: failed
Status: 5.1.1

--4ABCDE1234.1762074000/a.example
Content-Description: Undelivered Message
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Return-Path: <a@a.example>
From: a@a.example
Subject: the report
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="inner"

--inner
Content-Type: text/plain

See it.

--inner
Content-Type: application/pdf; name=report.pdf
Content-Transfer-Encoding: base64

{document}

--inner--

--4ABCDE1234.1762074000/a.example--
"#,
        &[
            (
                "",
                Text(
                    "Reporting-MTA: dns; a.example\nArrival-Date: Mon,  2 Nov 2026 09:59:59 +0100 (CET)\n\nFinal-Recipient: rfc822; c@c.example\nAction: failed\nStatus: 5.1.1\n",
                ),
            ),
            ("report.pdf", Document),
        ],
    ),
    (
        "a bounce with the header only",
        r#"
From: postmaster@a.example
To: a@a.example
Subject: Undeliverable
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="r"

--r
Content-Type: text/plain

Not delivered.

--r
Content-Type: message/delivery-status

Reporting-MTA: dns; a.example

Final-Recipient: rfc822; c@c.example
Action: failed

--r
Content-Type: text/rfc822-headers

From: a@a.example
Subject: x
Content-Type: multipart/mixed; boundary="inner"
Content-Transfer-Encoding: 7bit

--r--
"#,
        &[
            (
                "",
                Text(
                    "Reporting-MTA: dns; a.example\n\nFinal-Recipient: rfc822; c@c.example\nAction: failed\n",
                ),
            ),
            (
                "",
                Text(
                    "From: a@a.example\nSubject: x\nContent-Type: multipart/mixed; boundary=\"inner\"\nContent-Transfer-Encoding: 7bit\n",
                ),
            ),
        ],
    ),
    (
        "a bounce that cuts the message off",
        r#"
From: postmaster@a.example
To: a@a.example
Subject: Undeliverable
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="r"

--r
Content-Type: text/plain

Not delivered. The first lines follow.

--r
Content-Type: message/rfc822

From: a@a.example
Subject: x
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="inner"

--inner
Content-Type: text/plain

Cut off he

--r--
"#,
        &[],
    ),
    (
        "an old bounce in plain text",
        r#"
From: MAILER-DAEMON@a.example
To: b@b.example
Subject: failure notice

Hi. This is the qmail-send program at a.example.

<c@c.example>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

Return-Path: <b@b.example>
From: b@b.example
To: c@c.example
Subject: hello
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii
Content-Transfer-Encoding: 7bit

Hello
"#,
        &[],
    ),
    (
        "a forwarded message",
        r#"
From: a@a.example
To: b@b.example
Subject: Fwd: report
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="o"

--o
Content-Type: text/plain

fyi
--o
Content-Type: message/rfc822; name="report.eml"
Content-Disposition: attachment; filename="report.eml"

From: c@c.example
Subject: report
MIME-Version: 1.0
Content-Type: application/pdf; name=report.pdf
Content-Transfer-Encoding: base64

{document}

--o--
"#,
        &[("report.pdf", Document)],
    ),
    (
        "a message forwarded in the text",
        r#"
From: a@a.example
To: b@b.example
Subject: WG: report
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

fyi

-----Urspr=C3=BCngliche Nachricht-----
Von: C <c@c.example>
Gesendet: Montag, 2. November 2026 09:00
An: a@a.example
Betreff: report

From: c@c.example
To: a@a.example
Content-Type: text/plain
Content-Transfer-Encoding: 7bit

The text.
"#,
        &[],
    ),
    (
        "a mailing list's footer",
        r#"
From: A via List <list@l.example>
To: list@l.example
Subject: [list] hello
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="===============1234567890123456789=="

--===============1234567890123456789==
Content-Type: multipart/alternative; boundary="inner"

--inner
Content-Type: text/plain

Hello
--inner
Content-Type: text/html

<p>Hello
--inner--

--===============1234567890123456789==
Content-Type: text/plain; charset="us-ascii"
MIME-Version: 1.0
Content-Transfer-Encoding: 7bit
Content-Disposition: inline

_______________________________________________
list mailing list -- list@l.example
To unsubscribe send an email to list-leave@l.example

--===============1234567890123456789==--
"#,
        &[("", Text("<p>Hello"))],
    ),
    (
        "a digest",
        r#"
From: list@l.example
To: b@b.example
Subject: list digest
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="m"

--m
Content-Type: text/plain

Today's topics:
--m
Content-Type: multipart/digest; boundary="d"

--d

From: a@a.example
Subject: one
MIME-Version: 1.0
Content-Type: text/plain

One
--d
Content-Type: message/rfc822
MIME-Version: 1.0

From: c@c.example
Subject: two
Content-Type: text/html

<p>Two
--d--

--m--
"#,
        &[("", Text("<p>Two"))],
    ),
    (
        "a read receipt",
        r#"
From: b@b.example
To: a@a.example
Subject: Read: hello
MIME-Version: 1.0
Content-Type: multipart/report; report-type=disposition-notification; boundary="r"

--r
Content-Type: text/plain

Your message was displayed.
--r
Content-Type: message/disposition-notification

Reporting-UA: b.example; Mail
Final-Recipient: rfc822; b@b.example
Disposition: manual-action/MDN-sent-manually; displayed
--r--
"#,
        &[(
            "",
            Text(
                "Reporting-UA: b.example; Mail\nFinal-Recipient: rfc822; b@b.example\nDisposition: manual-action/MDN-sent-manually; displayed",
            ),
        )],
    ),
];
