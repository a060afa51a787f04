// SPDX-License-Identifier: GPL-3.0-or-later
//! What became of a message: the decision with the parts behind it, and the header field that a recipient sees of it.

pub mod ambiguity_results;
pub mod inspection;
pub mod settings;
