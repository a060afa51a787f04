// SPDX-License-Identifier: GPL-3.0-or-later
//! man8: a page for a program and each of its subcommands.

use clap::Command;
use clap_mangen::Man;
use roff::{Roff, bold, roman};
use std::{fs, io, path::Path};

/// What the definition of a command line does not say.
pub struct About {
    /// Where a file or a signal is more than an option.
    sections: &'static [Section],
    /// Other pages.
    see_also: &'static str,
}

struct Section {
    heading: &'static str,
    /// A term and what is said of it.
    items: &'static [(&'static str, &'static str)],
}

/// Of thundergate-milter.
pub const MILTER: About = About {
    sections: &[
        Section {
            heading: "FILES",
            items: &[
                ("/etc/thundergate/milter.toml", "The configuration: thundergate-milter.toml(5)."),
                (
                    "/etc/thundergate/milter.env",
                    "Environment of the systemd service, if there is such a file.",
                ),
            ],
        },
        Section {
            heading: "SIGNALS",
            items: &[
                ("SIGHUP", "Read the configuration again. Sessions keep the one they started with."),
                ("SIGTERM", "Finish the messages under way, then leave. A second one: leave at once."),
            ],
        },
        Section {
            heading: "EXIT STATUS",
            items: &[
                ("0", "Success; of scan: all messages would be accepted."),
                ("1", "Of scan: another decision on one of them."),
                ("64", "The command line is wrong."),
                ("66", "A file cannot be read."),
                ("69", "What is needed is not available."),
                ("78", "The configuration is wrong; the message names file, line and key."),
            ],
        },
    ],
    see_also: "thundergate-milter.toml(5), thundergate(8), thundergate-worker(8), postconf(5), /usr/share/doc/thundergate/README.md",
};

/// Of thundergate-worker.
pub const WORKER: About = About {
    sections: &[
        Section {
            heading: "FILES",
            items: &[
                ("/etc/thundergate/worker.toml", "The configuration: thundergate-worker.toml(5)."),
                (
                    "/etc/thundergate/worker.env",
                    "Environment of the systemd service, if there is such a file.",
                ),
            ],
        },
        Section {
            heading: "SIGNALS",
            items: &[
                ("SIGHUP", "Read the section [farm] of the configuration again."),
                (
                    "SIGTERM",
                    "Take no more jobs, finish those under way, then leave. A second one: leave at once.",
                ),
            ],
        },
        Section {
            heading: "EXIT STATUS",
            items: &[
                ("0", "Success."),
                ("1", "Nothing is known of the sample or the dead letter."),
                ("64", "The command line is wrong."),
                ("69", "Redis, the farm or the worker that is asked is not available."),
                ("70", "Something unforeseen."),
                ("77", "Whoever asks may not."),
                ("78", "The configuration is wrong; the message names file, line and key."),
            ],
        },
    ],
    see_also: "thundergate-worker.toml(5), thundergate(8), thundergate-milter(8), /usr/share/doc/thundergate/README.md",
};

/// Of thundergate.
pub const PEOPLE: About = About {
    sections: &[
        Section {
            heading: "ENVIRONMENT",
            items: &[
                ("THUNDERGATE_SOCKET", "As --socket."),
                ("THUNDERGATE_URL", "As --url."),
                ("THUNDERGATE_TOKEN_FILE", "As --token-file."),
            ],
        },
        Section {
            heading: "FILES",
            items: &[(
                "/run/thundergate-admin/worker.sock, /run/thundergate-admin/milter.sock",
                "The admin sockets of the programs here: for root and the members of the group thundergate-admin.",
            )],
        },
        Section {
            heading: "EXIT STATUS",
            items: &[
                ("0", "Success."),
                ("1", "Nothing is known of the sample, the mail or the dead letter."),
                ("64", "The command line is wrong."),
                (
                    "69",
                    "No program answers, or it cannot do it: no scanner scans, Redis is away. Of check: so it found.",
                ),
                ("77", "Whoever asks may not: the socket is for another group, the token has not the scope."),
                ("78", "A file of the command line is of no use. Of check: a configuration is wrong."),
            ],
        },
    ],
    see_also: "thundergate-milter(8), thundergate-worker(8), /usr/share/doc/thundergate/README.md",
};

/// Writes the pages of `program` and all its subcommands into `folder`.
pub fn write(program: &Command, about: &About, folder: &Path) -> io::Result<()> {
    let mut program = program.clone().disable_help_subcommand(true);
    program.build();
    write_page(&program, about.sections, about.see_also, folder)?;
    write_subcommands(&program, folder)
}

fn write_subcommands(command: &Command, folder: &Path) -> io::Result<()> {
    let above = format!("{}(8)", name(command));
    for subcommand in command.get_subcommands() {
        write_page(subcommand, &[], &above, folder)?;
        write_subcommands(subcommand, folder)?;
    }
    Ok(())
}

fn write_page(command: &Command, sections: &[Section], see_also: &str, folder: &Path) -> io::Result<()> {
    let source = concat!("thundergate ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).section("8").source(source).manual("thundergate");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut rest = Roff::new();
    for section in sections {
        rest.control("SH", [section.heading]);
        for (term, text) in section.items {
            rest.control("TP", []).text([bold(*term)]).text([roman(*text)]);
        }
    }
    rest.control("SH", ["SEE ALSO"]).text([roman(see_also)]);
    rest.to_writer(&mut page)?;
    fs::write(folder.join(format!("{}.8", name(command))), page)
}

fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}
