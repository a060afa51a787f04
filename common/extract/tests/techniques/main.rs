// SPDX-License-Identifier: GPL-3.0-or-later
//! Every known technique to hide an attachment, each written in many ways: what is planted is found.
//!
//! A row is one technique, its forms are the ways to write it, and each form becomes one variant for every kind of
//! payload. The messages are made here from what is known of mail clients, not from the extraction.

mod armour;
mod base64;
mod boundary;
mod combined;
mod containers;
mod everyday;
mod header;
mod message;
mod names;
mod opened;
mod own;
mod own_cover;
mod parameters;
mod payload;
mod quoted_printable;
mod random;
mod rare;
mod readers;
mod structure;
mod table;
mod transfer;

use bytes::Bytes;
use message::{Form, Variant};
use thundergate_common::digest::Digest;
use thundergate_extract::{Bodies, Budget, Extraction, extract};

/// As deployed.
const BUDGET: Budget = Budget { parts: 1000, depth: 50, readings: 500, decoded_bytes: 200 << 20 };

/// A technique of the catalogue.
pub struct Row {
    /// Its name, which is that of its test.
    pub name: &'static str,
    /// What is done, for people who run mail servers.
    pub what: &'static str,
    forms: fn() -> Vec<Form>,
}

impl Row {
    fn variants(&self) -> Vec<Variant> {
        let forms = (self.forms)();
        forms.iter().enumerate().flat_map(|(index, form)| form.variants(index)).collect()
    }

    fn check(&self) {
        let (mut lost, mut total) = (Vec::new(), 0);
        for variant in self.variants() {
            total += 1;
            if let Some(why) = missed(&variant) {
                lost.push((why, variant));
            }
        }
        let shortest = lost.iter().min_by_key(|(_, variant)| variant.message.len());
        let first = shortest.map(|(why, variant)| {
            format!("{why}: {} b\"{}\"", variant.label, variant.message.escape_ascii())
        });
        let list: Vec<_> = lost.iter().map(|(why, variant)| format!("{why}: {}", variant.label)).collect();
        let (count, first) = (lost.len(), first.unwrap_or_default());
        assert!(lost.is_empty(), "{count} of {total}\n{}\nSHORTEST {first}", list.join("\n"));
    }
}

/// What the extraction makes of `variant`, and whether it finds what is planted there.
fn scan(variant: &Variant) -> (Extraction, Result<(), String>) {
    let found = extract(&Bytes::copy_from_slice(&variant.message), Bodies::Html, &BUDGET);
    let digest = Digest::of(&variant.planted);
    let mut parts = found.parts.iter().filter(|part| part.digest == digest).peekable();
    let result = match variant.extension {
        _ if parts.peek().is_none() => Err("not found".into()),
        Some(extension)
            if !parts.any(|part| part.name.as_ref().is_some_and(|name| name.ends_with(extension))) =>
        {
            Err(format!("not under {extension}"))
        }
        _ => Ok(()),
    };
    (found, result)
}

/// Why `variant` is not dealt with, if so.
fn missed(variant: &Variant) -> Option<String> {
    let (found, result) = scan(variant);
    if let Err(why) = result {
        return Some(why);
    }
    if let Some(why) = found.malformed {
        return Some(format!("malformed: {why}"));
    }
    (found.ambiguities.is_empty() && !variant.agreed).then(|| "not ambiguous".into())
}

macro_rules! rows {
    ($($name:ident: $forms:path, $what:literal;)*) => {
        /// All techniques.
        pub const ROWS: &[Row] = &[$(Row { name: stringify!($name), what: $what, forms: $forms }),*];
        $(#[test]
        fn $name() {
            Row { name: stringify!($name), what: $what, forms: $forms }.check();
        })*
    };
}

rows! {
    t01_two_transfer_encodings: transfer::two_fields, "Two fields name different transfer encodings.";
    t02_two_encodings_in_one_field: transfer::two_values, "One field names two transfer encodings.";
    t03_an_unknown_encoding_beside_a_known_one: transfer::unknown_beside, "An unknown or empty transfer encoding stands beside a known one.";
    t04_junk_around_the_transfer_encoding: transfer::junk_around, "Characters are added to the name of the transfer encoding.";
    t05_comments_around_the_transfer_encoding: transfer::comments, "Comments stand around or inside the name of the transfer encoding.";
    t06_encoded_words_as_transfer_encoding: transfer::encoded_words, "The name of the transfer encoding is itself encoded, as subjects are.";
    t07_white_space_around_the_transfer_encoding: transfer::white_space, "Odd blanks and folds stand around the name of the transfer encoding.";
    t08_odd_names_of_the_field: header::field_names, "The name of the field is damaged, or hidden in another field.";
    t09_header_and_body_mixed_up: header::header_or_body, "The field stands after something that may end the header.";
    t10_no_empty_line_after_the_header: header::empty_line, "The empty line between header and body is missing or not empty.";
    t11_odd_names_of_quoted_printable: header::quoted_printable_names, "Quoted-printable is called something similar.";
    t12_encoded_without_saying_so: header::no_encoding, "The part is encoded and does not say so.";
    t13_rare_transfer_encodings: rare::declared_forms, "The part is in uuencode, yEnc, BinHex or gzip64.";
    b01_padding_in_the_middle: base64::chunked, "Base64 in pieces, each with its own padding.";
    b02_junk_between_the_characters: base64::junk, "Bytes outside the alphabet stand between the characters of base64.";
    b03_too_many_equals_signs: base64::equals, "Base64 with more or fewer equals signs than it needs, or junk behind them.";
    b04_equals_signs_as_data: base64::zero_sextets, "An equals sign stands where zero bits are meant.";
    b05_odd_lines: base64::odd_lines, "Short lines, or a character that does not belong at each line's end.";
    b06_data_before_the_data: base64::prefixes, "A wrapper or an incomplete group stands before the base64 data.";
    b07_comments_in_the_lines: base64::tails, "Each line of base64 has a tail that looks like more of it.";
    b08_cut_off: base64::cut_off, "Base64 without its padding.";
    qp1_odd_escapes: quoted_printable::escapes, "Quoted-printable with lower-case, incomplete and senseless escapes.";
    qp2_odd_soft_breaks: quoted_printable::soft_breaks, "Quoted-printable whose soft line breaks have blanks or odd line ends.";
    qp3_literal_bytes: quoted_printable::literal, "Quoted-printable with bytes that should have been escaped.";
    qp4_hard_line_breaks: quoted_printable::hard_breaks, "Line breaks of a binary file that each client writes its own way.";
    m01_two_content_types: boundary::two_types, "Two Content-Type fields with different boundaries.";
    m02_two_boundaries: boundary::two_boundaries, "One Content-Type with two boundaries.";
    m03_boundary_in_sections: boundary::sections, "The boundary is encoded or in sections (RFC 2231).";
    m04_boundary_as_encoded_word: boundary::encoded_words, "The boundary is encoded as subjects are.";
    m05_comment_before_the_boundary: boundary::comment_values, "A comment that looks like a boundary stands before it.";
    m06_comments_in_the_type: boundary::comments, "Comments elsewhere in the Content-Type.";
    m07_quotes: parameters::quotes, "Quotes, escapes and separators in and before the boundary.";
    m08_blanks: parameters::blanks, "Blanks around or in the boundary, or none at all.";
    m09_longer_delimiters: structure::prefixes, "Delimiter lines with something after the boundary, and boundaries of any length.";
    m10_boundaries_that_contain_each_other: structure::overlaps, "The boundaries of nested multiparts are equal, or one begins with the other.";
    m11_missing_and_odd_delimiters: structure::delimiters, "Delimiters are missing, or are not alone on their line.";
    m12_before_and_after_the_parts: structure::gaps, "The attachment stands before the first or after the last delimiter.";
    m13_odd_types: structure::types, "The type is damaged, missing, or falsely a multipart.";
    m14_decoys: structure::decoys, "Another field, or a comment in the field's name, names a boundary.";
    m15_hidden_type: structure::hidden, "The Content-Type is hidden behind a bare CR or LF or in a fold.";
    m16_deep_and_wide: structure::deep, "Deep nesting, and many parts.";
    c1_messages_in_messages: containers::messages, "The attachment is in a message inside, encoded or not.";
    c2_files_in_texts: rare::in_text, "A text holds a file in uuencode, yEnc or BinHex.";
    c3_tnef: containers::tnef_forms, "Outlook's winmail.dat holds the attachment.";
    c4_smime: containers::smime, "A signature without encryption, or a compressed message, wraps the attachment (S/MIME).";
    c5_openpgp: containers::openpgp, "An OpenPGP message that is not encrypted wraps the attachment.";
    c6_apple_and_sun: containers::apple_and_sun, "Containers of old Macs and of Sun's mailtool.";
    c7_before_the_header: containers::before_the_header, "Something stands before the message's header.";
    c8_outlook_messages: opened::outlook, "A message that Outlook saved as a file holds the attachment.";
    c9_calendars_and_cards: opened::cards, "A property of a calendar or of an address card holds the attachment.";
    c10_mailboxes_and_web_archives: opened::mailboxes, "The attachment is in a mailbox, in a message behind a number, or in a web archive that Word opens.";
    c11_files_in_encoded_texts: opened::in_encoded_texts, "A text in base64 or quoted-printable holds a file in uuencode, yEnc or BinHex, or OpenPGP armour.";
    c12_wide_texts: opened::wide_texts, "HTML in UTF-16 or UTF-7: found is the same text in UTF-8.";
    n1_differing_names: names::differing, "Several names with different extensions.";
    n2_names_in_sections: names::sections, "The name is encoded or in sections (RFC 2231).";
    n3_names_as_encoded_words: names::encoded, "The name is encoded as subjects are.";
    n4_quotes_in_names: names::quoted, "Quotes, comments, blanks and separators in and before the name.";
    x1_structure_and_data: combined::structure_and_data, "A boundary trick and damaged base64 together.";
    x2_header_and_data: combined::header_and_data, "A transfer-encoding trick and damaged base64 together.";
    x3_structure_and_header: combined::structure_and_header, "A boundary trick and a transfer-encoding trick together.";
    y1_structure_beyond_the_catalogue: own::structure, "Multiparts in ways that no catalogue lists.";
    y2_header_beyond_the_catalogue: own::header, "Headers in ways that no catalogue lists.";
    y3_data_beyond_the_catalogue: own::data, "Base64 in ways that no catalogue lists.";
    y4_structure_under_cover: own_cover::parts, "A hidden part within a part that looks like a file.";
    y5_starts_and_ends_under_cover: own_cover::bodies, "Where a hidden part's data begin and end is covered up.";
}
