"""`fairseq-hydra-train` in a process forked from one that has fairseq loaded already.

The fixture `start_training` runs this file with the globals ARGV (the command's arguments), CWD and LOG (the
file that gets all output).
"""

import os
import sys

os.chdir(CWD)  # type: ignore[name-defined]  # noqa: F821
log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)  # type: ignore[name-defined]  # noqa: F821
os.dup2(log, 1)
os.dup2(log, 2)
os.environ["HYDRA_FULL_ERROR"] = "1"  # else hydra looks through every module to print less
sys.argv = ["fairseq-hydra-train", *ARGV]  # type: ignore[name-defined]  # noqa: F821

from fairseq_cli.hydra_train import cli_main  # noqa: E402

cli_main()
