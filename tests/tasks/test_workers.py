"""A loader's workers end with their epoch, at once and without a word."""

import gc
import multiprocessing
import sys
import time

import pytest

from fairseq_signals.tasks.base import TrainingDataset

pytestmark = pytest.mark.filterwarnings("ignore:'pin_memory' argument")


class CollectingDataset(TrainingDataset):
    """One whose items have the garbage collected, as happens by chance in a long training."""

    def __getitem__(self, index):
        gc.collect()
        return super().__getitem__(index)


@pytest.fixture
def epoch(setup, corpus):
    """`epoch(number, data_buffer_size)`: fairseq's iterator over the batches of an epoch, from one worker."""
    task = setup("ecg_pretraining", corpus.pretrain, segment_pairs=True)
    task.load_dataset("valid")
    task.dataset("valid").__class__ = CollectingDataset

    def batches(number, data_buffer_size):
        options = {"epoch": number, "data_buffer_size": data_buffer_size}
        iterator = task.get_batch_iterator(task.dataset("valid"), max_sentences=4, num_workers=1, **options)
        return iterator.next_epoch_itr()

    return batches


def test_workers_end_with_their_epoch(epoch):
    batches = epoch(1, data_buffer_size=10)
    assert list(batches)
    began = time.monotonic()
    while multiprocessing.active_children():
        assert time.monotonic() - began < 4  # a loader waits 5 s for a worker that it cannot tell to end


def test_workers_do_not_collect_the_loader_of_another_epoch(epoch, capfd, monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)  # which prints, as in a training
    gc.disable()  # else this process may, in time
    try:
        assert list(epoch(1, data_buffer_size=0))
        assert list(epoch(2, data_buffer_size=10))
    finally:
        gc.enable()
        gc.collect()
    assert "Traceback" not in capfd.readouterr().err
