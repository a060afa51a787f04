// SPDX-License-Identifier: GPL-3.0-or-later
//! What stands in mails besides sentences and looks like passwords: article numbers, names, accounts, links.

use fastrand::Rng;

const NAMES: &[&str] = &[
    "Abel", "Bergmann", "Castro", "Dvorak", "Eriksen", "Fischer", "Garcia", "Horvat", "Ivanov", "Jansen",
    "Kowalski", "Lefevre", "Moretti", "Novak", "Olsen", "Petrov", "Quinn", "Rossi", "Sato", "Tanaka", "Ueda",
    "Varga", "Weber", "Xu", "Yilmaz", "Zhang", "Almeida", "Becker", "Costa", "Demir", "Engel", "Ferrari",
    "Gruber", "Hansen", "Ito", "Jung",
];
const GOODS: &[&str] = &[
    "Bolt", "Cable", "Drill", "Filter", "Gasket", "Hinge", "Lamp", "Motor", "Pump", "Relay", "Sensor",
    "Valve", "Bracket", "Fuse", "Socket", "Switch", "Spring", "Washer",
];
const CAPITALS: &str = "ABCDEFGHKLMNPRSTUVWXYZ";
const ANY: &str = "abcdefghkmnpqrstuvwxyzABCDEFGHKLMNPQRSTUVWXYZ23456789";

/// A paragraph of one of these; none in every other mail.
pub(crate) fn paragraph(rng: &mut Rng) -> Option<String> {
    Some(match rng.u8(0..8) {
        0 | 1 => lines(rng, 12, |rng| {
            let (code, pieces, price) = (article(rng), rng.u32(1..900), rng.u32(100..99_999));
            format!("{code}  {}  {pieces} x {}.{:02}", pick(GOODS, rng), price / 100, price % 100)
        }),
        2 => lines(rng, 8, |rng| {
            let (first, last) = (pick(NAMES, rng), pick(NAMES, rng));
            let host = characters("abcdefgh", 5, rng);
            format!("{first} {last} <{}@{host}.example> +{}", last.to_lowercase(), number(11, rng))
        }),
        3 => {
            let (account, bank) = (number(18, rng), characters(CAPITALS, 8, rng));
            format!("IBAN DE{account}, BIC {bank}XXX, VAT DE{}, Ref. {}", number(9, rng), article(rng))
        }
        4 => {
            let (path, query) = (characters(ANY, 12, rng), characters(ANY, 22, rng));
            format!("https://click.example.net/{path}?u={query}&id={}", number(6, rng))
        }
        _ => return None,
    })
}

fn lines(rng: &mut Rng, most: usize, line: fn(&mut Rng) -> String) -> String {
    let lines: Vec<String> = (0..rng.usize(3..=most)).map(|_| line(rng)).collect();
    lines.join("\n")
}

/// Such as `KX-48213-B`.
fn article(rng: &mut Rng) -> String {
    let (start, digits) = (characters(CAPITALS, 2, rng), number(5, rng));
    match rng.u8(0..3) {
        0 => format!("{start}{digits}"),
        1 => format!("{start}-{digits}"),
        _ => format!("{start}-{digits}-{}", characters(CAPITALS, 1, rng)),
    }
}

fn number(length: usize, rng: &mut Rng) -> String {
    characters("0123456789", length, rng)
}

/// So many of the ASCII characters `of`.
pub(crate) fn characters(of: &str, length: usize, rng: &mut Rng) -> String {
    (0..length).filter_map(|_| rng.choice(of.as_bytes()).map(|&byte| char::from(byte))).collect()
}

fn pick(of: &[&'static str], rng: &mut Rng) -> &'static str {
    rng.choice(of).copied().unwrap_or_default()
}
