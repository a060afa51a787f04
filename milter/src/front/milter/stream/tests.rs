// SPDX-License-Identifier: GPL-3.0-or-later
//! Packets in pieces of all sizes, and what the session gets of them.

use super::{
    super::fuzzing::{Pieces, Seen, link, runtime, seen},
    *,
};
use proptest::prelude::*;
use tokio::io::AsyncReadExt;

fn packet(command: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len() + 1).unwrap();
    [&length.to_be_bytes(), [command].as_slice(), data].concat()
}

/// What comes out when `bytes` arrive in pieces of `size`.
fn mended(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut pieces = Mended::new(Pieces { bytes, size }, link());
    let mut out = Vec::new();
    runtime().block_on(pieces.read_to_end(&mut out)).unwrap();
    out
}

#[test]
fn the_ipv6_tag_of_sendmail_is_removed() {
    let sendmail = packet(b'C', b"host.example\x006\x00\x19IPv6:2001:db8::1\0");
    let bare = packet(b'C', b"host.example\x006\x00\x192001:db8::1\0");
    let v4 = packet(b'C', b"host.example\x004\x00\x19192.0.2.1\0");
    for size in [1, 3, 1000] {
        assert_eq!(mended(&sendmail, size), bare);
        assert_eq!(mended(&bare, size), bare);
        assert_eq!(mended(&v4, size), v4);
    }
}

#[test]
fn nobody_is_logged_in_behind_a_message() {
    for end in [packet(b'E', b""), packet(b'E', b"last"), packet(b'A', b"")] {
        let next = packet(b'M', b"<a@x.example>\0");
        let expected = [end.as_slice(), NOBODY, &next].concat();
        for size in [1, 7, 1000] {
            assert_eq!(mended(&[end.as_slice(), &next].concat(), size), expected);
        }
    }
}

#[test]
fn a_session_ends_at_quit_nc() {
    let quit = [packet(b'H', b"a\0"), packet(b'K', b""), packet(b'H', b"b\0")].concat();
    assert_eq!(mended(&quit, 1000), packet(b'H', b"a\0"));
}

#[test]
fn macros_that_nobody_asks_for_are_left_out() {
    let [rcpt, end] = [packet(b'D', b"R{rcpt_addr}\0a@b.example\0"), packet(b'D', b"Ei\x001\0")];
    let mail = packet(b'D', b"M{mail_addr}\0a@b.example\0{auth_authen}\0bert\0{i}\x001\0v\0x\0");
    let used = packet(b'D', b"M{auth_authen}\0bert\0{i}\x001\0");
    let none = packet(b'D', b"M{mail_addr}\0a@b.example\0");
    for size in [1, 1000] {
        assert_eq!(mended(&[&rcpt[..], &end, &rcpt, &rcpt, &end].concat(), size), [&end[..], &end].concat());
        assert_eq!(
            mended(&[&mail[..], &none].concat(), size),
            [used.clone(), packet(b'D', b"M{}\0\0")].concat()
        );
        for odd in [packet(b'D', b"M"), packet(b'D', b"Mi\0one")] {
            assert_eq!(mended(&odd, size), odd);
        }
    }
}

#[test]
fn a_packet_that_is_too_long_is_not_read_and_ends_the_connection() {
    let first = packet(b'H', b"a\0");
    for command in *b"DCHMRUTOX" {
        let fits = packet(command, &vec![b'x'; LONGEST_COMMAND]);
        let long = packet(command, &vec![b'x'; LONGEST_COMMAND + 1]);
        assert!(mended(&fits, 1000) == fits, "{command}");
        assert!(mended(&[&first[..], &long, &first].concat(), 1000) == first, "{command}");
    }
    let chunk = packet(b'B', &vec![b'x'; LONGEST_CHUNK + 1]);
    assert!(mended(&[&first[..], &chunk].concat(), 1 << 20) == first);
    let announced = [&first[..], &[0xff; 4], b"L"].concat();
    assert_eq!(mended(&announced, 1), first);
}

/// Two messages whose MTA waits for no reply at all: what is taken must find its place all the same.
#[test]
fn what_the_session_gets_keeps_its_place() {
    let message = |n: u8| {
        let field = packet(b'L', &[b"X", &[b'0' + n][..], b"\0 v\0"].concat());
        let body = packet(b'B', &vec![b'a' + n; 40_000]);
        [packet(b'M', b"<a@x.example>\0"), field, packet(b'N', b""), body, packet(b'E', b"end")].concat()
    };
    let expected = |n: u8| {
        let body = String::from_utf8(vec![b'a' + n; 40_000]).unwrap();
        format!("X{n}: v\r\n\r\n{body}end").into_bytes()
    };
    for size in [1000, 100_000] {
        for (options, header) in [(ProtoOpts::NOREPLY_HEADER, 0), (ProtoOpts::empty(), 1)] {
            let Seen { packets, mut messages } = seen(&[message(0), message(1)].concat(), size, options);
            let last = messages.pop();
            let fields = packets.iter().filter(|(command, _)| *command == b'L').count();
            assert_eq!((fields, last), (2 * header, Some(expected(1))));
            let bodies: Vec<_> = packets.iter().filter(|(command, _)| b"BE".contains(command)).collect();
            assert_eq!(bodies, [&(b'B', 1), &(b'E', 0), &(b'B', 1), &(b'E', 0)]);
        }
    }
}

proptest! {
    #[test]
    fn nonsense_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1_usize..50) {
        mended(&bytes, size);
    }

    #[test]
    fn bodies_without_a_message_pass_as_they_are(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..5), size in 1_usize..50) {
        let bytes: Vec<u8> = bodies.iter().flat_map(|body| packet(b'B', body)).collect();
        prop_assert_eq!(mended(&bytes, size), bytes);
    }

    #[test]
    fn a_message_is_collected_whatever_pieces_it_comes_in(
        chunks in prop::collection::vec(0_usize..70_000, 0..4),
        size in prop::sample::select(vec![7, 100, 5_000, 20_000, 1 << 20]),
    ) {
        let mut bytes = [packet(b'M', b"<a@x.example>\0"), packet(b'L', b"A\0 b\0"), packet(b'N', b"")].concat();
        let mut body = Vec::new();
        for (n, length) in chunks.into_iter().enumerate() {
            let chunk: Vec<u8> = (0..length).map(|at| (at % 251) as u8 ^ n as u8).collect();
            bytes.extend(packet(b'B', &chunk));
            body.extend(chunk);
        }
        bytes.extend(packet(b'E', b""));
        let message = seen(&bytes, size, ProtoOpts::NOREPLY_HEADER).messages.pop().unwrap();
        prop_assert_eq!(message, [b"A: b\r\n\r\n", &body[..]].concat());
    }
}
