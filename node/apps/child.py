"""The process that an app runs in: started by ``sandbox.py`` as a script, shut off by ``jail.py``, ends with a reply.

What it is to do comes as a *job* on a descriptor: a line of JSON, then the files of the app, the rows and the message,
end to end. The reply goes to another descriptor. What it says to its standard output is for the hospital's operator.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any


def _write(files: dict[str, bytes], base: Path) -> None:
    for path, content in files.items():
        target = base / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def main(source: int, replies: int, parent: int) -> None:
    """Run one job; end with 0, or with 3 where there is no sandbox and 4 where the app could not be run."""
    # Found by the file's place, as the packages around it need not be on this process's path.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    jail = importlib.import_module("node.apps.jail")
    jail.bind_to_parent(parent, 15 if os.environ.get("FARR_SANDBOX") == "none" else 9)
    jail.die_first()
    with os.fdopen(source, "rb") as file:
        file.seek(0)
        job: dict[str, Any] = json.loads(file.readline())
        files = {path: file.read(length) for path, length in job["files"]}
    os.umask(0o022)
    limits = jail.Limits(**job["limits"])
    root = Path(job["root"])
    try:
        if job["sandbox"]:
            jail.enter(root, [Path(path) for path in job["seen"]], limits, lambda new: _write(files, new / "farr"))
            base = jail.OWN
        else:
            jail.guard()
            _write(files, root)
            os.chdir(root / "work")
            jail.drop_privileges()
            jail.limit(limits)
            base = root
    except (jail.JailError, OSError) as error:
        sys.stderr.write(f"no sandbox: {error}\n")
        os._exit(3)
    files.clear()
    if job.get("probe"):
        return
    reply = importlib.import_module("node.apps.flower").run(
        app=base / "app",
        message=(base / "data/message").read_bytes(),
        rows=base / "data" / job["rows"],
        client=job["client"],
        config=job["config"],
        node_config=job["node_config"],
    )
    view = memoryview(reply)
    while view:
        view = view[os.write(replies, view) :]


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    # An app may have left threads behind: what it has to say is said.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
