"""A loader's workers end without a word, whatever they were forked with."""

import gc

import pytest

from fairseq_signals.tasks.base import TrainingDataset


class CollectingDataset(TrainingDataset):
    """One whose items have the garbage collected, as happens by chance in a long training."""

    def __getitem__(self, i):
        gc.collect()
        return super().__getitem__(i)


@pytest.fixture
def collecting(setup, corpus):
    task = setup("ecg_pretraining", corpus.pretrain, segment_pairs=True)
    task.load_dataset("valid")
    task.dataset("valid").__class__ = CollectingDataset
    return task


@pytest.mark.filterwarnings("ignore:'pin_memory' argument")
def test_workers_do_not_collect_the_loader_of_the_epoch_before(collecting, capfd):
    gc.disable()  # else this process may, in time
    try:
        for epoch in (1, 2):
            batches = collecting.get_batch_iterator(
                collecting.dataset("valid"), max_sentences=8, num_workers=1, epoch=epoch
            )
            assert list(batches.next_epoch_itr())
            del batches
    finally:
        gc.enable()
        gc.collect()
    assert "Traceback" not in capfd.readouterr().err
