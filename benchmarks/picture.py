"""Draw the demo's own output, for the README and the researcher's guide: ``python -m benchmarks.picture``."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
WIDTH = 100
LINES = 46
"""Enough for the first questions."""

MODEL = re.compile(r"^\S*7\. .*?^\S*loss [^\n]*", re.DOTALL | re.MULTILINE)
"""What the demo says of its model: from the seventh heading to the curve of the loss."""


def main() -> None:
    """Run the demo and draw the beginning of what it prints, and the part about its model."""
    environment = {**os.environ, "COLUMNS": str(WIDTH), "FORCE_COLOR": "1"}
    command = [sys.executable, "-m", "farr", "--lang", "en", "demo"]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip("\n")
    draw("\n".join(printed.splitlines()[:LINES]), "demo.svg")
    model = MODEL.search(printed)
    if model is None:
        raise SystemExit("the demo trained no model, or says so in other words")
    draw(model[0], "model.svg")


def draw(printed: str, name: str) -> None:
    """Draw lines of a terminal, colours and all."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(printed))
    # The picture asks nothing of the network: whoever looks at it uses a monospaced font of their own.
    drawn = re.sub(
        r"@font-face \{.*?\}\s*|<!-- Generated.*?-->", "", console.export_svg(title="make demo"), flags=re.DOTALL
    )
    (IMAGES / name).write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
