"""Look-alikes of file formats are made by the same code as in the tests of the scripts."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

LOOKALIKES = Path(__file__).parents[2] / "preprocess" / "lookalikes"


@pytest.fixture(scope="session")
def lookalike():
    """`lookalike(name)`: tests/preprocess/lookalikes/NAME.py, which writes small files of a format."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"lookalike_{name}", LOOKALIKES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def refused():
    """`refused(read, path)`: the error of a reader, which names the record."""
    from fairseq_signals.errors import SignalError

    def check(read, path: Path) -> SignalError:
        with pytest.raises(SignalError, match="record some record: ") as raised:
            read(path, "some record")
        return raised.value

    return check
