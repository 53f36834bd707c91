"""Draw the demo's own output as the picture of the README: ``python -m benchmarks.picture`` from the root."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "demo.svg"
WIDTH = 100
LINES = 46
"""Enough for the first questions."""


def main() -> None:
    """Run the demo and draw the beginning of what it prints."""
    environment = {**os.environ, "COLUMNS": str(WIDTH), "FORCE_COLOR": "1"}
    command = [sys.executable, "-m", "farr", "--lang", "en", "demo"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    shown = "\n".join(ran.stdout.strip("\n").splitlines()[:LINES])
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(shown))
    # The picture asks nothing of the network: whoever looks at it uses a monospaced font of their own.
    drawn = re.sub(
        r"@font-face \{.*?\}\s*|<!-- Generated.*?-->", "", console.export_svg(title="make demo"), flags=re.DOTALL
    )
    PICTURE.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
