// SPDX-License-Identifier: GPL-3.0-or-later
//! Which letters belong to the scripts of East Asia.

/// True for letters of scripts that are written without blanks, or whose endings stick to foreign words.
pub(crate) fn is_east_asian(character: char) -> bool {
    matches!(character,
        '\u{1100}'..='\u{11ff}' | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30fa}' | '\u{30fc}'..='\u{318f}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}')
}
