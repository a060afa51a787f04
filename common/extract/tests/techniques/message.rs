// SPDX-License-Identifier: GPL-3.0-or-later
//! How a message with a planted payload is put together.
//!
//! A row of the catalogue has forms, a form is written for every kind of payload, and the results take turns in how they
//! are encoded, in what fields stand around, and in where in the message they are: alone, in a multipart, in one more.

use super::payload::{Kind, base64, quoted_printable, wrapped};

/// The fields that every message here starts with.
pub const TOP: &str = "Received: from a.example by b.example; Mon, 2 Nov 2026 10:00:00 +0000\r\nFrom: A <a@a.example>\r\n\
                       To: <b@b.example>\r\nSubject: Your order\r\nMIME-Version: 1.0\r\n";
/// What `{H}` stands for.
const FIELD: &str = "Content-Transfer-Encoding";
/// Stands where bytes will be.
const LEAF: &str = "\u{1}leaf\u{1}";

/// How a payload is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 2045 section 6.8.
    Base64,
    /// RFC 2045 section 6.7.
    QuotedPrintable,
}

impl Encoding {
    /// Both.
    pub const ALL: &[Self] = &[Self::Base64, Self::QuotedPrintable];

    fn name(self) -> &'static str {
        if self == Self::Base64 { "base64" } else { "quoted-printable" }
    }

    fn other(self) -> Self {
        if self == Self::Base64 { Self::QuotedPrintable } else { Self::Base64 }
    }
}

/// Where the entity with the payload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// It is the message.
    Single,
    /// Behind a text, in a multipart.
    Mixed,
    /// In a multipart in a multipart.
    Nested,
}

/// One payload and how it is to be written.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is hidden.
    pub payload: Vec<u8>,
    /// How it is encoded.
    pub encoding: Encoding,
    /// Where it stands.
    pub shape: Shape,
    /// The fields that say what it is, each with its CRLF.
    pub fields: &'static str,
    /// What `{leaf}` stands for, if not for these.
    pub leaf: Option<Vec<u8>>,
}

/// What a form makes of a case.
pub struct Entity {
    /// Header, empty line, body; the whole message where `top`.
    pub bytes: Vec<u8>,
    /// What a reader gets, if not the payload.
    pub planted: Option<Vec<u8>>,
    /// It is a message already.
    pub top: bool,
    /// An extension under which some client would save it.
    pub extension: Option<&'static str>,
}

impl From<Vec<u8>> for Entity {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, planted: None, top: false, extension: None }
    }
}

/// One way to write a technique.
pub struct Form {
    /// For people who read a failure.
    pub label: String,
    /// Every client reads it alike, so it need not be ambiguous.
    pub agreed: bool,
    /// The encodings it is about.
    pub encodings: &'static [Encoding],
    /// It makes a part without a name, where short texts are not worth a scan.
    nameless: bool,
    make: Box<dyn Fn(&Case) -> Entity>,
}

/// A message and what is hidden in it.
pub struct Variant {
    /// For people who read a failure.
    pub label: String,
    /// All of it.
    pub message: Vec<u8>,
    /// The payload.
    pub planted: Vec<u8>,
    /// Every client reads it alike.
    pub agreed: bool,
    /// An extension under which some client would save it.
    pub extension: Option<&'static str>,
}

impl Form {
    /// A form that `make` writes.
    pub fn new<E: Into<Entity>>(label: impl Into<String>, make: impl Fn(&Case) -> E + 'static) -> Self {
        let make = Box::new(move |case: &Case| make(case).into());
        Self { label: label.into(), agreed: false, encodings: Encoding::ALL, nameless: false, make }
    }

    /// A form that [`Case::fill`] writes. Without `{body}` or `{leaf}` it is but the fields about the encoding.
    pub fn template(template: impl Into<String>) -> Self {
        let template = template.into();
        let template =
            template.strip_suffix("{leaf}|").map_or(template.clone(), |start| format!("{start}{{leaf}}"));
        let whole =
            ["{body}", "{inner}", "{leaf}", "{dotted}", "{chunked}"].iter().any(|key| template.contains(key));
        let filled = if whole { template.clone() } else { format!("{{fields}}{template}|{{body}}") };
        Self::new(template, move |case| {
            let top = filled.contains("{top}");
            let alone = Case { shape: Shape::Single, ..case.clone() };
            let bytes = if top { alone.fill(&filled) } else { case.fill(&filled) };
            Entity { top, ..bytes.into() }
        })
    }

    /// The same, for one encoding only.
    pub fn only(self, encodings: &'static [Encoding]) -> Self {
        Self { encodings, ..self }
    }

    /// The same, for payloads that are files even without a name.
    pub fn nameless(self) -> Self {
        Self { nameless: true, ..self }
    }

    /// The same, which all clients agree on.
    pub fn agreed(self) -> Self {
        self.agreed_if(true)
    }

    /// The same, which all clients agree on if `agreed`.
    pub fn agreed_if(self, agreed: bool) -> Self {
        Self { agreed, ..self }
    }

    /// The variants of the form, which is the `index`th of its row.
    pub fn variants(&self, index: usize) -> Vec<Variant> {
        let turns = (0..Kind::ALL.len()).filter(|&turn| !(self.nameless && Kind::ALL[turn].is_text()));
        turns.map(|turn| self.variant(index, turn)).collect()
    }

    fn variant(&self, index: usize, turn: usize) -> Variant {
        let kind = Kind::ALL[turn];
        let encoding = self.encodings[(turn / 3 + index) % self.encodings.len()];
        let shape = [Shape::Single, Shape::Mixed, Shape::Nested][(turn + index) % 3];
        let style = if kind.is_text() { turn % 2 } else { (turn + index / 2) % FIELDS.len() };
        let payload = kind.bytes((index * 10 + turn) as u32);
        self.written(
            &Case { payload, encoding, shape, fields: FIELDS[style], leaf: None },
            format!("{kind:?}"),
        )
    }

    /// The entity that the form makes of `case`.
    pub fn entity(&self, case: &Case) -> Entity {
        (self.make)(case)
    }

    /// The form, written for `case`.
    fn written(&self, case: &Case, kind: String) -> Variant {
        let entity = self.entity(case);
        let message = if entity.top { entity.bytes } else { case.shape.around(&entity.bytes) };
        let label = format!("{:?} ({kind}, {:?}, {:?})", self.label, case.encoding, case.shape);
        let planted = entity.planted.unwrap_or_else(|| case.payload.clone());
        Variant { label, message, planted, agreed: self.agreed, extension: entity.extension }
    }
}

/// What a payload can be called; the first two make a file of it.
pub const FIELDS: [&str; 4] = [
    "Content-Type: application/octet-stream; name=\"x.bin\"\r\nContent-Disposition: attachment; filename=\"x.bin\"\r\n",
    "Content-Disposition: attachment; filename=x.bin\r\n",
    "Content-Type: text/plain; charset=us-ascii\r\n",
    "Content-Type: application/x-unheard-of\r\n",
];

impl Case {
    /// `template` with its placeholders filled in; `|` is a CRLF.
    pub fn fill(&self, template: &str) -> Vec<u8> {
        let name = self.encoding.name();
        let (start, end) = name.split_at(3);
        let hex: String = name.bytes().map(|byte| format!("={byte:02X}")).collect();
        let mut text = template.replace('|', "\r\n");
        let body = if text.ends_with("{leaf}") { self.body() } else { self.inner_body() };
        let leaf = match self.leaf {
            Some(_) => LEAF.into(),
            None => format!("{}{FIELD}: {name}\r\n\r\n{body}", self.fields),
        };
        for (key, value) in [
            ("{leaf}", leaf),
            ("{text}", "Content-Type: text/plain\r\n\r\nHello, see below.".into()),
            ("{file}", "Content-Type: a/b; name=y.txt\r\n\r\nHello, see below.".into()),
            (
                "{encoded}",
                "Content-Type: a/b; name=y.bin\r\nContent-Transfer-Encoding: base64\r\n\r\nSGVsbG8=".into(),
            ),
            ("{top}", TOP.into()),
            ("{fields}", self.fields.into()),
            ("{H}", FIELD.into()),
            ("{n}", name.into()),
            ("{o}", self.encoding.other().name().into()),
            ("{a}", start.into()),
            ("{z}", end.into()),
            ("{N}", name.to_ascii_uppercase()),
            ("{b64}", base64(name.as_bytes())),
            ("{hex}", hex),
            ("{body}", self.body()),
            ("{inner}", self.inner_body()),
            ("{dotted}", wrapped(&base64(&self.payload), 1).replace("\r\n", ".")),
            ("{chunked}", self.payload.chunks(40).map(|piece| base64(piece) + "\r\n").collect()),
        ] {
            if text.contains(key) {
                text = text.replace(key, &value);
            }
        }
        let Some(leaf) = &self.leaf else { return text.into_bytes() };
        text.split(LEAF).map(str::as_bytes).collect::<Vec<_>>().join(&leaf[..])
    }

    /// The encoded payload; ends so that a CRLF behind it does not count.
    pub fn body(&self) -> String {
        let open = self.encoding == Encoding::QuotedPrintable && self.shape == Shape::Single;
        self.inner_body() + if open { "=" } else { "" }
    }

    /// The encoded payload.
    pub fn inner_body(&self) -> String {
        match self.encoding {
            Encoding::Base64 => wrapped(&base64(&self.payload), 76),
            Encoding::QuotedPrintable => quoted_printable(&self.payload),
        }
    }

    /// An entity with the fields of the case, its encoding and `body`.
    pub fn with_body(&self, body: &[u8]) -> Vec<u8> {
        let header = format!("{}{FIELD}: {}\r\n\r\n", self.fields, self.encoding.name());
        [header.as_bytes(), body].concat()
    }
}

impl Shape {
    /// The message with `entity` in its place.
    pub fn around(self, entity: &[u8]) -> Vec<u8> {
        let message = |entity: &[u8]| [TOP.as_bytes(), entity, b"\r\n"].concat();
        match self {
            Self::Single => message(entity),
            Self::Mixed => message(&multipart("=_outer", entity)),
            Self::Nested => message(&multipart("=_outer", &multipart("=_inner", entity))),
        }
    }
}

/// A multipart of a text and `entity`.
pub fn multipart(boundary: &str, entity: &[u8]) -> Vec<u8> {
    let start = format!(
        "Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\nThis is a multi-part message in MIME format.\r\n\
         --{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello,\r\nsee the attachment.\r\n--{boundary}\r\n"
    );
    [start.as_bytes(), entity, format!("\r\n--{boundary}--").as_bytes()].concat()
}

/// A form for each template.
pub fn forms(templates: &[&str]) -> Vec<Form> {
    templates.iter().map(|&template| Form::template(template)).collect()
}

/// The same, of what all clients agree on.
pub fn agreed(templates: &[&str]) -> Vec<Form> {
    templates.iter().map(|&template| Form::template(template).agreed()).collect()
}
