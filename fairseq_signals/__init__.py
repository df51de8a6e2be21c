"""Lead-agnostic self-supervised learning of electrocardiograms, as a plugin for stock fairseq.

Importing this package is cheap. Its tasks, models and criterions are registered with fairseq as soon as
fairseq itself is imported: at once where it already is, so that `common.user_dir=fairseq_signals`,
`import fairseq_signals` before fairseq's Python API and the reverse order all work. Where fairseq is not
installed, reading records, metrics and trained models still work.
"""

import wrapt

__version__ = "0.1.0"


@wrapt.when_imported("fairseq")
def _register(fairseq: object) -> None:
    """Register every task, model and criterion; each module registers what it defines."""
    from fairseq_signals import criterions, models, tasks  # noqa: F401
