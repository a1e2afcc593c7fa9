"""
Take from the streaming process what it has no use for, before strangers talk to it.

Parsers of strangers' bytes, in C, run in this process. What one of them were made to do
stays within what is left: it cannot read the application's memory, load a module into the
kernel or mount anything, and leaves no picture in a core dump. It has the application's
files and network all the same: outputs that a user names need them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SANDBOX: Final = "BACKPACK_SANDBOX"
"""The environment variable that turns it off: for debuggers, and for drivers that it hinders."""

# Numbers of prctl(2).
_PR_SET_DUMPABLE: Final = 4
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

# capabilities(7): what a server and its files may need where root runs it.
_CAP_DAC_OVERRIDE: Final = 1
_CAP_NET_BIND_SERVICE: Final = 10
_KEPT: Final = 1 << _CAP_DAC_OVERRIDE | 1 << _CAP_NET_BIND_SERVICE
_CAPABILITIES: Final = 64
_CAP_VERSION_3: Final = 0x20080522

# Numbers of landlock(7).
_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_RULESET_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_MAKE_CHAR: Final = 1 << 6
_MAKE_BLOCK: Final = 1 << 11
_REFER: Final = 1 << 13
_FIRST_WITH_REFER: Final = 2
_FIRST_WITH_SCOPES: Final = 6
_SCOPE_SIGNAL: Final = 1 << 1

# Numbers of seccomp(2).
_SET_MODE_FILTER: Final = 1
_FLAG_SPEC_ALLOW: Final = 1 << 2
_ALLOW: Final = 0x7FFF0000
_ERRNO_EPERM: Final = 0x00050000 | 1
# linux/filter.h: load a word, compare and jump, return.
_LOAD, _JUMP_IF, _RETURN = 0x20, 0x15, 0x06
_NR_OFFSET, _ARCH_OFFSET = 0, 4

# Machine → AUDIT_ARCH_…, the numbers of seccomp and capset.
_MACHINES: Final = {"x86_64": (0xC000003E, 317, 126), "aarch64": (0xC00000B7, 277, 91)}

# System call → its number on x86_64 and on aarch64. None: there is none.
_DENIED: Final = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "mount": (165, 40),
    "umount2": (166, 39),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "setns": (308, 268),
    "unshare": (272, 97),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "open_by_handle_at": (304, 265),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "iopl": (172, None),
    "ioperm": (173, None),
}


def is_wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether ``BACKPACK_SANDBOX`` leaves it on, as it is by default."""
    return environ.get(SANDBOX, "").strip().lower() not in ("0", "no", "off", "false")


def lock_down() -> None:
    """
    Drop, for good and for whatever is started from here, what is not needed.

    Called before there is a second thread: each step holds for the calling thread and
    those that it starts. What this kernel does not have is left out.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # No core dump holds a picture, and nobody of the same user attaches a debugger.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    machine = _MACHINES.get(os.uname().machine)
    if machine is not None:
        _drop_capabilities(libc, machine[2])
    # Needed for what follows, where root does not run it.
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return
    _enter_landlock_domain(libc)
    if machine is not None:
        _deny_system_calls(libc, machine[0], machine[1])


def _drop_capabilities(libc: ctypes.CDLL, capset: int) -> None:
    for capability in range(_CAPABILITIES):
        if not _KEPT >> capability & 1:
            # Fails beyond the last one that there is.
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    kept = _KEPT & _permitted()
    header = struct.pack("=Ii", _CAP_VERSION_3, 0)
    # Effective, permitted, inheritable: the lower halves, then the upper ones.
    libc.syscall(capset, header, struct.pack("=6I", kept, kept, 0, 0, 0, 0))


def _permitted() -> int:
    """Read what this process may have now: to ask for more is an error."""
    with (
        contextlib.suppress(OSError, ValueError),
        open("/proc/self/status", encoding="ascii", errors="replace") as status,  # noqa: PTH123
    ):
        for line in status:
            if line.startswith("CapPrm:"):
                return int(line.split()[1], 16)
    return 0


def _enter_landlock_domain(libc: ctypes.CDLL) -> None:
    """
    Enter a domain of our own: from within, nobody outside can be traced or signalled.

    Files are left alone, but for device nodes: outputs write where their users say. The
    first version would forbid to move files between folders, so it is not used.
    """
    version = libc.syscall(_CREATE_RULESET, None, 0, _RULESET_VERSION)
    if version < _FIRST_WITH_REFER:
        return
    handled = _MAKE_CHAR | _MAKE_BLOCK | _REFER
    attributes = struct.pack("=Q", handled)
    if version >= _FIRST_WITH_SCOPES:
        attributes = struct.pack("=QQQ", handled, 0, _SCOPE_SIGNAL)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        beneath = struct.pack("=Qi", _REFER, root)
        if libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, beneath, 0) == 0:
            libc.syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(root)
        os.close(ruleset)


def _deny_system_calls(libc: ctypes.CDLL, architecture: int, seccomp: int) -> None:
    """Have the kernel answer EPERM to system calls that no part of streaming makes."""
    place = list(_MACHINES).index(os.uname().machine)
    numbers = [pair[place] for pair in _DENIED.values()]
    denied = [number for number in numbers if number is not None]
    program = [
        (_LOAD, 0, 0, _ARCH_OFFSET),
        # Another architecture, as of 32-bit programs: numbers mean something else there.
        (_JUMP_IF, 1, 0, architecture),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _NR_OFFSET),
        *((_JUMP_IF, len(denied) - index, 0, number) for index, number in enumerate(denied)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO_EPERM),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    filled = struct.pack("@HP", len(program), ctypes.addressof(code))
    # Without the flag some kernels slow the whole process down, against Spectre.
    libc.syscall(seccomp, _SET_MODE_FILTER, _FLAG_SPEC_ALLOW, filled)
