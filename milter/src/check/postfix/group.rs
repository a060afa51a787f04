// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether Postfix's user may write to the milter's unix socket: as its owner, as a member of its group, or as anybody. Read
//! from /etc/passwd and /etc/group; where its user stands elsewhere nothing is said.

use std::{fs::Metadata, os::unix::fs::MetadataExt as _, path::Path};
use thundergate_common::api::check::{Finding, Level};

/// The user of smtpd (`mail_owner`, unless somebody has changed it).
const POSTFIX: &str = "postfix";
const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// A word where it may not; none where it may, or there is no such socket yet.
pub(super) fn may_write(socket: &Path) -> Option<Finding> {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    judge(socket, &socket.metadata().ok()?, &read(USERS), &read(GROUPS))
}

fn judge(socket: &Path, metadata: &Metadata, users: &str, groups: &str) -> Option<Finding> {
    let user: Vec<&str> = named(users, POSTFIX)?;
    let (uid, gid) = (user.get(2)?.parse::<u32>().ok()?, user.get(3)?.parse::<u32>().ok()?);
    let (mode, group) = (metadata.mode(), metadata.gid());
    let of_group =
        groups.lines().map(fields).find(|fields| fields.get(2).is_some_and(|it| *it == group.to_string()));
    let (name, members) =
        of_group.as_deref().map_or(("", ""), |fields| (fields[0], fields.get(3).unwrap_or(&"")));
    let is_member = gid == group || members.split(',').any(|member| member == POSTFIX);
    let may =
        mode & 0o002 != 0 || (mode & 0o020 != 0 && is_member) || (mode & 0o200 != 0 && uid == metadata.uid());
    let text = format!(
        "{} is for the group {name} (mode {:o}), and postfix is no member",
        socket.display(),
        mode & 0o777
    );
    let cure = format!(
        "adduser postfix {name}, then postfix stop && postfix start; socket_mode must be 660 or more"
    );
    (!may).then(|| Finding::new(Level::Wrong, "socket_mode", text, cure))
}

fn fields(line: &str) -> Vec<&str> {
    line.split(':').collect()
}

fn named<'a>(lines: &'a str, name: &str) -> Option<Vec<&'a str>> {
    lines.lines().map(fields).find(|fields| fields[0] == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn postfix_must_be_in_the_group_of_the_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("milter.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let metadata = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path.metadata().unwrap()
        };
        let group = metadata(0o660).gid();
        let users = "root:x:0:0::/:/bin/sh\npostfix:x:99999:99998::/:/bin/false\n";
        let judged = |mode, users: &str, groups: &str| judge(&path, &metadata(mode), users, groups);
        let without = format!("thundergate:x:{group}:\n");
        let found = judged(0o660, users, &without).unwrap();
        assert!(found.cure.contains("adduser postfix thundergate"), "{found:?}");
        let with = format!("thundergate:x:{group}:other,postfix\n");
        assert!(judged(0o660, users, &with).is_none() && judged(0o666, users, &without).is_none());
        assert!(judged(0o600, users, &with).is_some());
        assert!(judged(0o600, "root:x:0:0::/:/bin/sh", &without).is_none(), "no Postfix");
    }
}
