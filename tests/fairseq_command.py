"""A command of fairseq in a process forked from one that has fairseq loaded already.

The fixture `start_fairseq` runs this file with the globals COMMAND (a module of `fairseq_cli`), ARGV (its
arguments), CWD, LOG (the file that gets all output) and FULL_ERROR ("1": hydra shows all of a traceback).
"""

import importlib
import multiprocessing
import os
import sys

multiprocessing.set_start_method("fork", force=True)  # for loaders' workers: the default of a command
os.chdir(CWD)  # type: ignore[name-defined]  # noqa: F821
log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)  # type: ignore[name-defined]  # noqa: F821
os.dup2(log, 1)
os.dup2(log, 2)
os.environ["HYDRA_FULL_ERROR"] = FULL_ERROR  # type: ignore[name-defined]  # noqa: F821
sys.argv = ["fairseq", *ARGV]  # type: ignore[name-defined]  # noqa: F821
importlib.import_module(COMMAND).cli_main()  # type: ignore[name-defined]  # noqa: F821
