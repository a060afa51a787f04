// SPDX-License-Identifier: GPL-3.0-or-later
//! What is hidden, and the two ordinary ways to encode it. The encoders are written for these tests, so that they share
//! no code with the decoders under test.

/// What a payload is made like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A program: line ends, NULs and 8-bit bytes.
    Program,
    /// A short archive.
    Archive,
    /// 68 printable characters, as scanners' test files are.
    Printable,
    /// A document of 5 KiB.
    Document,
    /// Source text of 300 bytes.
    Script,
    /// 3 KB that begin like nothing known.
    Noise,
}

impl Kind {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Program, Self::Archive, Self::Printable, Self::Document, Self::Script, Self::Noise];

    /// True where a mail client would show the payload as text, if it had no name.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Printable | Self::Script)
    }

    /// The bytes. They differ from one `seed` to the next.
    pub fn bytes(self, seed: u32) -> Vec<u8> {
        match self {
            Self::Program => {
                [&b"MZ\x90\0\x03\r\n\0\x04\n\0\xff\r\0.text\0\0\r\n\r\n"[..], &noise(seed, 175)].concat()
            }
            Self::Archive => [&b"PK\x03\x04\x14\0\0\0\x08\0"[..], &noise(seed, 170)].concat(),
            Self::Printable => {
                format!("X5Q!T%@AP[4\\PZX54(P^)7CC)7}}$THUNDERGATE-TEST-{seed:010}-FILE!$H+H*++").into_bytes()
            }
            Self::Document => [&b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"[..], &noise(seed, 5105)].concat(),
            Self::Script => script(seed),
            Self::Noise => [&[0xb5, 0x1f, 0x02][..], &noise(seed, 3000)].concat(),
        }
    }
}

fn script(seed: u32) -> Vec<u8> {
    let start = format!("var s=new ActiveXObject('WScript.Shell');\r\nvar n={seed};\r\n");
    let line = "for(i=0;i<n;i++){s.Run('calc.exe',i,false);}\r\n";
    let mut text = start + &line.repeat(7);
    text.truncate(300);
    text.into_bytes()
}

/// `count` bytes that look random (xorshift32).
pub fn noise(seed: u32, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 9) as u8
    };
    (0..count).map(step).collect()
}

/// Base64 without line ends.
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let symbol = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= group.len() { symbol.into() } else { '=' });
        }
    }
    text
}

/// `text` in lines of `width`, CRLF between them.
pub fn wrapped(text: &str, width: usize) -> String {
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(width)
        .map(|line| std::str::from_utf8(line).expect("only ASCII is wrapped"))
        .collect();
    lines.join("\r\n")
}

/// Quoted-printable that keeps letters and digits only, in lines of at most 76 characters.
pub fn quoted_printable(bytes: &[u8]) -> String {
    let (mut text, mut column) = (String::new(), 0);
    for &byte in bytes {
        let unit =
            if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { format!("={byte:02X}") };
        if column + unit.len() > 75 {
            text.push_str("=\r\n");
            column = 0;
        }
        column += unit.len();
        text.push_str(&unit);
    }
    text
}

#[test]
fn the_encoders_do_what_the_standards_say() {
    assert_eq!(["", "f", "fo", "foo"].map(|text| base64(text.as_bytes())), ["", "Zg==", "Zm8=", "Zm9v"]);
    assert_eq!(quoted_printable(b"a=\xff"), "a=3D=FF");
    assert_eq!(wrapped("abcde", 2), "ab\r\ncd\r\ne");
    let sizes = Kind::ALL.map(|kind| kind.bytes(7).len());
    assert_eq!(sizes, [200, 180, 68, 5120, 300, 3003]);
}
