# shellcheck shell=sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Boots a copy of this machine and says "up PID", its systemd's id; it ends when the standard input does.
#   DIRECTORY SHARED REPOSITORY [OPTION of unshare(1)…]
# DIRECTORY is an empty one, SHARED becomes /run/shared there, and REPOSITORY is where it is here, wherever that is.
# In a mount namespace of its own.
set -e
directory=$1 shared=$2 repository=$3
shift 3
mount -t tmpfs -o mode=755 tmpfs "$directory"
cd "$directory"
mkdir changes work root groups repository repository/changes repository/work repository/root
copy() { # DIRECTORY PLACE: PLACE/root is what DIRECTORY is here, PLACE/changes what becomes other
    mount -t overlay -o "lowerdir=$1,upperdir=$2/changes,workdir=$2/work" overlay "$2/root"
}
copy / "$directory"
copy "$repository" "$directory/repository"
mount -t cgroup2 cgroup2 groups
group=groups/thundergate-$$
mkdir "$group"

# As the first process: /proc/sys and /sys are not its own, so that it changes nothing there.
# https://systemd.io/CONTAINER_INTERFACE
# shellcheck disable=SC2016 # it has variables of its own
boot='
    mount --rbind /dev dev
    mount -t proc proc proc
    mount --bind proc/sys proc/sys
    mount -o remount,bind,ro proc/sys
    mount -t sysfs -o ro sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t tmpfs -o mode=755 tmpfs run
    mount -t tmpfs -o mode=1777 tmpfs tmp
    mkdir run/shared
    mount --bind "$1" run/shared
    mkdir -p ".$2"
    mount --bind ../repository/root ".$2"
    # What would mount more, and what keeps packages from starting their services in an image.
    for file in etc/fstab usr/sbin/policy-rc.d; do [ ! -e $file ] || mount --bind /dev/null $file; done
    pivot_root . .
    umount -l .
    cd /
    mount --make-rshared /
    exec env -i container=thundergate-tests /lib/systemd/systemd --unit=sysinit.target
'
# shellcheck disable=SC2016
in_group='echo $$ >"$1/cgroup.procs"; cd root; shift; exec setpriv --pdeathsig KILL unshare "$@"'
set -- --mount --pid --uts --ipc --cgroup "$@" --fork --kill-child
sh -ec "$in_group" sh "$group" "$@" sh -ec "$boot" sh "$shared" "$repository" </dev/null >boot.log 2>&1 &
outer=$!

state=''
for _ in $(seq 300); do
    inner=$(cat "/proc/$outer/task/$outer/children" 2>/dev/null) || break
    # shellcheck disable=SC2086 # a number and a space
    state=$(nsenter --all --target=${inner:-0} systemctl is-system-running 2>/dev/null) || true
    case $state in running | degraded) break ;; esac
    sleep 0.1
done
case $state in
    running | degraded) echo "up $inner" && cat ;;
    *) cat boot.log >&2 && echo "not up: $state" ;;
esac
exec 2>/dev/null # "Killed"
kill -KILL "$outer" || true
wait "$outer" || true
for _ in $(seq 100); do # its processes are on their way out
    ! grep -q "populated 1" "$group/cgroup.events" || sleep 0.1
done
find "$group" -depth -type d -exec rmdir {} \;
