// SPDX-License-Identifier: GPL-3.0-or-later
//! Techniques put together at random, in random trees of parts.

use super::{
    base64, boundary, header,
    message::{Case, FIELDS, Form, Shape, TOP, Variant},
    parameters,
    payload::Kind,
    quoted_printable, scan, structure, transfer,
};
use proptest::{prelude::*, sample::Index};

type Forms = fn() -> Vec<Form>;

/// What can be done to a part.
const PARTS: [Forms; 18] = [
    transfer::two_fields,
    transfer::two_values,
    transfer::unknown_beside,
    transfer::junk_around,
    transfer::comments,
    transfer::encoded_words,
    transfer::white_space,
    header::field_names,
    header::header_or_body,
    header::empty_line,
    base64::chunked,
    base64::junk,
    base64::equals,
    base64::odd_lines,
    base64::prefixes,
    base64::cut_off,
    quoted_printable::escapes,
    quoted_printable::soft_breaks,
];

/// What can be done to a multipart around it.
const MULTIPARTS: [Forms; 12] = [
    boundary::two_types,
    boundary::two_boundaries,
    boundary::sections,
    boundary::encoded_words,
    boundary::comment_values,
    boundary::comments,
    parameters::quotes,
    parameters::blanks,
    structure::prefixes,
    structure::delimiters,
    structure::types,
    structure::decoys,
];

/// A multipart: its boundary, and the parts before and after the one with the payload.
#[derive(Clone, Debug)]
struct Level {
    boundary: String,
    before: Vec<usize>,
    after: Vec<usize>,
    closed: bool,
}

const SIBLINGS: [&str; 4] = [
    "Content-Type: text/plain\r\n\r\nHello,\r\n-- \r\nthe sender",
    "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p a=3D\"b\">=\r\nx</p>",
    "Content-Type: image/png; name=x.png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgoAAAANSUhEUg==",
    "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nHello",
];

impl Level {
    fn around(&self, entity: &[u8]) -> Vec<u8> {
        let Self { boundary, before, after, closed } = self;
        let sibling = |&index: &usize| format!("\r\n--{boundary}\r\n{}", SIBLINGS[index]);
        let before: String = before.iter().map(sibling).collect();
        let after: String = after.iter().map(sibling).collect();
        let header = format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n");
        let end = if *closed { format!("\r\n--{boundary}--") } else { String::new() };
        let start = format!("{header}{before}\r\n--{boundary}\r\n");
        [start.as_bytes(), entity, after.as_bytes(), end.as_bytes()].concat()
    }
}

fn level() -> impl Strategy<Value = Level> {
    let siblings = || prop::collection::vec(0..SIBLINGS.len(), 0..3);
    ("[A-Za-z0-9=_.]{8,30}", siblings(), siblings(), any::<bool>())
        .prop_map(|(boundary, before, after, closed)| Level { boundary, before, after, closed })
}

fn pick(rows: &[Forms], row: Index, form: Index) -> Form {
    let mut forms = rows[row.index(rows.len())]();
    if rows == MULTIPARTS {
        forms.retain(|form| form.label.contains("{leaf}")); // others have no place for a part
    }
    let form = form.index(forms.len());
    forms.swap_remove(form)
}

/// A kind that is a file even without a name.
fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::Program, Kind::Archive, Kind::Document, Kind::Noise])
}

/// The part as `form` makes it, and what it holds.
fn part(form: &Form, kind: Kind, seed: u32) -> (Case, Vec<u8>, Vec<u8>) {
    let encoding = form.encodings[seed as usize % form.encodings.len()];
    let fields = FIELDS[seed as usize / 2 % FIELDS.len()];
    let case = Case { payload: kind.bytes(seed), encoding, shape: Shape::Mixed, fields, leaf: None };
    let entity = form.entity(&case);
    let planted = entity.planted.unwrap_or_else(|| case.payload.clone());
    (case, entity.bytes, planted)
}

fn find(levels: &[Level], entity: Vec<u8>, planted: Vec<u8>, label: String) -> Result<(), TestCaseError> {
    let entity = levels.iter().fold(entity, |entity, level| level.around(&entity));
    let message = [TOP.as_bytes(), &entity].concat();
    let shown = message.escape_ascii().to_string();
    let (found, result) =
        scan(&Variant { label: label.clone(), message, planted, agreed: false, extension: None });
    prop_assert!(result.is_ok(), "{label}\n{shown}");
    prop_assert_eq!(found.malformed, None);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_technique_anywhere_in_a_tree_is_found(
        (row, form, kind, seed) in (any::<Index>(), any::<Index>(), kinds(), 0..10_000_u32),
        levels in prop::collection::vec(level(), 1..5),
    ) {
        let form = pick(&PARTS, row, form);
        let (_, entity, planted) = part(&form, kind, seed);
        find(&levels, entity, planted, form.label)?;
    }

    #[test]
    fn two_techniques_at_once_are_found(
        (row, form, kind, seed) in (any::<Index>(), any::<Index>(), kinds(), 0..10_000_u32),
        (outer_row, outer_form) in (any::<Index>(), any::<Index>()),
        levels in prop::collection::vec(level(), 1..4),
    ) {
        let (form, outer) = (pick(&PARTS, row, form), pick(&MULTIPARTS, outer_row, outer_form));
        let (case, entity, planted) = part(&form, kind, seed);
        let entity = outer.entity(&Case { leaf: Some(entity), ..case }).bytes;
        find(&levels, entity, planted, format!("{} in {}", form.label, outer.label))?;
    }
}
