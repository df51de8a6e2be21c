"""`ecg_transformer`: the shared encoder as a fairseq model (Oh et al., Sec. 3.1 and 5.2)."""

import functools
from dataclasses import dataclass, field
from typing import Optional

import torch
from fairseq.models import register_model
from fairseq.modules import GradMultiply
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from fairseq_signals.models.config import ConfiguredModel, OpenConfig
from fairseq_signals.modules.compiled import compile_in_place
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig


@dataclass
class ECGTransformerConfig(EncoderConfig, OpenConfig):
    """`EncoderConfig` as fairseq configures it, and what an encoder begins with."""

    model_path: Optional[str] = field(
        default=None,
        metadata={
            "help": "pre-trained checkpoint, ours or the authors', saved model or starter; null: from scratch"
        },
    )


@register_model("ecg_transformer", dataclass=ECGTransformerConfig)
class ECGTransformerModel(ECGEncoder, ConfiguredModel):
    """`ECGEncoder` whose front end trains with its gradient scaled by `feature_grad_mult`."""

    def __init__(self, cfg: ECGTransformerConfig):
        super().__init__(cfg)
        if cfg.checkpoint_activations:
            for layer in self.encoder.layers:
                # not by fairseq: a layer whose input has no gradient would give its parameters none either
                again = functools.partial(checkpoint, layer.forward, use_reentrant=False)
                layer.forward = again  # type: ignore[assignment]
        if cfg.compile:
            for module in (self.feature_extractor, self.conv_pos, self.encoder):
                if module is not None:
                    compile_in_place(module)

    def latent_frames(self, source: Tensor, lead_present: Optional[Tensor] = None) -> Tensor:
        factor = self.cfg.feature_grad_mult
        if factor == 0:
            with torch.no_grad():
                return super().latent_frames(source, lead_present)
        latents = super().latent_frames(source, lead_present)
        return latents if factor == 1 else GradMultiply.apply(latents, factor)
