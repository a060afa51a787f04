// SPDX-License-Identifier: GPL-3.0-or-later
//! Where mail comes in. A front turns its protocol into a client, an envelope and a message, has them inspected, and says
//! in its protocol's words what became of the message. It decides nothing.

pub mod milter;
