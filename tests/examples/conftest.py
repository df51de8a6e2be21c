"""ECGs and their texts, for the examples of language."""

import runpy

import pytest


@pytest.fixture(scope="session")
def tokens(corpus, repo_dir, tmp_path_factory):
    """Tokens of two leads, with the names of classes as texts."""
    folder = tmp_path_factory.mktemp("tokens")
    texts = ["--text-from", "labels", "--labels", "cinc2021", "--split", "4:3:3", "--segment-seconds", "2"]
    grid = ["--leads", "I,II", "--step-mv", "0.1", "--learn-from", "20"]
    for name, *arguments in (
        ("ecg_text", corpus.store, "--dest", folder / "text", *texts),
        ("ecg_tokens", folder / "text", "--dest", folder / "tokens", *grid),
    ):
        main = runpy.run_path(str(repo_dir / "manifests" / f"{name}.py"), run_name="script")["main"]
        assert main([str(argument) for argument in arguments]) == 0
    return folder / "tokens"
