// SPDX-License-Identifier: GPL-3.0-or-later
//! As mail clients write.

use super::{
    Everyday,
    Holds::{Document, Picture, Text},
};

pub const MESSAGES: &[Everyday] = &[
    (
        "Outlook",
        r#"
Received: from mail.a.example (192.0.2.1) by mx.b.example
 (192.0.2.2) with Microsoft SMTP Server (TLS) id 15.2; Mon, 2 Nov 2026 10:00:00 +0100
From: "Doe, John" <john@a.example>
To: "b@b.example" <b@b.example>
Subject: Contract
Thread-Topic: Contract
Accept-Language: de-DE, en-US
X-MS-Has-Attach: yes
Content-Type: multipart/mixed;
	boundary="_004_AM0PR04MB1234A1B2C3D4E5F60718AM0PR04MB1234eurprd04p_"
MIME-Version: 1.0

--_004_AM0PR04MB1234A1B2C3D4E5F60718AM0PR04MB1234eurprd04p_
Content-Type: multipart/related;
	boundary="_003_AM0PR04MB1234A1B2C3D4E5F60718AM0PR04MB1234eurprd04p_";
	type="multipart/alternative"

--_003_AM0PR04MB1234A1B2C3D4E5F60718AM0PR04MB1234eurprd04p_
Content-Type: multipart/alternative;
	boundary="_000_AM0PR04MB1234A1B2C3D4E5F60718AM0PR04MB1234eurprd04p_"

--_000_AM0PR04MB1234A1B2C3D4E5F60718AM0PR04MB1234eurprd04p_
Content-Type: text/plain; charset="iso-8859-1"
Content-Transfer-Encoding: quoted-printable

Gr=FC=DFe, see the contract.

From: Jane
Sent: Monday
To: John
Subject: RE: Contract

--_000_AM0PR04MB1234A1B2C3D4E5F60718AM0PR04MB1234eurprd04p_
Content-Type: text/html; charset="iso-8859-1"
Content-Transfer-Encoding: quoted-printable

<html xmlns:o=3D"urn:schemas-microsoft-com:office:office"><body lang=3D"DE">=
<p class=3D"MsoNormal">See the contract.</p><img src=3D"cid:image001.png@01"=
></body></html>

--_000_AM0PR04MB1234A1B2C3D4E5F60718AM0PR04MB1234eurprd04p_--

--_003_AM0PR04MB1234A1B2C3D4E5F60718AM0PR04MB1234eurprd04p_
Content-Type: image/png; name="image001.png"
Content-Description: image001.png
Content-Disposition: inline; filename="image001.png"; size=180;
	creation-date="Mon, 02 Nov 2026 09:00:00 GMT";
	modification-date="Mon, 02 Nov 2026 09:00:00 GMT"
Content-ID: <image001.png@01>
Content-Transfer-Encoding: base64

{picture}

--_003_AM0PR04MB1234A1B2C3D4E5F60718AM0PR04MB1234eurprd04p_--

--_004_AM0PR04MB1234A1B2C3D4E5F60718AM0PR04MB1234eurprd04p_
Content-Type: application/pdf; name="contract.pdf"
Content-Description: contract.pdf
Content-Disposition: attachment; filename="contract.pdf"; size=5120;
	creation-date="Mon, 02 Nov 2026 09:00:00 GMT"
Content-Transfer-Encoding: base64

{document}

--_004_AM0PR04MB1234A1B2C3D4E5F60718AM0PR04MB1234eurprd04p_--
"#,
        &[
            (
                "",
                Text(
                    "<html xmlns:o=\"urn:schemas-microsoft-com:office:office\"><body lang=\"DE\"><p class=\"MsoNormal\">See the contract.</p><img src=\"cid:image001.png@01\"></body></html>\n",
                ),
            ),
            ("image001.png", Picture),
            ("contract.pdf", Document),
        ],
    ),
    (
        "Gmail",
        r#"
MIME-Version: 1.0
Date: Mon, 2 Nov 2026 10:00:00 +0100
Message-ID: <CAKx1y2z3@mail.gmail.example>
Subject: =?UTF-8?B?R3LDvMOfZQ==?=
From: A <a@a.example>
To: b@b.example
Content-Type: multipart/mixed; boundary="000000000000a1b2c305f6e7d8c9"

--000000000000a1b2c305f6e7d8c9
Content-Type: multipart/alternative; boundary="000000000000a1b2c105f6e7d8c7"

--000000000000a1b2c105f6e7d8c7
Content-Type: text/plain; charset="UTF-8"

Hello,

*bold* text

-- 
A. Sender

--000000000000a1b2c105f6e7d8c7
Content-Type: text/html; charset="UTF-8"

<div dir="ltr">Hello,<div><b>bold</b> text</div></div>

--000000000000a1b2c105f6e7d8c7--
--000000000000a1b2c305f6e7d8c9
Content-Type: application/pdf; name="invoice.pdf"
Content-Disposition: attachment; filename="invoice.pdf"
Content-Transfer-Encoding: base64
Content-ID: <f_l1a2b3c40>
X-Attachment-Id: f_l1a2b3c40

{document}
--000000000000a1b2c305f6e7d8c9--
"#,
        &[
            ("", Text("<div dir=\"ltr\">Hello,<div><b>bold</b> text</div></div>\n")),
            ("invoice.pdf", Document),
        ],
    ),
    (
        "Apple Mail",
        r#"
From: A <a@a.example>
Content-Type: multipart/alternative;
	boundary="Apple-Mail=_2F1A3B4C-5D6E-7F80-91A2-B3C4D5E6F708"
Mime-Version: 1.0 (Mac OS X Mail 16.0 \(3774.600.62\))
Subject: Photo
Date: Mon, 2 Nov 2026 10:00:00 +0100
To: b@b.example
X-Mailer: Apple Mail (2.3774.600.62)


--Apple-Mail=_2F1A3B4C-5D6E-7F80-91A2-B3C4D5E6F708
Content-Transfer-Encoding: 7bit
Content-Type: text/plain;
	charset=us-ascii

See the photo.

> On 1 Nov 2026, at 09:00, B <b@b.example> wrote:
> 
> Send it.

--Apple-Mail=_2F1A3B4C-5D6E-7F80-91A2-B3C4D5E6F708
Content-Type: multipart/mixed;
	boundary="Apple-Mail=_11111111-2222-3333-4444-555555555555"


--Apple-Mail=_11111111-2222-3333-4444-555555555555
Content-Transfer-Encoding: quoted-printable
Content-Type: text/html;
	charset=us-ascii

<html><head></head><body>See the photo.<br></body></html>=

--Apple-Mail=_11111111-2222-3333-4444-555555555555
Content-Disposition: inline;
	filename*=utf-8''u%CC%88ber.jpg
Content-Type: image/jpeg;
	x-unix-mode=0644;
	name="=?utf-8?B?dcyIYmVyLmpwZw==?="
Content-Transfer-Encoding: base64

{picture}

--Apple-Mail=_11111111-2222-3333-4444-555555555555
Content-Transfer-Encoding: 7bit
Content-Type: text/html;
	charset=us-ascii

<html><body></body></html>
--Apple-Mail=_11111111-2222-3333-4444-555555555555--

--Apple-Mail=_2F1A3B4C-5D6E-7F80-91A2-B3C4D5E6F708--
"#,
        &[
            ("", Text("<html><head></head><body>See the photo.<br></body></html>")),
            ("u\u{308}ber.jpg", Picture),
            ("", Text("<html><body></body></html>")),
        ],
    ),
    (
        "Thunderbird",
        r#"
Message-ID: <a1b2@a.example>
Date: Mon, 2 Nov 2026 10:00:00 +0100
MIME-Version: 1.0
User-Agent: Mozilla Thunderbird
Content-Language: en-US
To: b@b.example
From: A <a@a.example>
Subject: Notes
Content-Type: multipart/mixed; boundary="------------0AbCdEfGhIjKlMnOpQrStUvW"

This is a multi-part message in MIME format.
--------------0AbCdEfGhIjKlMnOpQrStUvW
Content-Type: text/plain; charset=UTF-8; format=flowed
Content-Transfer-Encoding: 8bit

Flowed text that goes on 
in the next line. Grüße
--------------0AbCdEfGhIjKlMnOpQrStUvW
Content-Type: application/pdf; name="notes.pdf"
Content-Disposition: attachment; filename="notes.pdf"
Content-Transfer-Encoding: base64

{document72}

--------------0AbCdEfGhIjKlMnOpQrStUvW--
"#,
        &[("notes.pdf", Document)],
    ),
    (
        "mutt",
        r#"
Date: Mon, 2 Nov 2026 10:00:00 +0100
From: A <a@a.example>
To: b@b.example
Subject: file
Message-ID: <20261102100000.GA1234@a.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="xHFwDpU9dbj6ez1V"
Content-Disposition: inline
User-Agent: Mutt/2.2.12 (2023-09-09)


--xHFwDpU9dbj6ez1V
Content-Type: text/plain; charset=us-ascii
Content-Disposition: inline

here it is

--xHFwDpU9dbj6ez1V
Content-Type: text/x-csrc; charset=us-ascii
Content-Disposition: attachment; filename="x.c"

int main(void) { return 0; }

--xHFwDpU9dbj6ez1V--
"#,
        &[("x.c", Text("int main(void) { return 0; }\n"))],
    ),
    (
        "plain text without MIME",
        r#"
From: a@a.example
To: b@b.example
Subject: hi
Date: Mon, 2 Nov 2026 10:00:00 +0100

Hello,
nothing else.
"#,
        &[],
    ),
    (
        "a single attachment as the message",
        r#"
From: scanner@a.example
To: b@b.example
Subject: Scan
MIME-Version: 1.0
Content-Type: application/pdf; name="scan0001.pdf"
Content-Disposition: attachment; filename="scan0001.pdf"
Content-Transfer-Encoding: base64

{document}
"#,
        &[("scan0001.pdf", Document)],
    ),
];
