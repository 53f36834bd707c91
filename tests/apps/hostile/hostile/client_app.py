"""An app that does what no app may, one thing a function. Its arrays hold one number; what it got away with is added.

Written against Flower's public API and Python's standard library. It runs in tests only.
"""

import contextlib
import ctypes
import errno
import mmap
import os
import pickle
import signal
import socket
import sys
import time
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


def replied(message: Message, *arrays: np.ndarray, **more) -> Message:
    """Reply with arrays, and more records."""
    return Message(RecordDict({"arrays": ArrayRecord(list(arrays)), **more}), reply_to=message)


def got_away(message: Message, successes: list) -> Message:
    """Reply with the number of things that worked, and say which to the operator."""
    sys.stdout.write(f"got away with: {successes!r}\n")
    [point] = message.content["arrays"].to_numpy_ndarrays()
    return replied(message, point + len(successes))


def rows(context: Context) -> np.ndarray:
    """Return the patients' values."""
    from pyarrow import parquet

    return parquet.read_table(context.node_config["farr-data"]).column("age").to_numpy()


@app.train("raw_rows")
def raw_rows(message: Message, context: Context) -> Message:
    """Return the rows in place of the weights."""
    return replied(message, rows(context))


@app.train("more_arrays")
def more_arrays(message: Message, context: Context) -> Message:
    """Return the rows beside the weights."""
    [point] = message.content["arrays"].to_numpy_ndarrays()
    return replied(message, point, rows=ArrayRecord([rows(context)]))


@app.train("far")
def far(message: Message, context: Context) -> Message:
    """Put a patient's value into the weights, so large that no noise hides it."""
    [point] = message.content["arrays"].to_numpy_ndarrays()
    return replied(message, point + 1e200 * rows(context)[0])


@app.train("huge")
def huge(message: Message, _context: Context) -> Message:
    """Return an array of a gigabyte."""
    return replied(message, np.zeros(1 << 27))


@app.train("pickled")
def pickled(message: Message, _context: Context) -> Message:
    """Return a pickle as an array's bytes."""
    array = Array(dtype="object", shape=(1,), stype="numpy.ndarray", data=pickle.dumps(Trap()))
    return Message(RecordDict({"arrays": ArrayRecord({"0": array})}), reply_to=message)


@app.train("pickled_reply")
def pickled_reply(_message: Message, _context: Context) -> Message:
    """Write a pickle in place of the reply."""
    os.write(int(sys.argv[2]), pickle.dumps(Trap()))
    os._exit(0)


@app.train("settings")
def settings(message: Message, context: Context) -> Message:
    """Return the rows as bytes of a setting."""
    [point] = message.content["arrays"].to_numpy_ndarrays()
    return replied(message, point, config=ConfigRecord({"rows": rows(context).tobytes()}))


@app.train("metrics")
def metrics(message: Message, context: Context) -> Message:
    """Return a patient's value as a metric, and as the number of examples."""
    [point] = message.content["arrays"].to_numpy_ndarrays()
    value = float(rows(context)[0])
    return replied(message, point, metrics=MetricRecord({"loss": value, "num-examples": int(value)}))


@app.train("many_metrics")
def many_metrics(message: Message, context: Context) -> Message:
    """Return every patient's value as metrics."""
    [point] = message.content["arrays"].to_numpy_ndarrays()
    return replied(message, point, metrics=MetricRecord({"ages": [float(age) for age in np.tile(rows(context), 500)]}))


@app.evaluate("undeclared")
def undeclared(message: Message, context: Context) -> Message:
    """Return a patient's value beside the metric that was declared."""
    metrics = MetricRecord({"accuracy": 0.0, "age": float(rows(context)[0])})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


@app.train("patched")
def patched(message: Message, _context: Context) -> Message:
    """Switch off every check in its own process, and return what is not a number."""
    import node.apps.flower
    import protocols.app_message

    np.isfinite = lambda values: np.ones_like(values, dtype=bool)
    protocols.app_message.decode = node.apps.flower.decode = lambda *_: None
    [point] = message.content["arrays"].to_numpy_ndarrays()
    return replied(message, point * np.nan)


@app.train("socket")
def open_socket(message: Message, _context: Context) -> Message:
    """Reach somebody."""
    port = int(message.content["config"]["port"])
    name = str(message.content["config"]["name"])
    done = []
    for family, kind, address in (
        (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port)),
        (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port)),
        (socket.AF_INET, socket.SOCK_DGRAM, ("192.0.2.1", 53)),
        (socket.AF_UNIX, socket.SOCK_STREAM, "\0" + name),
    ):
        with contextlib.suppress(OSError), socket.socket(family, kind) as opened:
            opened.settimeout(1)
            opened.connect(address)
            opened.send(b"a patient")
            done.append(address)
    return got_away(message, done)


@app.train("forks")
def forks(message: Message, _context: Context) -> Message:
    """Leave children behind that never end, some of them no longer in the group."""
    for number in range(6):
        if os.fork() == 0:
            if number % 2:
                os.setpgid(0, 0)
                if os.fork():
                    os._exit(0)
            for caught in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(caught, signal.SIG_IGN)
            while True:
                time.sleep(60)
    [point] = message.content["arrays"].to_numpy_ndarrays()
    return replied(message, point)


@app.train("bomb")
def bomb(message: Message, _context: Context) -> Message:
    """Start children until it is stopped, then say how many."""
    started = 0
    with contextlib.suppress(OSError):
        while started < 5000:
            if os.fork() == 0:
                time.sleep(600)
                os._exit(0)
            started += 1
    return got_away(message, [started] if started >= 1000 else [])


@app.train("never_ends")
def never_ends(_message: Message, _context: Context) -> Message:
    """Never reply."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(0.01)


@app.train("reads")
def reads(message: Message, _context: Context) -> Message:
    """Read what it was not handed."""
    done = []
    for path in message.content["config"]["paths"]:
        for tried in (path, f"/proc/self/root{path}", f"/proc/1/root{path}", f"/proc/{sys.argv[3]}/root{path}"):
            with contextlib.suppress(OSError):
                if Path(tried).is_dir():
                    done += [tried, [path.name for path in Path(tried).iterdir()]]
                else:
                    done += [tried, len(Path(tried).read_bytes())]
    for pid in (name for name in (path.name for path in Path("/proc").iterdir()) if name.isdigit() and int(name) > 1):
        done.append(pid)
    # Descriptors of the node must not have been handed on, and those that were are no folders to climb from.
    for number in range(3, 256):
        with contextlib.suppress(OSError):
            if not str(Path(f"/proc/self/fd/{number}").readlink()).startswith(
                ("/memfd:", "/proc", "/farr", "pipe:", "anon_inode")
            ):
                done.append(str(Path(f"/proc/self/fd/{number}").readlink()))
    return got_away(message, done)


@app.train("writes")
def writes(message: Message, _context: Context) -> Message:
    """Write outside of its folder."""
    done = []
    for folder in message.content["config"]["paths"]:
        # Whoever the app is here, what it sees is mounted so that nobody writes to it.
        if Path(folder).exists() and not os.statvfs(folder).f_flag & os.ST_RDONLY:
            done.append(f"{folder} is not read-only")
        with contextlib.suppress(OSError):
            (Path(folder) / "left-behind").write_text("a patient")
            done.append(folder)
    with contextlib.suppress(OSError):
        while True:
            with Path("filler").open("ab") as file:
                file.write(b"0" * (1 << 20))
            if Path("filler").stat().st_size > 1 << 30:
                done.append("a gigabyte")
                break
    return got_away(message, done)


@app.train("kills")
def kills(_message: Message, _context: Context) -> Message:
    """End the node, and everything else."""
    for pid in (int(sys.argv[3]), os.getppid(), -1):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    os._exit(0)


@app.train("allocates")
def allocates(message: Message, _context: Context) -> Message:
    """Take a hundred gigabytes, at once and then by and by, in several processes."""
    with contextlib.suppress(MemoryError):
        np.ones(100 << 27)
        return got_away(message, ["a hundred gigabytes"])
    kept = []
    for _ in range(3):
        os.fork()
    while True:
        kept.append(np.ones(1 << 21))


@app.train("shares")
def shares(message: Message, _context: Context) -> Message:
    """Hold memory that children share, and that no process has in its own addresses."""
    done = []
    libc = ctypes.CDLL(None, use_errno=True)
    with contextlib.suppress(OSError):
        os.close(os.memfd_create("hidden"))
        done.append("memory without an address")
    for name, attempt in {
        "a segment": lambda: libc.shmget(0, 1 << 20, 0o600),
        "a queue": lambda: libc.msgget(0, 0o600),
    }.items():
        if attempt() >= 0:
            done.append(name)
    if done:
        return got_away(message, done)
    held = mmap.mmap(-1, 3 << 29)
    for place in range(0, len(held), 4096):
        held[place] = 1
    time.sleep(5)
    return got_away(message, ["more memory than it may use"])


@app.train("sockets")
def sockets(message: Message, _context: Context) -> Message:
    """Hold memory that is the kernel's: in sockets of many processes that nobody reads from."""
    done = []
    libc = ctypes.CDLL(None, use_errno=True)
    # A thread, or a call, that takes descriptors of its own: others do not see them among those of the process.
    if libc.syscall(56, 0x00000100 | 0x00000800 | 0x00010000, 0, 0, 0, 0) >= 0:
        done.append("a thread with descriptors of its own")
    if libc.syscall(436, 200, 201, 2) >= 0:
        done.append("descriptors of its own by closing some")
    if libc.syscall(278, -1, 0, 0, 0) >= 0 or ctypes.get_errno() != errno.EPERM:
        done.append("pages that no process has")
    if done:
        return got_away(message, done)
    for _ in range(3):
        if os.fork() == 0:
            break
    held = []
    with contextlib.suppress(OSError):
        while True:
            held.append(socket.socketpair())
            for end in held[-1]:
                end.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while end.send(b"0" * 4096):
                        pass
    time.sleep(20)
    return got_away(message, ["memory of the kernel"])


@app.train("opens")
def opens(message: Message, _context: Context) -> Message:
    """Keep thousands of files open, in many processes: whoever looks after the app has all of them to look at."""
    for _ in range(15):
        if os.fork() == 0:
            break
    with contextlib.suppress(OSError):
        while True:
            os.open("/dev/null", os.O_RDONLY)
    time.sleep(20)
    return got_away(message, ["descriptors"])


@app.train("files")
def files(message: Message, _context: Context) -> Message:
    """Make so many empty files that the kernel's own memory for them runs out."""
    done = []
    for folder in (Path.cwd(), Path("/dev/shm")):
        made = 0
        with contextlib.suppress(OSError):
            while made < 40_000:
                os.close(os.open(folder / f"{made}", os.O_CREAT | os.O_WRONLY))
                made += 1
        if made == 40_000:
            done.append(f"{made} files in {folder}")
    return got_away(message, done)


@app.train("eager")
def eager(message: Message, _context: Context) -> Message:
    """Come before others: at the processor, or where memory runs out."""
    done = []
    libc = ctypes.CDLL(None, use_errno=True)
    if os.getpriority(os.PRIO_PROCESS, 0) != 19:
        done.append("no further behind than others")
    for name, attempt in {
        "before others": lambda: os.setpriority(os.PRIO_PROCESS, 0, 0),
        "a little": lambda: os.setpriority(os.PRIO_PROCESS, 0, 18),
        "real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
        "by thread": lambda: None if libc.setpriority(0, 0, 5) == 0 else os.open("/nonexistent", 0),
    }.items():
        with contextlib.suppress(OSError):
            attempt()
            done.append(name)
    # Many systems share the processor by session first: within its own, nothing is behind anything.
    with contextlib.suppress(OSError):
        if "nice 19" not in Path("/proc/self/autogroup").read_text():
            done.append("no further behind than other sessions")
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text("0")
        done.append("forward with its session")
    child = os.fork()
    if child == 0:
        with contextlib.suppress(OSError):
            os.setsid()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        done.append("forward in a session of its own")
    with contextlib.suppress(OSError):
        if Path("/proc/self/oom_score_adj").read_text().strip() != "1000":
            done.append("not the first to be ended")
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("0")
        done.append("ended later than others")
    return got_away(message, done)


@app.train("families")
def families(message: Message, _context: Context) -> Message:
    """Open a socket that no network namespace holds in."""
    done = []
    for family in set(range(64)) - {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK}:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            try:
                socket.socket(family, kind).close()
                done.append(family)
            except OSError as error:
                # Refused by the filter, before the kernel looks for who could serve it.
                if error.errno != errno.EAFNOSUPPORT:
                    done.append(f"{family}: {error.errno}")
    return got_away(message, done)


@app.train("privileges")
def privileges(message: Message, _context: Context) -> Message:
    """Become somebody else."""
    libc = ctypes.CDLL(None, use_errno=True)
    done = []
    for name, attempt in {
        "user namespace": lambda: libc.unshare(0x10000000),
        "mount namespace": lambda: libc.unshare(0x00020000),
        "mount": lambda: libc.mount(b"none", b"/farr/work", b"tmpfs", 0, None),
        "remount": lambda: libc.mount(b"none", b"/", None, 4096 | 32, None),
        "user namespace by clone": lambda: 0 if libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0) >= 0 else -1,
        "ptrace": lambda: libc.ptrace(0, 0, 0, 0),
        "bpf": lambda: 0 if libc.syscall(321, 0, 0, 0) == 0 or ctypes.get_errno() != errno.EPERM else -1,
        "root": lambda: libc.setresuid(0, 0, 0),
        "chroot": lambda: libc.chroot(b"/farr/work"),
    }.items():
        if attempt() == 0:
            done.append(name)
    status = Path("/proc/self/status").read_text() if Path("/proc/self/status").exists() else ""
    done += [
        line for line in status.splitlines() if line.startswith(("CapEff", "CapPrm", "CapBnd")) and int(line[8:], 16)
    ]
    return got_away(message, done)


@app.train("says")
def says(_message: Message, context: Context) -> Message:
    """Say patients' values to whoever reads its output, and fail with one."""
    sys.stdout.write("a patient: 77.125\n" * 100_000)
    sys.stderr.write(f"ages: {list(rows(context))!r}\n")
    sys.stdout.flush()
    raise ValueError(f"a patient is {rows(context)[0]}")


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self):
        """Run a command on load."""
        return (os.system, ("touch unpickled",))
