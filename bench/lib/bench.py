"""What every benchmark shares: its Python, its arguments, its figures.

A benchmark prints what it measured as "name value unit" lines and ends with

    RATIO name value bar OK|MISSED

where bar is "<=0.2", ">=1.0" or "report" (no bar: always OK).
"""

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BENCH = os.path.join(TOP, "bench")
VENV = os.environ.get("TARN_BENCH_VENV", os.path.join(TOP, "build", "bench-venv"))


def use_venv():
    """Runs this program again by the Python that has the peers, made at first use."""
    python = os.path.join(VENV, "bin", "python")
    if os.path.realpath(sys.prefix) == os.path.realpath(VENV):
        return
    marker = os.path.join(VENV, "complete")
    if not os.path.exists(marker):
        print("# installing DuckDB, pyarrow, psycopg2 and tpchgen-cli into", VENV, file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r",
                        os.path.join(BENCH, "requirements.txt")], check=True)
        open(marker, "w").close()
    os.execv(python, [python] + sys.argv)


def arguments(description, **extra):
    """--runs, --scale, --pg-config, --work, --keep, and one option for each keyword (name=default)."""
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--runs", type=int, default=3, help="runs in turn with the peer (default %(default)s)")
    p.add_argument("--scale", type=float, default=1.0, help="fraction of the full size (default %(default)s)")
    p.add_argument("--pg-config", default=os.environ.get("PG_CONFIG", "pg_config"),
                   help="of the server tarn is installed into")
    p.add_argument("--work", help="folder for the server and files (default: a new one in /tmp)")
    p.add_argument("--keep", action="store_true", help="leave that folder behind")
    for name, default in extra.items():
        p.add_argument("--" + name.replace("_", "-"), type=type(default), default=default)
    return p.parse_args()


class Work:
    """The folder a benchmark works in; gone at the end."""

    def __init__(self, args):
        self.keep = args.keep or args.work is not None
        self.path = args.work or tempfile.mkdtemp(prefix="tarn-bench-", dir="/tmp")
        os.makedirs(self.path, exist_ok=True)
        os.chmod(self.path, 0o777)

    def __enter__(self):
        # a benchmark that is ended stops its server and removes its files
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        return self.path

    def __exit__(self, *exc):
        if not self.keep:
            shutil.rmtree(self.path, ignore_errors=True)


def figure(name, value, unit=""):
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    print(f"{name} {text} {unit}".rstrip(), flush=True)


class Series:
    """Values of runs, by name; printed run by run, medians at the end."""

    def __init__(self):
        self.values = {}

    def add(self, name, value, unit="s"):
        self.values.setdefault(name, []).append(value)
        figure(name, float(value), unit)

    def median(self, name):
        return statistics.median(self.values[name])

    def has(self, name):
        return name in self.values

    def summary(self, unit="s"):
        for name in self.values:
            figure("median " + name, self.median(name), unit)

    def ratio(self, a, b):
        return self.median(a) / self.median(b)


_missed = False


def ratio(name, value, bar="report"):
    """Prints a RATIO line; remembers a miss for finish()."""
    global _missed
    ok = True
    if bar.startswith("<="):
        ok = value <= float(bar[2:])
    elif bar.startswith(">="):
        ok = value >= float(bar[2:])
    _missed = _missed or not ok
    print(f"RATIO {name} {value:.3f} {bar} {'OK' if ok else 'MISSED'}", flush=True)


def finish():
    """Exit code 1 when a bar was missed."""
    sys.exit(1 if _missed else 0)
