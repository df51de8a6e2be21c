"""How every command and script ends."""

from __future__ import annotations

from typing import Callable

from fairseq_signals.errors import FairseqSignalsError
from fairseq_signals.safety.text import tell

INTERRUPTED = 130


def exit_code(work: Callable[[], int], before: str = "", interrupted: str = "interrupted") -> int:
    """What `work` gives back; 1 after an error about the input, 130 after Ctrl-C, told in a line.

    Args:
        before: what the line begins with.
        interrupted: what it says of Ctrl-C.
    """
    try:
        return work()
    except FairseqSignalsError as error:
        told, code = f"{type(error).__name__}: {error}", 1
    except OSError as error:  # a full disk, a folder that is not ours
        where = "" if error.filename is None else f"{error.filename}: "
        told, code = f"{where}{error.strerror or error}", 1
    except KeyboardInterrupt:
        told, code = interrupted, INTERRUPTED
    tell(f"{before}{told}")
    return code
