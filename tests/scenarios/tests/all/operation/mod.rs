// SPDX-License-Identifier: GPL-3.0-or-later
//! Operation: command lines, configuration, metrics, traces, the status page, containers.

mod api;
mod commands;
mod connections;
mod containers;
mod dead_letters;
mod log_bounds;
mod log_written;
mod metrics;
mod metrics_rules;
mod people;
mod redis_link;
mod redis_trouble;
mod reload;
mod status_page;
mod traces;
