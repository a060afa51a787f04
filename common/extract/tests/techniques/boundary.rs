// SPDX-License-Identifier: GPL-3.0-or-later
//! Where the boundary is said: all that readers differ about in one Content-Type.

use super::message::Form;

/// Parts between delimiters with `{d}`, below a header. `aa` and `bb` are the names that headers use.
const PARTS: &str = "|--{d}|{text}|--{d}|{leaf}|--{d}--|";
/// The same, inside the first part of a multipart with the other boundary.
const DECOYED: &str = "|--{other}|{text}|--{d}|{leaf}|--{d}--||--{other}--|";

/// Parameters and delimiters that all clients read alike.
const AGREED: [(&str, &str); 18] = [
    ("boundary=a%5Fa", "a%5Fa"),
    ("boundary=\"(bb)aa\"", "(bb)aa"),
    ("boundary=\"aa;bb\"", "aa;bb"),
    ("boundary=\"aa=bb\"", "aa=bb"),
    ("boundary=aa=bb", "aa=bb"),
    ("boundary==aa", "=aa"),
    ("boundary=\"aa;\"", "aa;"),
    ("foo=\"bla\\\\\";boundary=aa", "aa"),
    ("x=\"\"; boundary=aa", "aa"),
    ("boundary=\"a a\"", "a a"),
    ("boundary=\"--aa\"", "--aa"),
    ("boundary=aa--", "aa--"),
    ("|\tboundary=aa", "aa"),
    ("boundary=\"aa \"", "aa"),
    ("x=\"(\"; boundary=aa; y=\")\"", "aa"),
    ("boundary=a?b/c:d", "a?b/c:d"),
    ("boundary='aa'", "'aa'"),
    ("\n boundary=aa", "aa"),
];

/// A form for each pair of a header and the delimiter that counts; a second one where there is another boundary.
pub fn pairs(pairs: &[(&str, &str)]) -> Vec<Form> {
    let form = |&(header, delimiter): &(&str, &str), parts: &str| {
        let agreed =
            AGREED.iter().any(|&(end, known)| header.ends_with(&format!(" {end}")) && known == delimiter);
        Form::template(format!("{header}|{}", parts.replace("{d}", delimiter))).agreed_if(agreed)
    };
    let decoyed = |pair: &(&str, &str)| {
        let other = if pair.1 == "aa" { "bb" } else { "aa" };
        pair.0.contains(other).then(|| form(pair, &DECOYED.replace("{other}", other)))
    };
    pairs.iter().map(|pair| form(pair, PARTS)).chain(pairs.iter().filter_map(decoyed)).collect()
}

/// A form for each header, with `aa` as what counts.
pub fn all(headers: &[&str]) -> Vec<Form> {
    let pair: Vec<_> = headers.iter().map(|&header| (header, "aa")).collect();
    pairs(&pair)
}

pub fn two_types() -> Vec<Form> {
    let both = |header| [(header, "aa"), (header, "bb")];
    pairs(
        &[
            "Content-Type: multipart/mixed; boundary=aa|Content-Type: multipart/mixed; boundary=bb",
            "Content-Type: multipart/mixed; boundary=aa|X-Y: z|content-type: multipart/alternative; boundary=bb",
            "Content-Type: multipart/mixed; boundary=\"aa\"|CONTENT-TYPE: multipart/related; boundary=\"bb\"",
        ]
        .into_iter()
        .flat_map(both)
        .chain([
            ("Content-Type: text/plain|Content-Type: multipart/mixed; boundary=aa", "aa"),
            ("Content-Type: multipart/mixed; boundary=aa|Content-Type: text/plain", "aa"),
            ("Content-Type: multipart/mixed; boundary=aa|Content-Type: application/pdf; name=bb.pdf", "aa"),
            ("Content-Type: multipart/mixed; boundary=aa|Content-Type: multipart/mixed", "aa"),
            ("Content-Type: multipart/mixed|Content-Type: multipart/mixed; boundary=aa", "aa"),
            ("Content-Type: multipart/mixed; boundary=bb|Content-Type: multipart/mixed; boundary=aa|Content-Type: multipart/mixed; boundary=cc", "aa"),
        ])
        .collect::<Vec<_>>(),
    )
}

pub fn two_boundaries() -> Vec<Form> {
    let both = |header| [(header, "aa"), (header, "bb")];
    let headers = [
        "Content-Type: multipart/mixed; boundary=aa; boundary=bb",
        "Content-Type: multipart/mixed; boundary=aa, boundary=bb",
        "Content-Type: multipart/mixed; boundary=\"aa\"; boundary=\"bb\"",
        "Content-Type: multipart/mixed; boundary=\"aa\", boundary=\"bb\"",
        "Content-Type: multipart/mixed; boundary=aa;| boundary=bb",
        "Content-Type: multipart/mixed; boundary=aa; BOUNDARY=bb",
        "Content-Type: multipart/mixed; boundary=aa boundary=bb",
        "Content-Type: multipart/mixed; boundary=\"aa\" boundary=\"bb\"",
        "Content-Type: multipart/mixed; boundary=\"aa\"boundary=\"bb\"",
        "Content-Type: multipart/mixed; boundary=\"aa\" \"bb\"",
    ];
    let more = [("Content-Type: multipart/mixed; boundary=x; boundary=aa; boundary=y; boundary=z", "aa")];
    pairs(&headers.into_iter().flat_map(both).chain(more).collect::<Vec<_>>())
}

pub fn sections() -> Vec<Form> {
    let both = |header| [(header, "aa"), (header, "bb")];
    let twice = [
        "Content-Type: multipart/mixed; boundary=aa; boundary*=''bb",
        "Content-Type: multipart/mixed; boundary*=''bb; boundary=aa",
        "Content-Type: multipart/mixed; boundary=aa; boundary*0=b; boundary*1=b",
        "Content-Type: multipart/mixed; boundary*0=b; boundary*1=b; boundary=aa",
        "Content-Type: multipart/mixed; boundary*=us-ascii'en'aa; boundary*=us-ascii'en'bb",
        "Content-Type: multipart/mixed; boundary*0=aa; boundary*0=bb",
        "Content-Type: multipart/mixed; boundary*=aa; boundary*0=b; boundary*1=b",
    ];
    let once = [
        ("Content-Type: multipart/mixed; boundary*0=a; boundary*1=a", "aa"),
        ("Content-Type: multipart/mixed; boundary*1=a; boundary*0=x", "xa"),
        ("Content-Type: multipart/mixed; boundary*1=a; boundary*0=x", "ax"),
        ("Content-Type: multipart/mixed; boundary*0=a; boundary*0=x; boundary*1=a", "aa"),
        ("Content-Type: multipart/mixed; boundary*0=x; boundary*0=a; boundary*1=a", "aa"),
        ("Content-Type: multipart/mixed; boundary*0=a; boundary*2=a", "aa"),
        ("Content-Type: multipart/mixed; boundary*0=aa; boundary*2=x", "aa"),
        ("Content-Type: multipart/mixed; boundary*1=a; boundary*2=a", "aa"),
        ("Content-Type: multipart/mixed; boundary*1=aa", "aa"),
        ("Content-Type: multipart/mixed; boundary*00=a; boundary*01=a", "aa"),
        ("Content-Type: multipart/mixed; boundary*=us-ascii'en'a%5Fa", "a_a"),
        ("Content-Type: multipart/mixed; boundary*=''a%5fa", "a_a"),
        ("Content-Type: multipart/mixed; boundary=a%5Fa", "a%5Fa"),
        ("Content-Type: multipart/mixed; boundary*=a%5Fa", "a_a"),
        ("Content-Type: multipart/mixed; boundary*=a%5Fa", "a%5Fa"),
        ("Content-Type: multipart/mixed; boundary*0*=''a%5F; boundary*1=a", "a_a"),
        ("Content-Type: multipart/mixed; boundary*0*=''a; boundary*1*=%5Fa", "a_a"),
        ("Content-Type: multipart/mixed; boundary*0=a; boundary*1*=%5Fa", "a_a"),
        ("Content-Type: multipart/mixed; boundary*=utf-16be''%00a%00a", "aa"),
        ("Content-Type: multipart/mixed; boundary*=utf-16le''a%00a%00", "aa"),
        ("Content-Type: multipart/mixed; boundary*=utf-16''%FF%FEa%00a%00", "aa"),
        ("Content-Type: multipart/mixed; boundary*=utf-7''aa", "aa"),
        ("Content-Type: multipart/mixed; boundary*='en'aa", "aa"),
        ("Content-Type: multipart/mixed; boundary*=''aa%20", "aa"),
        ("Content-Type: multipart/mixed; boundary*=\"us-ascii''aa\"", "aa"),
        ("Content-Type: multipart/mixed; boundary*x=aa", "aa"),
        ("Content-Type: multipart/mixed; boundary *= ''aa", "aa"),
        ("Content-Type: multipart/mixed; boundary *0=a; boundary * 1=a", "aa"),
    ];
    pairs(&twice.into_iter().flat_map(both).chain(once).collect::<Vec<_>>())
}

pub fn encoded_words() -> Vec<Form> {
    let mut forms = all(&[
        "Content-Type: multipart/mixed; boundary=\"=?us-ascii?Q?aa?=\"",
        "Content-Type: multipart/mixed; boundary==?us-ascii?Q?aa?=",
        "Content-Type: multipart/mixed; boundary=\"=?us-ascii?B?YWE=?=\"",
        "Content-Type: multipart/mixed; boundary=\"=?us-ascii?Q?=61=61?=\"",
        "Content-Type: multipart/mixed; boundary=\"a=?us-ascii?Q?a?=\"",
        "Content-Type: multipart/mixed; boundary=\"=?us-ascii?Q?a?=a\"",
        "Content-Type: multipart/mixed; boundary=\"=?us-ascii?Q?a?= =?us-ascii?Q?a?=\"",
        "Content-Type: multipart/mixed; =?us-ascii?Q?boundary?=aa",
        "Content-Type: multipart/mixed; =?us-ascii?Q?boundary=3Daa?=",
        "Content-Type: =?us-ascii?Q?multipart/mixed;_boundary=3Daa?=",
    ]);
    forms.extend(pairs(&[(
        "Content-Type: multipart/mixed; boundary=\"=?us-ascii?Q?aa?=\"",
        "=?us-ascii?Q?aa?=",
    )]));
    forms
}

pub fn comment_values() -> Vec<Form> {
    pairs(&[
        ("Content-Type: multipart/mixed; boundary=(boundary=bb)aa", "aa"),
        ("Content-Type: multipart/mixed; boundary=(boundary=bb)aa", "bb"),
        ("Content-Type: multipart/mixed; boundary=(boundary=bb)aa", "(boundary=bb)aa"),
        ("Content-Type: multipart/mixed; boundary=aa(bb)", "aa"),
        ("Content-Type: multipart/mixed; boundary=aa(bb)", "aa(bb)"),
        ("Content-Type: multipart/mixed; boundary=aa (bb)", "aa"),
        ("Content-Type: multipart/mixed; boundary=a(bb)a", "aa"),
        ("Content-Type: multipart/mixed; boundary=a(bb)a", "a"),
        ("Content-Type: multipart/mixed; boundary=(bb)", "bb"),
        ("Content-Type: multipart/mixed; boundary=(bb)", "(bb)"),
        ("Content-Type: multipart/mixed; boundary=\"(bb)aa\"", "(bb)aa"),
        ("Content-Type: multipart/mixed; boundary=\"(bb)aa\"", "aa"),
        ("Content-Type: multipart/mixed; boundary=aa(bb", "aa"),
        ("Content-Type: multipart/mixed; boundary=aa(bb", "aa(bb"),
        ("Content-Type: multipart/mixed; boundary=(\\)bb)aa", "aa"),
    ])
}

pub fn comments() -> Vec<Form> {
    let mut forms = all(&[
        "Content-Type: multipart/mixed; boundary()=aa",
        "Content-Type: multipart/mixed; x()y=1; boundary=aa",
        "Content-Type: multipart/mixed; boun()dary=aa",
        "Content-Type: () multipart/mixed; boundary=aa",
        "Content-Type: multipar()t/mixed; boundary=aa",
        "Content-Type: multipart()/mixed; boundary=aa",
        "Content-Type: multipart/()mixed; boundary=aa",
        "Content-Type: multipart/mixed(); boundary=aa",
        "Content-Type: multipart/mixed; ( boundary=aa )",
        "Content-Type: multipart/mixed; (boundary=bb) boundary=aa",
        "Content-Type: multipart/mixed; ((c)) boundary=aa",
        "Content-Type: multipart/mixed; ((boundary=bb)) boundary=aa",
        "Content-Type: multipart/mixed; ((c) boundary=bb) boundary=aa",
        "Content-Type: multipart/mixed; boundary(\\))=aa",
        "Content-Type: multipart/mixed; boundary(\\()=aa",
        "Content-Type: multipart/mixed; (x| y) boundary=aa",
        "Content-Type: multipart/mixed; ( boundary=aa",
        "Content-Type: multipart/mixed; ) boundary=aa",
        "Content-Type: multipart/mixed; (\"); boundary=bb; (\"); boundary=aa",
        "Content-Type: (multipart/mixed; boundary=aa)",
        "Content-Type: text/plain (multipart/mixed; boundary=aa)",
        "Content-Type: multipart/mixed (; boundary=aa",
        "Content-Type: multipart/mixed; x=(; boundary=aa; y=)",
        "Content-Type: multipart/mixed; x=\"(\"; boundary=aa; y=\")\"",
    ]);
    forms.extend(pairs(&[
        ("Content-Type: multipart/mixed; ((c) boundary=bb) boundary=aa", "bb"),
        ("Content-Type: multipart/mixed; (\\) boundary=bb) boundary=aa", "bb"),
    ]));
    forms
}
