// SPDX-License-Identifier: GPL-3.0-or-later
//! The system calls that are left.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};
use std::{collections::BTreeMap, env::consts::ARCH};

/// Whatever they are called with: what an allocator, the C library and the end of a process need.
const ALLOWED: [i64; 20] = [
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getcpu,
    libc::SYS_close,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// `prctl` that names memory, which mimalloc does.
const PR_SET_VMA: u64 = 0x5356_4d41;

/// Gives up all others.
pub(super) fn restrict() -> Result<(), seccompiler::Error> {
    apply_filter(&program()?)
}

fn program() -> Result<BpfProgram, seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_read, vec![equal(0, 0)?]);
    rules.insert(libc::SYS_write, vec![equal(0, 1)?, equal(0, 2)?]);
    rules.insert(libc::SYS_mmap, vec![not_executable()?]);
    rules.insert(libc::SYS_mprotect, vec![not_executable()?]);
    rules.insert(libc::SYS_prctl, vec![equal(0, PR_SET_VMA)?]);
    // abort(3) sends a signal to itself.
    rules.insert(libc::SYS_tgkill, vec![equal(0, own)?]);
    rules.insert(libc::SYS_tkill, vec![equal(0, own)?]);
    let arch = ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch)?;
    Ok(filter.try_into()?)
}

/// An argument has this value.
fn equal(argument: u8, value: u64) -> Result<SeccompRule, seccompiler::Error> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?;
    Ok(SeccompRule::new(vec![condition])?)
}

/// Memory that is no code.
fn not_executable() -> Result<SeccompRule, seccompiler::Error> {
    let executable = SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64);
    let condition = SeccompCondition::new(2, SeccompCmpArgLen::Dword, executable, 0)?;
    Ok(SeccompRule::new(vec![condition])?)
}
