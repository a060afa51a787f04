// SPDX-License-Identifier: GPL-3.0-or-later
//! What happens to one message: [`inspector`] is the whole way in one function, [`resolve`] finds the dispositions of its
//! samples, [`shares`] and [`seats`] what one sender may take of scanners and patience, [`believed`] remembers which mails clean verdicts let through, [`records`] keeps what people ask later,
//! [`blink`] is the patience with a hub that is away for a moment, [`outage`] says once that it is away.
//!
//! It must not know by which protocol a message came, nor how its outcome is shown.

pub(crate) mod answers;
pub(crate) mod believed;
pub(crate) mod blink;
pub mod inspector;
pub mod outage;
pub mod records;
pub mod resolve;
pub mod seats;
pub mod settings;
pub mod shares;
