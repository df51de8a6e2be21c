"""`wav2vec2_cmsc`: wav2vec 2.0 with a global representation of each segment (Oh et al., Sec. 3.1)."""

from dataclasses import dataclass

from fairseq.models import register_model
from torch import Tensor

from fairseq_signals.models.ecg_wav2vec2 import ECGWav2Vec2Config, ECGWav2Vec2Model, Wav2Vec2Output
from fairseq_signals.modules.pooling import mean_over_frames


@dataclass
class Wav2Vec2CMSCConfig(ECGWav2Vec2Config):
    """The options of `ecg_wav2vec2`; the global term has none in the model."""


@register_model("wav2vec2_cmsc", dataclass=Wav2Vec2CMSCConfig)
class Wav2Vec2CMSCModel(ECGWav2Vec2Model):
    """`ecg_wav2vec2` that also gives g, the mean of the contextual frames of the masked input."""

    @staticmethod
    def global_representation(output: Wav2Vec2Output) -> Tensor:
        """g of each segment, (B, D)."""
        return mean_over_frames(output.x, output.padding_mask)
