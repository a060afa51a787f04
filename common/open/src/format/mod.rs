// SPDX-License-Identifier: GPL-3.0-or-later
//! One file a format: how to tell which password fits, and what comes out then. Each takes a container from anybody, and the
//! work with its passwords and budget; none knows another.

pub(crate) mod ooxml;
pub(crate) mod pdf;
pub(crate) mod rar;
pub(crate) mod sevenzip;
pub(crate) mod zip;

#[cfg(test)]
pub(crate) mod fixture;
