#!/usr/bin/env python3
"""Runs programs of this directory on demand, each in a fork that has the libraries loaded already.

usage: serve.py MODULE ...

A line of input is a JSON array: the module to run, and its arguments.  The
answer is all that it prints, and a line "exit STATUS" after that.  Loading
the libraries and DuckDB's extensions takes longer than most comparisons do;
nothing else is shared between two runs.
"""

import importlib
import json
import os
import sys
import traceback

import lake_engines


def run(module, arguments):
    """The body of the child: never returns."""
    os.dup2(1, 2)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    sys.argv = [f"{module.__name__}.py"] + arguments
    status = 1
    try:
        status = module.main()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code)
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc(file=sys.stdout)
    sys.stdout.flush()
    os._exit(status or 0)


def main():
    modules = {name: importlib.import_module(name) for name in sys.argv[1:]}
    lake_engines.prepare()
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            run(modules[name], arguments)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        # on a line of its own, whatever was printed before it
        print(f"\nexit {status}", flush=True)


if __name__ == "__main__":
    main()
