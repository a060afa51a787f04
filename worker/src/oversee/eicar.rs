// SPDX-License-Identifier: GPL-3.0-or-later
//! The EICAR test file: 68 bytes that every scanner reports and that do nothing. It stands neither in this file nor in
//! the program, which scanners would report then; it is put together where it is needed.

use std::hint::black_box;

/// The 68 bytes, each with all its bits but the highest turned round.
const TURNED: [u8; 68] =
    turned(br"X5O!P%@AP[4\PZX54(P^)", br"7CC)7}$EICAR-STANDARD-", br"ANTIVIRUS-TEST-FILE!$H+H*");
/// What turns them back.
const TURN: u8 = 0x7f;

/// The bytes of the test file.
pub(super) fn eicar() -> Vec<u8> {
    // Black, or the compiler would put them together while it compiles.
    TURNED.iter().map(|byte| byte ^ black_box(TURN)).collect()
}

const fn turned(head: &[u8], middle: &[u8], tail: &[u8]) -> [u8; 68] {
    let mut all = [0; 68];
    let mut at = 0;
    while at < all.len() {
        let byte = if at < head.len() {
            head[at]
        } else if at < head.len() + middle.len() {
            middle[at - head.len()]
        } else {
            tail[at - head.len() - middle.len()]
        };
        all[at] = byte ^ TURN;
        at += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use thundergate_common::digest::Digest;

    #[test]
    fn it_is_the_published_file() {
        let published = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f";
        assert_eq!(Digest::of(&eicar()).to_string(), published);
    }
}
