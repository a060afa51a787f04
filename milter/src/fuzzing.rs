// SPDX-License-Identifier: GPL-3.0-or-later
//! What the fuzz targets for packets and for the configuration call (`tests/fuzz/`), and the unit tests with their stored
//! inputs. Built for tests and for fuzzing only.

pub use crate::front::milter::fuzzing::packets;

use crate::config::Config;

/// Configurations that name such files are not read: a device may have no end.
const DEVICES: [&str; 2] = ["/dev", "/proc"];

/// A `milter.toml`. What is accepted can be written, and means the same when it is read again.
pub fn configuration(data: &[u8]) {
    let Ok(toml) = std::str::from_utf8(data) else { return };
    if DEVICES.iter().any(|device| toml.contains(device)) {
        return;
    }
    let Ok(config) = Config::from_toml(toml) else { return };
    let written = config.to_toml();
    let again = Config::from_toml(&written).map(|config| config.to_toml());
    assert_eq!(again.ok(), Some(written), "what `check` prints can be used");
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// Feeds `target` with what is kept for it.
    fn replay(name: &str, target: fn(&[u8])) {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz");
        for folder in ["corpus", "regressions"] {
            let files = fs::read_dir(kept.join(folder).join(name)).into_iter().flatten();
            let count = files.inspect(|file| {
                let path = file.as_ref().unwrap().path();
                println!("{}", path.display()); // the last line that a failing test prints
                target(&fs::read(path).unwrap());
            });
            assert!(count.count() > 0 || folder == "regressions", "no corpus for {name}");
        }
    }

    #[test]
    fn packets() {
        replay("packets", super::packets);
    }

    #[test]
    fn configuration() {
        replay("configuration", super::configuration);
    }
}
