// SPDX-License-Identifier: GPL-3.0-or-later
//! Gzip in base64 (`gzip64`, `x-gzip64`), which MIME-tools decodes.

use super::base64;
use flate2::read::MultiGzDecoder;
use std::io::Read;

/// Appends `source`, decoded: what is there of it, and no more than one byte over `limit`. Without gzip in it, the
/// base64 alone.
pub(super) fn decode(source: &[u8], limit: usize, out: &mut Vec<u8>) {
    let mut packed = Vec::new();
    base64::decode(source, &mut packed);
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    // An error ends it; what came before counts.
    let _ = MultiGzDecoder::new(&packed[..]).take(most).read_to_end(out);
    if out.is_empty() {
        *out = packed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `head -c 10000 /dev/zero | gzip -9n | base64`.
    const ZEROS: &[u8] = b"H4sIAAAAAAACA+3BAQ0AAADCoPdPbQ43oAAAAAAAAAAAAODfAC7KO00QJwAA";

    fn decoded(source: &[u8], limit: usize) -> Vec<u8> {
        let mut out = Vec::new();
        decode(source, limit, &mut out);
        out
    }

    #[test]
    fn what_was_compressed_comes_back_up_to_the_limit() {
        assert_eq!(decoded(ZEROS, 10_000), [0; 10_000]);
        assert_eq!(decoded(ZEROS, 99).len(), 100);
        let cut = decoded(&ZEROS[..ZEROS.len() - 16], 10_000);
        assert!(!cut.is_empty() && cut.iter().all(|&byte| byte == 0), "{}", cut.len());
        assert_eq!(decoded(b"Q2F0", 10_000), b"Cat");
    }

    proptest! {
        #[test]
        fn no_input_panics_or_exceeds_the_limit(bytes: Vec<u8>, at in 0..ZEROS.len(), limit in 0..20_000_usize) {
            let mut source = ZEROS.to_vec();
            source.splice(at..at, bytes);
            prop_assert!(decoded(&source, limit).len() <= limit.max(source.len()) + 1);
        }
    }
}
