// SPDX-License-Identifier: GPL-3.0-or-later
//! How a configuration is loaded, and what can be wrong with it. Each section stands with what it configures and checks
//! itself; only `[farm]` is here, which both programs have.
//!
//! One source: the commented TOML under `deploy/` is the documentation and, compiled in, the default. A file says only
//! what differs; `THUNDERGATE_SECTION__KEY` in the environment overrides both. Unknown keys are errors.

mod error;
mod farm;
mod forms;
mod layers;
mod load;
pub(crate) mod secret;
mod words;

pub use error::{ConfigError, Fault};
pub use farm::{Farm, Instance, ProxyUrl};
pub use forms::exact_size;
pub use forms::filled;
pub use load::{Source, find, load, load_checked, origin};
