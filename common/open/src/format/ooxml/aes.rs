// SPDX-License-Identifier: GPL-3.0-or-later
//! AES with keys of three lengths, chained or block by block. None is a key of another length.

use aes::{
    Aes128, Aes192, Aes256,
    cipher::{Array, BlockCipherDecrypt, BlockModeDecrypt as _, KeyInit, KeyIvInit as _, consts::U16},
};

/// Bytes of a block.
pub(super) const BLOCK: usize = 16;

/// Decrypts whole blocks, each mixed with the one before it (CBC).
pub(super) fn decrypt_chained(key: &[u8], first: &[u8; BLOCK], bytes: &mut [u8]) -> Option<()> {
    match key.len() {
        16 => chained::<Aes128>(key, first, bytes),
        24 => chained::<Aes192>(key, first, bytes),
        32 => chained::<Aes256>(key, first, bytes),
        _ => None,
    }
}

/// Decrypts whole blocks, each by itself (ECB).
pub(super) fn decrypt_each(key: &[u8], bytes: &mut [u8]) -> Option<()> {
    match key.len() {
        16 => each::<Aes128>(key, bytes),
        24 => each::<Aes192>(key, bytes),
        32 => each::<Aes256>(key, bytes),
        _ => None,
    }
}

fn chained<C>(key: &[u8], first: &[u8; BLOCK], bytes: &mut [u8]) -> Option<()>
where
    C: BlockCipherDecrypt<BlockSize = U16> + KeyInit,
{
    let mut cipher = cbc::Decryptor::<C>::new_from_slices(key, first).ok()?;
    let (blocks, _) = Array::<u8, U16>::slice_as_chunks_mut(bytes);
    cipher.decrypt_blocks(blocks);
    Some(())
}

fn each<C>(key: &[u8], bytes: &mut [u8]) -> Option<()>
where
    C: BlockCipherDecrypt<BlockSize = U16> + KeyInit,
{
    let cipher = C::new_from_slice(key).ok()?;
    let (blocks, _) = Array::<u8, U16>::slice_as_chunks_mut(bytes);
    cipher.decrypt_blocks(blocks);
    Some(())
}
