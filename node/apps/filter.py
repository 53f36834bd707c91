"""Takes system calls away that no app needs: namespaces, mounts, other processes' memory, the kernel's far corners.

A filter of the kernel's own (seccomp with BPF), which every child inherits and nobody can take off. What is listed
fails as if it were not permitted. Only Python's standard library is imported here.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from types import MappingProxyType

_SECCOMP, _FILTER = 22, 2
_LOAD, _EQUAL, _AT_LEAST, _HAS, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _THIRD_ARGUMENT = 0, 4, 16, 32
_NEWUSER, _THREAD, _FILES = 0x10000000, 0x00010000, 0x00000400
_X32 = 0x40000000

_ARCHITECTURES = MappingProxyType({"x86_64": 0xC000003E, "aarch64": 0xC00000B7})

# The same on every processor: io_uring (3), open_tree, move_mount, fsopen, fsconfig, fsmount,
# fspick, pidfd_getfd, mount_setattr, memfd_secret.
_YOUNG = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442, 447)
_DENIED = MappingProxyType(
    {
        # ptrace, pivot_root, chroot, mount, umount2, init_module, delete_module, kexec_load, add_key, request_key,
        # keyctl, unshare, perf_event_open, name_to_handle_at, open_by_handle_at, setns, process_vm_readv and _writev,
        # finit_module, bpf, userfaultfd; and what holds memory that no process is seen to hold: memfd_create, shmget,
        # msgget, vmsplice; and setsid, as a session of its own may come before others at the processor
        "x86_64": (101, 155, 161, 165, 166, 175, 176, 246, 248, 249, 250, 272, 298, 303, 304, 308, 310, 311, 313, 321,
                   323, 319, 29, 68, 278, 112),
        "aarch64": (117, 41, 51, 40, 39, 105, 106, 104, 217, 218, 219, 97, 241, 264, 265, 268, 270, 271, 273, 280, 282,
                    279, 194, 186, 75, 157),
    }
)  # fmt: skip
_CLONE = MappingProxyType({"x86_64": 56, "aarch64": 220})
_CLONE3 = 435
_CLOSE_RANGE, _UNSHARED = 436, 2
_SOCKET = MappingProxyType({"x86_64": 41, "aarch64": 198})
_FAMILIES = (1, 2, 10, 16)
"""Kinds of sockets that a network namespace holds in: UNIX, IPv4, IPv6, netlink. Others, such as those between a
virtual machine and its host, go past it."""


def program(machine: str) -> bytes:
    """Return the filter for a processor, as instructions of 8 bytes; empty: there is none for it."""
    if machine not in _ARCHITECTURES:
        return b""
    steps = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, _ARCHITECTURES[machine]), (_RETURN, 0, 0, _KILL)]
    steps += [(_LOAD, 0, 0, _NUMBER)]
    # Each test is followed by what it returns; it is passed over where it does not hold.
    steps += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _ERRNO | errno.EPERM)] if machine == "x86_64" else []
    # Its flags are in memory, where a filter cannot look; the C library then uses the older call.
    steps += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    for number in (*_DENIED[machine], *_YOUNG):
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    steps += _sockets(_SOCKET[machine])
    # A thread with descriptors of its own would have sockets that are not seen among those of its process.
    steps += [(_EQUAL, 0, 4, _CLOSE_RANGE), (_LOAD, 0, 0, _THIRD_ARGUMENT), (_HAS, 0, 1, _UNSHARED)]
    steps += [(_RETURN, 0, 0, _ERRNO | errno.EPERM), (_RETURN, 0, 0, _ALLOW)]
    steps += [(_EQUAL, 0, 5, _CLONE[machine]), (_LOAD, 0, 0, _FIRST_ARGUMENT), (_HAS, 2, 0, _NEWUSER)]
    steps += [(_AND, 0, 0, _THREAD | _FILES), (_EQUAL, 0, 1, _THREAD)]
    steps += [(_RETURN, 0, 0, _ERRNO | errno.EPERM), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _sockets(number: int) -> list[tuple[int, int, int, int]]:
    """Return the steps that allow sockets of some families only."""
    most = len(_FAMILIES)
    allowed = [(_EQUAL, most - place, 0, family) for place, family in enumerate(_FAMILIES)]
    beginning = [(_EQUAL, 0, most + 3, number), (_LOAD, 0, 0, _FIRST_ARGUMENT)]
    return [*beginning, *allowed, (_RETURN, 0, 0, _ERRNO | errno.EAFNOSUPPORT), (_RETURN, 0, 0, _ALLOW)]


def install() -> bool:
    """Put the filter on this process and all that it starts; return whether the kernel took it.

    The process must have given up gaining privileges before.

    Guarantee: afterwards no namespace is made or entered, nothing is mounted, traced or loaded, and no memory is held
    but that of processes and of the two bounded folders. Tests:
    tests/redteam/test_apps_attacked.py::test_an_app_gains_no_privilege,
    tests/redteam/test_apps_attacked.py::test_an_app_hides_no_memory.
    """
    written = program(platform.machine())
    held = ctypes.create_string_buffer(written, len(written))
    described = struct.pack("HxxxxxxP", len(written) // 8, ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(written) and libc.prctl(_SECCOMP, ctypes.c_ulong(_FILTER), described, 0, 0) == 0
