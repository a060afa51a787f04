// SPDX-License-Identifier: GPL-3.0-or-later
//! Two techniques at once, so that a repair of the one does not hide the other.

use super::message::{Encoding, Form, forms};

pub fn structure_and_data() -> Vec<Form> {
    let templates = [
        "Content-Type: multipart/mixed; boundary=aa|Content-Type: multipart/mixed; boundary=bb||--bb|{fields}{H}: {n}||{dotted}|--bb--|",
        "Content-Type: multipart/mixed; boundary=aa; boundary=bb||--aa|{text}|--bb|{fields}{H}: {n}||{chunked}|--bb--|",
        "Content-Type: multipart/mixed; boundary=aa||--aa|{text}|--aa|{fields}{H}: {n}||{chunked}|",
        "Content-Type: multipart/mixed; boundary=aa||--aa|{text}|--aa|{fields}{H}: {n}||{dotted}|",
        "Content-Type: multipart/mixed; boundary=aa||--aa|{text}|--aa--|{fields}{H}: {n}||{dotted}|",
        "Content-Type: multipart/mixed; boundary=aa||{fields}{H}: {n}||{chunked}|--aa|{text}|--aa--|",
        "Content-Type: multipart/mixed||--aa|{text}|--aa|{fields}{H}: {n}||{dotted}|--aa--|",
        "Content-Type: text/plain||--aa|{text}|--aa|{fields}{H}: {n}||{chunked}|--aa--|",
        "Content-Type: multipart/mixed; boundary=\"aa\"bb||--aa|{text}|--aabb|{fields}{H}: {n}||{dotted}|--aa--|",
        "Content-Type: multipart/mixed; boundary=aa||--aa|{text}| --aa|{fields}{H}: {n}||{chunked}|--aa--|",
        "Content-Type: multipart/mixed; boundary=aa|{H}: {n}||{dotted}",
        "Content-Type: multipart/mixed|{fields}{H}: {n}||{chunked}",
    ];
    forms(&templates).into_iter().map(|form| form.only(&[Encoding::Base64])).collect()
}

pub fn header_and_data() -> Vec<Form> {
    let templates = [
        "{fields}{H}: {o}|{H}: {n}||{dotted}",
        "{fields}{H}: {n}|{H}: {o}||{chunked}",
        "{fields}{H}: {n}, {o}||{dotted}",
        "{fields}{H}: {a}(){z}||{dotted}",
        "{fields}{H}: \"{n}\"||{chunked}",
        "{fields}{H}: x{n}||{dotted}",
        "{fields}{H} {n}||{dotted}",
        "{fields}XXXX|{H}: {n}||{dotted}",
        "{fields}|{H}: {n}||{dotted}",
        "{fields}|{H}: {n}||{chunked}",
        "{fields}{H}: {n}|{dotted}",
        "{fields}{H}: {n}|ABC:|{dotted}",
        "{fields}{H}: {n}| |{chunked}",
    ];
    forms(&templates).into_iter().map(|form| form.only(&[Encoding::Base64])).collect()
}

pub fn structure_and_header() -> Vec<Form> {
    forms(&[
        "Content-Type: multipart/mixed; boundary=aa||--aa|{text}|--aa|{fields}XXXX|{H}: {n}||{body}|",
        "Content-Type: multipart/mixed; boundary=aa||--aa|{text}|--aa|{fields}|{H}: {n}||{body}|",
        "Content-Type: multipart/mixed; boundary=aa|Content-Type: multipart/mixed; boundary=bb||--bb|{fields}{H}: {o}|{H}: {n}||{body}|--bb--|",
        "Content-Type: multipart/mixed; boundary=aa|Content-Type: multipart/mixed; boundary=bb||--aa|{fields}{H}: {n} {o}||{body}|--aa--|",
        "Content-Type: multipart/mixed; boundary=(bb)aa||--aa|{text}|--aa|{fields}{H}: ({n}||{body}|--aa--|",
        "Content-Type: multipart/mixed; boundary*0=a; boundary*1=a||--aa|{fields}{H}: =?utf-8?B?{b64}?=||{body}|--aa--|",
        "Content-Type: multipart/mixed; boundary=aa||--aa|{text}|--aa|Content-Type: multipart/mixed; boundary=bb|{H}: {o}|{H}: {n}||--bb|{leaf}|--bb--|--aa--|",
        "Content-Type: multipart/mixed; boundary=aa||--aa|Content-Type: multipart/mixed||--cc|{leaf}|--cc--|--aa--|",
        "Content-Type: multipart/mixed; boundary=aa||--aa|Content-Type: message/rfc822||{fields}{H}: {n}|{H}: {o}||{body}|--aa--|",
        "Content-Type: multipart/mixed; boundary=aa||--aa|Content-Type: message/rfc822|{H}: xxx||{leaf}|--aa--|",
        "Content-Type: multipart/mixed; boundary=aa||--aa|Content-Type: message/rfc822|| |{fields}{H} : {n}||{body}|--aa--|",
        "Content-Type(x): multipart/mixed; boundary=aa||--aa|{text}|--aa|{fields}{H}(x): {n}||{body}|--aa--|",
        "X: y\rContent-Type: multipart/mixed; boundary=aa||--aa|{fields}X: y\r{H}: {n}||{body}|--aa--|",
        "multipart/mixed||--aa|{text}|--aaX|{fields}{H}: x-{n}||{body}|--aa--|",
        "Content-Type: multipart/mixed; boundary=aa||--aa|{text}|--aa--|--aa|{fields}{H}: {n};||{body}|--aa--|",
        "Content-Type: multipart/mixed; boundary=aa||--aa|{text}|\r--aa\r|{fields}{H}:\x0b{n}||{body}|--aa--|",
        "Content-Type: multipart/mixed; boundary=aa; boundary=bb|Content-Type: multipart/mixed; boundary=cc; boundary=dd||--cc|{leaf}|--cc--|",
        "Content-Type: multipart/mixed; boundary=aa; boundary=bb|Content-Type: multipart/mixed; boundary=cc; boundary=dd||--dd|{leaf}|--dd--|",
        "Content-Type: multipart/mixed; boundary=aa; boundary=bb|Content-Type: multipart/mixed; boundary=cc; boundary=dd||--bb|{leaf}|--bb--|",
    ])
}
