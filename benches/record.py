"""The tables of docs/performance, which `cargo xtask performance-page` shows."""

import datetime
import json
import os
import platform
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "docs" / "performance"


def processor():
    """Its name and number of threads."""
    names = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} threads, {platform.system()}"


def path(name, isa):
    """The file of a table of one instruction set."""
    return TABLES / f"{name}-{isa}.json"


def rows(name, isa):
    """The rows that are recorded."""
    file = path(name, isa)
    return json.loads(file.read_text())["rows"] if file.exists() else []


def write(name, isa, title, text, command, commit, versions, columns, rows):
    """Writes a table, a row to a line, so that a new measurement is a small change."""
    table = {
        "title": f"{title} ({isa})",
        "text": text,
        "command": command,
        "machine": processor(),
        "date": datetime.date.today().isoformat(),
        "commit": commit,
        "versions": versions,
        "columns": columns,
    }
    lines = ",\n    ".join(json.dumps(row) for row in rows)
    TABLES.mkdir(parents=True, exist_ok=True)
    path(name, isa).write_text(json.dumps(table, indent=2)[:-2] + f',\n  "rows": [\n    {lines}\n  ]\n}}\n')
