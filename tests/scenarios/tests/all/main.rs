// SPDX-License-Identifier: GPL-3.0-or-later
//! What thundergate must do, shown over real processes, protocols and servers. One program, so that it is linked once;
//! beside it are programs of their own for what takes a real MTA or root.
//!
//! | module | asks |
//! |---|---|
//! | [`mail`] | what the MTA is told of a mail, and what happens when somebody fails |
//! | [`hub`] | what milters and workers share, in one process and over Redis |
//! | [`farm`] | how the worker deals with its scanners |
//! | [`operation`] | what an operator types, configures and sees |
//! | [`tools`] | whether the tools that the others trust do what they say |

mod farm;
mod hub;
mod mail;
mod operation;
mod tools;
