"""
Type what README's section "Install" says, word for word, and end with the status of what failed.

For a bare root: script/fresh --bare SUITE python3 script/readme_install.py. As root, where there
is no sudo, and saying yes to apt, which asks.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def commands() -> list[str]:
    """Give the lines of the section's console block that are typed."""
    text = (ROOT / "README.md").read_text("utf-8")
    section = text.partition("\n## Install\n")[2]
    block = section.partition("```console\n")[2].partition("```")[0].replace("\\\n", " ")
    lines = re.findall(r"^\$ (.+?)(?:\s+#.*)?$", block, re.MULTILINE)
    return [
        re.sub(r"^sudo apt ", "DEBIAN_FRONTEND=noninteractive apt-get -y ", line) for line in lines
    ]


def main() -> int:
    """Run each line in the checkout."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    lines = commands()
    if not lines:
        sys.exit("README.md has no commands in its section Install")
    subprocess.run(["apt-get", "-q", "update"], check=True)
    for line in lines:
        print(f"$ {line}", flush=True)
        status = subprocess.run(["/bin/sh", "-c", line], cwd=ROOT, check=False).returncode
        if status:
            print(f"failed with status {status}", flush=True)
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
