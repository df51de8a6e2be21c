"""A user's mistake in one line, where a command of fairseq trains; HYDRA_FULL_ERROR=1 has it all."""

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Optional, Tuple, Type

FULL = "HYDRA_FULL_ERROR"  #: hydra's switch, for fairseq-train too


def shown_by_hydra() -> Tuple[Type[Exception], ...]:
    """The class of errors that hydra shows without a traceback; none where it is not loaded.

    fairseq loads it before any plugin.
    """
    errors = sys.modules.get("hydra.errors")
    return (errors.CompactHydraException,) if errors else ()


def show_in_one_line(kind: Type[Exception]) -> None:
    """Have an error that ends the program shown in a line, if the program is a command of fairseq.

    Args:
        kind: of the errors of which this goes.
    """
    command = Path(sys.argv[0])
    if not (command.name.startswith("fairseq-") or command.parent.name == "fairseq_cli"):
        return
    show = sys.__excepthook__

    def hook(raised: Type[BaseException], error: BaseException, trace: Optional[TracebackType]) -> None:
        if not issubclass(raised, kind) or os.environ.get(FULL) == "1":
            return show(raised, error, trace)
        print(f"{raised.__name__}: {error}\n\nSet {FULL}=1 to see where it was raised.", file=sys.stderr)

    sys.excepthook = hook
