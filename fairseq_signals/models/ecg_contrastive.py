"""`ecg_contrastive`: the shared encoder and one vector a segment, for global contrastive objectives alone."""

from dataclasses import dataclass, field
from typing import Optional

from fairseq.models import register_model
from torch import Tensor, nn

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import ConfiguredModel
from fairseq_signals.models.ecg_transformer import ECGTransformerConfig, ECGTransformerModel
from fairseq_signals.modules.mlp_head import MLPHead
from fairseq_signals.modules.pooling import mean_over_frames


@dataclass
class ECGContrastiveConfig(ECGTransformerConfig):
    """Options of the projection, in addition to the encoder's."""

    projection: str = field(
        default="none",
        metadata={
            "help": "head between the mean over frames and the loss, not used downstream: 'none', 'linear' "
            "or 'mlp' (linear, ReLU, linear; SimCLR)"
        },
    )
    final_dim: int = field(default=256, metadata={"help": "width of the projection"})


@dataclass
class ContrastiveOutput:
    """What the criterions need, for B segments of F frames.

    Attributes:
        g: (B, D) global representations, projected where the model has a projection.
        x: (B, F, D) contextual frames.
        padding_mask: (B, F) bool, True on padding, or None.
        frames: (B, F, D) contextual frames, projected as `g` is; None where nobody asked for them.
    """

    g: Tensor
    x: Tensor
    padding_mask: Optional[Tensor]
    frames: Optional[Tensor] = None


@register_model("ecg_contrastive", dataclass=ECGContrastiveConfig)
class ECGContrastiveModel(ConfiguredModel):
    """Mean over the frames of each segment, then a projection (SimCLR, arXiv:2002.05709, Sec. 2.1)."""

    def __init__(self, cfg: ECGContrastiveConfig):
        super().__init__()
        self.cfg = cfg
        self.encoder = ECGTransformerModel(cfg)
        self.projection = projection_head(cfg.projection, self.encoder.dim, cfg.final_dim)

    def forward(
        self,
        source: Tensor,
        padding_mask: Optional[Tensor] = None,
        lead_present: Optional[Tensor] = None,
        *,
        project_frames: bool = False,
    ) -> ContrastiveOutput:
        """Represent each segment by one vector.

        Args:
            source: (B, leads, samples) mV; absent leads are zeros.
            padding_mask: (B, samples) bool, True on padding, or None.
            lead_present: (B, leads) bool, True where a lead is present, or None: all are.
            project_frames: project each frame, and take the mean of that, in place of projecting the mean.
        """
        out = self.encoder(source, padding_mask, mask=self.cfg.apply_mask, lead_present=lead_present)
        # projected here, not in the criterion: data-parallel wrappers look for parameters in `forward` only
        if project_frames:
            frames = self.projection(out.x)
            return ContrastiveOutput(
                mean_over_frames(frames, out.padding_mask), out.x, out.padding_mask, frames
            )
        g = self.projection(mean_over_frames(out.x, out.padding_mask))
        return ContrastiveOutput(g, out.x, out.padding_mask)

    @staticmethod
    def global_representation(output: ContrastiveOutput) -> Tensor:
        """The vector of each segment that the loss compares, (B, D)."""
        return output.g


def projection_head(kind: str, dim: int, final_dim: int) -> nn.Module:
    """The projection (..., dim) -> (..., final_dim); the identity for "none".

    Raises:
        ConfigError: there is no such projection; names the key.
    """
    if final_dim < 1:
        raise ConfigError(f"model.final_dim must be at least 1, but is {final_dim} instead")
    if kind == "none":
        return nn.Identity()
    if kind == "linear":
        return nn.Linear(dim, final_dim)
    if kind == "mlp":
        return MLPHead([dim, dim, final_dim])
    raise ConfigError(f"model.projection must be one of none, linear, mlp, but is {kind!r} instead")
