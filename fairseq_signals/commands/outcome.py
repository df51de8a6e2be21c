"""How every command and script ends."""

from __future__ import annotations

from typing import Callable

from fairseq_signals.errors import FairseqSignalsError, outside_reason
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
    except (MemoryError, RuntimeError) as error:
        reason = outside_reason(error)
        if reason is None:
            raise
        told, code = f"{reason}. Give it more, or less to do at a time (--batch-size, --workers).", 1
    tell(f"{before}{told}")
    return code
