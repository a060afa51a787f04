// SPDX-License-Identifier: GPL-3.0-or-later
//! How values are written that serde has no form for.

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};
use std::{fmt::Display, str::FromStr};

/// Writes a size so that it reads back as the same number of bytes: bytesize's own form is rounded.
///
/// # Errors
///
/// The serialiser's.
pub fn exact_size<S: Serializer>(size: &ByteSize, serializer: S) -> Result<S::Ok, S::Error> {
    let units =
        [("GiB", bytesize::GIB), ("MiB", bytesize::MIB), ("KiB", bytesize::KIB), ("MB", bytesize::MB)];
    let bytes = size.as_u64();
    match units.into_iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => serializer.collect_str(&format_args!("{}{name}", bytes / unit)),
        None => serializer.collect_str(&format_args!("{bytes}B")),
    }
}

/// None where it is empty, so that a variable can take back what a file says.
///
/// # Errors
///
/// It is no text, or none that can be one.
pub fn filled<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Some(text).filter(|text| !text.is_empty()).map(|text| text.parse()).transpose().map_err(D::Error::custom)
}
