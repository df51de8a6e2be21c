"""Synthetic records of three rhythms, one left out of a small training: that one looks unlike the others."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from fairseq_signals.metrics.outlier import OutlierScore
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import ECGClassifier
from fairseq_signals.modules.middle import middle_pooled
from fairseq_signals.synthetic.config import SNOMED_CODES, CorpusConfig
from fairseq_signals.synthetic.record import make_record
from tests.sizes import TINY

RHYTHMS = ("NSR", "AFL", "AF")  # the last one is left out
N, TRAIN, VALID, EPOCHS = 400, 240, 300, 12
WIDTH = {"encoder_embed_dim": 64, "encoder_ffn_embed_dim": 128, "encoder_attention_heads": 4}
FRONT_END = {"conv_feature_layers": "[(32, 2, 2)] * 2 + [(64, 2, 2)] * 2", "conv_pos": 16}


@pytest.mark.slow
def test_a_rhythm_that_was_left_out_of_training_is_unlike_the_others():
    config = CorpusConfig(
        N, (1, 1), 3, 100, 5.0, 0.5, 0.5, dict.fromkeys(RHYTHMS, 1 / len(RHYTHMS)), disorders={}
    )
    records = [make_record(config, i, 0) for i in range(N)]
    signals = torch.from_numpy(np.stack([record.adu for record in records]) / 1000).float()
    codes = [SNOMED_CODES[name] for name in RHYTHMS]
    rhythm = torch.tensor([next(i for i, code in enumerate(codes) if code in r.codes) for r in records])
    seen, at = rhythm < 2, torch.arange(N)
    train, usual, test = at[(at < TRAIN) & seen], at[(at >= TRAIN) & (at < VALID) & seen], at[at >= VALID]
    torch.manual_seed(0)
    model = ECGClassifier(ECGEncoder(EncoderConfig(**{**TINY, **WIDTH, **FRONT_END, "dropout": 0.0})), 2)

    @torch.inference_mode()
    def auroc() -> float:
        model.eval()
        rows = [middle_pooled(model, signals[part]).numpy() for part in (train, usual, test)]
        distances = OutlierScore.fit(*rows[:2]).distance(rows[2])
        return float(roc_auc_score(~seen[test], distances))

    before, optimizer = auroc(), torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(EPOCHS):
        model.train()
        for batch in train[torch.randperm(len(train))].split(32):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(signals[batch]), rhythm[batch]).backward()
            optimizer.step()
    after = auroc()
    assert after > 0.8, (before, after)
    assert after > before, (before, after)
