"""The tables of docs/performance, which `cargo xtask performance-page` shows, and how programs are asked for figures.

Every script that measures writes its table by `write`, so that all of them say what made them, where, when and from
which commit."""

import datetime
import json
import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "docs" / "performance"
# The program that is measured unless another is named.
PROGRAM = str(ROOT / "target" / "release" / "hardnet")
# The networks, those first whose tables are read first.
MODELS = ("hardnet68", "hardnet85", "hardnet39ds", "hardnet68ds")


def processor():
    """Its name and number of threads."""
    names = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} threads, {platform.system()}"


def output(*command, **options):
    """What a command prints, stripped; its errors end the script."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-2000:]}")
    return done.stdout.strip()


def report(*command, **options):
    """The JSON that a command prints, below lines of other texts if there are any."""
    printed = output(*command, **options)
    return json.loads(printed[printed.index("{") :])


def commit():
    """The commit that is checked out."""
    return output("git", "rev-parse", "--short", "HEAD", cwd=ROOT)


def path(name, isa=None):
    """The file of a table, of one instruction set if there is one for each."""
    return TABLES / (f"{name}-{isa}.json" if isa else f"{name}.json")


def rows(name, isa=None):
    """The rows that are recorded."""
    file = path(name, isa)
    return json.loads(file.read_text())["rows"] if file.exists() else []


def write(name, *, title, text, command, columns, rows, commit=None, versions=None, isa=None, file=None, source=None):
    """Writes a table, a row to a line, so that a new measurement is a small change. `source` is another table from which
    it follows: then machine, date, commit and versions are those of that table."""
    table = {
        "title": f"{title} ({isa})" if isa else title,
        "text": text,
        "command": command,
        "machine": processor(),
        "date": datetime.date.today().isoformat(),
        "commit": commit,
        "versions": versions,
        "columns": columns,
    }
    table.update({name: source[name] for name in ("machine", "date", "commit", "versions")} if source else {})
    lines = ",\n    ".join(json.dumps(row) for row in rows)
    file = Path(file or path(name, isa))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(table, indent=2)[:-2] + f',\n  "rows": [\n    {lines}\n  ]\n}}\n')
    print(file)
