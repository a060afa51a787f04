// SPDX-License-Identifier: GPL-3.0-or-later
//! What happens to one message: [`inspector`] is the whole way in one function, [`resolve`] finds the dispositions of its
//! samples, [`believed`] remembers which mails clean verdicts let through, [`records`] keeps what people ask later, [`outage`] says once that the hub is away.
//!
//! It must not know by which protocol a message came, nor how its outcome is shown.

pub(crate) mod believed;
pub mod inspector;
pub mod outage;
pub mod records;
pub mod resolve;
pub mod settings;
