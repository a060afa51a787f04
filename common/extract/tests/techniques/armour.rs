// SPDX-License-Identifier: GPL-3.0-or-later
//! The rarer ways to turn bytes into text, and the checksums they need.

/// The lines of a uuencoded file, without `begin` and `end`.
pub fn uu_lines(bytes: &[u8]) -> String {
    let symbol = |bits: u32| if bits & 63 == 0 { '`' } else { char::from(32 + (bits & 63) as u8) };
    let mut text = String::new();
    for line in bytes.chunks(45) {
        text.push(symbol(line.len() as u32));
        for group in line.chunks(3) {
            let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            text.extend([18, 12, 6, 0].map(|shift| symbol(bits >> shift)));
        }
        text.push_str("\r\n");
    }
    text
}

/// A whole uuencoded file.
pub fn uuencode(bytes: &[u8]) -> String {
    format!("begin 644 x.exe\r\n{}`\r\nend\r\n", uu_lines(bytes))
}

/// A file in yEnc, in lines of 128.
pub fn yenc(bytes: &[u8]) -> Vec<u8> {
    let mut text = format!("=ybegin line=128 size={} name=x.exe\r\n", bytes.len()).into_bytes();
    for line in bytes.chunks(128) {
        for &byte in line {
            match byte.wrapping_add(42) {
                special @ (0 | b'\r' | b'\n' | b'=' | b'.') => text.extend([b'=', special.wrapping_add(64)]),
                plain => text.push(plain),
            }
        }
        text.extend(b"\r\n");
    }
    text.extend(format!("=yend size={} crc32={:08x}\r\n", bytes.len(), crc32(bytes)).bytes());
    text
}

/// A file in BinHex 4.0 with an empty resource fork.
pub fn binhex(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr";
    let mut file = b"\x05x.exe\0APPLdosa\0\0".to_vec();
    file.extend((bytes.len() as u32).to_be_bytes());
    file.extend([0; 4]);
    file.extend(crc16(&file).to_be_bytes());
    file.extend(bytes);
    file.extend(crc16(bytes).to_be_bytes());
    file.extend([0; 2]);
    let escaped: Vec<u8> =
        file.iter().flat_map(|&byte| if byte == 0x90 { vec![0x90, 0] } else { vec![byte] }).collect();
    let mut data = String::from(":");
    for group in escaped.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let symbols = [18, 12, 6, 0].map(|shift| char::from(ALPHABET[(bits >> shift) as usize & 63]));
        data.extend(&symbols[..=group.len()]);
    }
    data.push(':');
    let lines = super::payload::wrapped(&data, 64);
    format!("(This file must be converted with BinHex 4.0)\r\n\r\n{lines}\r\n")
}

/// A gzip file that stores `bytes` as they are.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let trailer = [crc32(bytes).to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat();
    [&header[..], &stored(bytes), &trailer].concat()
}

/// A zlib stream that stores `bytes` as they are.
pub fn zlib(bytes: &[u8]) -> Vec<u8> {
    let (mut one, mut two) = (1_u32, 0_u32);
    for &byte in bytes {
        one = (one + u32::from(byte)) % 65521;
        two = (two + one) % 65521;
    }
    [&[0x78, 1][..], &stored(bytes), &(two << 16 | one).to_be_bytes()].concat()
}

/// Deflate blocks without compression.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let count = bytes.chunks(60_000).count();
    let block = |(index, block): (usize, &[u8])| {
        let length = block.len() as u16;
        [&[u8::from(index + 1 == count)][..], &length.to_le_bytes(), &(!length).to_le_bytes(), block].concat()
    };
    bytes.chunks(60_000).enumerate().flat_map(block).collect()
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, &byte: &u8| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ ((crc & 1) * 0xedb8_8320))
    };
    !bytes.iter().fold(!0, step)
}

fn crc16(bytes: &[u8]) -> u16 {
    let step = |crc: u16, &byte: &u8| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| (crc << 1) ^ ((crc >> 15) * 0x1021))
    };
    bytes.iter().fold(0, step)
}

#[test]
fn the_armours_do_what_their_definitions_say() {
    assert_eq!(uu_lines(b"Cat"), "#0V%T\r\n");
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(crc16(b"123456789"), 0x31c3);
    assert_eq!(zlib(b"Wikipedia")[14 + 2..], 0x11e6_0398_u32.to_be_bytes());
}
