// SPDX-License-Identifier: GPL-3.0-or-later
//! The field that names the transfer encoding: its value.

use super::message::{Form, agreed, forms};

pub fn two_fields() -> Vec<Form> {
    forms(&[
        "{H}: {n}|{H}: {o}|",
        "{H}: {o}|{H}: {n}|",
        "{H}: {n}|{H}: 7bit|",
        "{H}: 7bit|{H}: {n}|",
        "{H}: 8bit|{H}: {n}|",
        "{H}: {n}|{H}: binary|",
        "{H}: {n}|X-Other: 1|{H}: {o}|",
    ])
}

pub fn two_values() -> Vec<Form> {
    forms(&[
        "{H}: {n}, {o}|",
        "{H}: {o}, {n}|",
        "{H}: {n} {o}|",
        "{H}: {o} {n}|",
        "{H}: {n};{o}|",
        "{H}: 7bit, {n}|",
        "{H}: {n},7bit|",
        "{H}: 8bit {n}|",
        "{H}: {n}| {o}|",
        "{H}: {o}|\t{n}|",
    ])
}

pub fn unknown_beside() -> Vec<Form> {
    forms(&[
        "{H}: {n}|{H}: xxx|",
        "{H}: xxx|{H}: {n}|",
        "{H}: {n}|{H}: |",
        "{H}: |{H}: {n}|",
        "{H}:|{H}: {n}|",
        "{H}: {n}|{H}: {n}|{H}: xxx|",
        "{H}: xxx|{H}: {n}|{H}: xxx|",
        "{H}: xxx|{H}: xxx|{H}: {n}|",
        "{H}: {n}|{H}: xxx|{H}: {n}|",
        "{H}: {n}|{H}: {o}|{H}: {n}|",
        "{H}: x|{H}: x1|{H}: x2|{H}: x3|{H}: x4|{H}: {n}|{H}: x5|{H}: x6|{H}: x7|{H}: x8|{H}: x9|{H}: x10|",
    ])
}

pub fn junk_around() -> Vec<Form> {
    forms(&[
        "{H}: {n} xx|",
        "{H}: xx {n}|",
        "{H}: xx{n}|",
        "{H}: {n}xx|",
        "{H}: {n}5|",
        "{H}: {n}-|",
        "{H}: {n},|",
        "{H}: ,{n}|",
        "{H}: {n};|",
        "{H}: ;{n}|",
        "{H}: {n}{n}|",
        "{H}: x-{n}|",
        "{H}: \"{n}\"|",
        "{H}: '{n}'|",
        "{H}: <{n}>|",
        "{H}: \"{n}|",
        "{H}: {a}\\{z}|",
        "{H}: \"{a}\\{z}\"|",
        "{H}: {a}\"{z}\"|",
        "{H}: {a} {z}|",
        "{H}: {n}\u{a0}|",
        "{H}: {a}\u{200b}{z}|",
        "{H}: {n}.|",
        "{H}: {n}; charset=x|",
        "{H}: {n}=|",
        "{H}: ={n}|",
        "{H}: {n}\\|",
        "{H}: \\{n}|",
    ])
}

pub fn comments() -> Vec<Form> {
    let agreed = agreed(&["{H}: {n} (x)|", "{H}: (x) {n}|"]);
    let mixed = forms(&[
        "{H}: {a}(){z}|",
        "{H}: {a}(| ){z}|",
        "{H}: ({n})|",
        "{H}: {n}({o}|",
        "{H}: {n} ({o}|",
        "{H}: (| x) {n}|",
        "{H}: {n} (| x)|",
        "{H}: {n}(x|",
        "{H}: ({n}|",
        "{H}: ((x)) {n}|",
        "{H}: (\\)) {n}|",
        "{H}: ({o}) {n}|",
        "{H}: ({n}) {o}|",
        "{H}: {n} ({o})|",
        "{H}: {n})|",
        "{H}: ){n}|",
        "{H}: (\") {n} (\")|",
        "{H}: \"(\" {n} \")\"|",
        "{H}: {a}((x)(y)){z}|",
    ]);
    agreed.into_iter().chain(mixed).collect()
}

pub fn encoded_words() -> Vec<Form> {
    forms(&[
        "{H}: =?UTF-8?B?{b64}?=|",
        "{H}: =?US-ASCII?Q?{n}?=|",
        "{H}: {a}=?US-ASCII?Q?{z}?=|",
        "{H}: =?us-ascii?q?{a}?={z}|",
        "{H}: =?us-ascii*en?Q?{hex}?=|",
        "{H}: =?us-ascii?Q?{a}?= =?us-ascii?Q?{z}?=|",
        "{H}: =?us-ascii?Q?{a}?=| =?us-ascii?Q?{z}?=|",
        "{H}: \"=?us-ascii?Q?{n}?=\"|",
        "{H}: =?x-unknown?B?{b64}?=|",
        "{H}: =?utf-8?Q?_{n}_?=|",
    ])
}

pub fn white_space() -> Vec<Form> {
    let agreed =
        agreed(&["{H}:{n}|", "{H}:\t{n}|", "{H}: {n} \t|", "{H}:| {n}|", "{H}: {N}|", "{H}:\n {n}|"]);
    let blanks = Form::template(format!("{{H}}:{}{{n}}|", " ".repeat(2000))).agreed();
    let mixed = forms(&[
        "{H}:\x0b{n}|",
        "{H}:\x0c{n}|",
        "{H}:\r{n}|",
        "{H}: \r {n}|",
        "{H}: {n}\r|",
        "{H}: {n}\x0b|",
        "{H} :{n}|",
        "{H}\t: {n}|",
        "{H}| :{n}|",
        "{H}|\t: {n}|",
        "{H}:| | {n}|",
        "{H}:|\t|\t{n}|",
        "{H}: {a}| {z}|",
        "{H}: {a}|\t{z}|",
        "{H}:\r {n}|",
        "{H}:\u{a0}{n}|",
    ]);
    agreed.into_iter().chain([blanks]).chain(mixed).collect()
}
