// SPDX-License-Identifier: GPL-3.0-or-later
//! What the milter and the worker of thundergate share.
//!
//! | module | owns |
//! |---|---|
//! | [`digest`], [`sample`], [`verdict`], [`job`] | the things that travel: a part's digest, the bytes handed to a scanner, what the scanner said, the request to ask it |
//! | [`failed`] | what is held against a sample that could not be scanned |
//! | [`record`] | what is kept of a mail for people, and the search in it |
//! | [`hub`] | where milters and workers meet: verdicts, samples, jobs, announcements; over Redis or inside one process |
//! | [`generation`], [`freshness`] | the signature version that the farm has reached, and which verdicts it makes stale; how long a verdict is good |
//! | [`oversight`], [`blind`] | which instances miss the canary, are behind with signatures, or scan only small files; when one was blind |
//! | [`keys`], [`wire`] | every key in Redis: name, type, writer, expiry; the JSON that stands there |
//! | [`cache`] | the verdicts this process remembers, asked before the hub |
//! | [`config`] | loading a TOML file over compiled-in defaults; a section stands with what it configures |
//! | [`telemetry`], [`traces`], [`metrics`] | logs, spans for a collector, what every process exposes |
//! | [`terminal`] | what others wrote, made fit for people's terminals |
//! | [`api`] | the HTTP API: endpoints, scopes, the shapes that go to and fro |
//! | [`admin`], [`health`] | the admin HTTP server with its status page, the health check that asks it |
//! | [`check`] | what `check --connect` looks at: files, addresses, why a server cannot be used |
//! | [`descriptors`] | how many files and connections may be open, and how many are needed |
//! | [`clock`], [`licence`] | the time of day as what travels carries it; when an instance's licence ends |
//! | [`exit`], [`causes`] | exit statuses; errors as one line |
//! | [`sockets`] | what the service manager listens at for us; sockets in the file system |
//! | [`shutdown`], [`reload`], [`service`] | signals: the drain, the configuration read again; what systemd is told |

#![warn(unreachable_pub)]

pub mod admin;
pub mod api;
pub mod blind;
pub mod cache;
pub mod causes;
pub mod check;
pub mod clock;
pub mod config;
pub mod descriptors;
pub mod digest;
pub mod exit;
pub mod failed;
pub mod freshness;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod generation;
pub mod health;
pub mod hub;
pub mod job;
pub mod keys;
pub mod licence;
pub mod metrics;
pub mod outage;
pub mod oversight;
pub mod record;
pub mod reload;
pub mod sample;
pub mod sealed;
pub mod service;
pub mod shutdown;
pub mod sockets;
pub mod telemetry;
pub mod terminal;
pub mod traces;
pub mod verdict;
pub mod wire;
