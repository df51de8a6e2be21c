"""`ecg_question_answering`: which answers of a closed list are true, of a question about one ECG or two.

After M3AE as ECG-QA has it (Oh et al., arXiv:2306.15681, Sec. 4). With `modality` "text" or "ecg" it is that
paper's control which is blind or deaf: the same layers, without the other stream. With `product_dim` answers
are told from a product of both (Kim et al., arXiv:1610.04325), so that a question selects what it asks about.
"""

import contextlib
from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Tuple

import torch
from fairseq.models import register_model
from torch import Tensor, nn

from fairseq_signals.checkpoints.loading import load_checkpoint
from fairseq_signals.checkpoints.text_side import fusion_of
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.models.config import ConfiguredModel
from fairseq_signals.models.ecg_transformer import ECGTransformerConfig
from fairseq_signals.models.given_path import given_model
from fairseq_signals.models.pretrained import begin_encoder
from fairseq_signals.modules.fusion import Fusion
from fairseq_signals.modules.pooling import mean_over_frames
from fairseq_signals.modules.text_encoder import PAD, PiecesConfig, TextEncoder
from fairseq_signals.safety.rules import Rule, broken, integer, number, one_of

BOTH, TEXT, ECG = "both", "text", "ecg"
_RULES: Dict[str, Rule] = {
    "vocab_size": integer(1, 1 << 20),
    "text_layers": integer(0, 128),
    "fusion_layers": integer(0, 128),
    "product_dim": integer(0, 1 << 16),
    "piece_dropout": number(0, 1, below=True),
    "freeze_finetune_updates": integer(0, 1 << 40),
    "num_labels": integer(1, 1 << 20),
    "final_dropout": number(0, 1, below=True),
    "modality": one_of(BOTH, TEXT, ECG),
}


def _perceptron(dim: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, width), nn.GELU(), nn.Linear(width, width))


@dataclass
class ECGQuestionAnsweringConfig(PiecesConfig, ECGTransformerConfig):
    """Options of fusion and answers, in addition to those of the text side and the encoder."""

    fusion_layers: int = field(
        default=2, metadata={"help": "layers in which tokens of ECGs and question see each other; 0: none"}
    )
    product_dim: int = field(
        default=0,
        metadata={
            "help": "answers are told from the product of two vectors of this width, made of the ECGs and of "
            "the question; 0: from what is known of both, side by side"
        },
    )
    piece_dropout: float = field(
        default=0.0,
        metadata={
            "help": "probability that a piece of a question is left out in training: words will differ"
        },
    )
    freeze_finetune_updates: int = field(
        default=0, metadata={"help": "updates for which the encoder does not train"}
    )
    modality: str = field(
        default=BOTH, metadata={"help": "what is seen: 'both', 'text' alone (blind) or 'ecg' alone (deaf)"}
    )
    final_dropout: float = field(default=0.0, metadata={"help": "dropout before the answers"})
    num_labels: int = field(default=0, metadata={"help": "answers; 0 = as many as the manifests have"})


@register_model("ecg_question_answering", dataclass=ECGQuestionAnsweringConfig)
class ECGQuestionAnsweringModel(ConfiguredModel):
    """The encoder, the text side, fusion, and a head on the means of either ECG and of the question.

    With `product_dim` the head is on a product of both. Encoder, text side and fusion begin with the weights
    of `model_path`: those that it has.
    """

    num_updates = 0

    def __init__(self, cfg: ECGQuestionAnsweringConfig):
        super().__init__()
        problems = broken({name: getattr(cfg, name) for name in _RULES}, _RULES, "model.")
        if problems:
            raise ConfigError("; ".join(problems))
        self.cfg, self.encoder = cfg, begin_encoder(cfg)
        dim = self.encoder.dim
        self.text = TextEncoder(cfg, self.encoder.cfg)
        self.fusion = Fusion(self.encoder.cfg, cfg.fusion_layers)
        self.part = nn.Parameter(torch.empty(2, dim).normal_(std=0.02))  # the first ECG and the second one
        width = cfg.product_dim or 3 * dim
        if cfg.product_dim:
            self.of_ecgs, self.of_question = _perceptron(2 * dim, width), _perceptron(dim, width)
        self.answer = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, dim),
            nn.GELU(),
            nn.Dropout(cfg.final_dropout),
            nn.Linear(dim, cfg.num_labels),
        )
        if cfg.model_path:
            self._begin_fusion(cfg.model_path)
        unseen: Tuple[nn.Module, ...] = ()
        if cfg.modality == TEXT:
            unseen, self.part.requires_grad = (self.encoder, self.fusion.ecg), False
        elif cfg.modality == ECG:
            unseen = (self.text, self.fusion.text)
        for module in unseen:
            module.requires_grad_(False)
        if cfg.modality != BOTH:
            for stream in (self.fusion.ecg, self.fusion.text):
                for layer in stream.layers:
                    layer.cross_attn.requires_grad_(False)
                    layer.cross_attn_layer_norm.requires_grad_(False)

    def _begin_fusion(self, model_path: str) -> None:
        """Take text side and fusion of a pre-trained `ecg_text_fusion`; of other models there are none."""
        path = given_model(model_path)
        state = fusion_of(load_checkpoint(path)) if path.exists() else {}
        for name, module in (("text.", self.text), ("fusion.", self.fusion)) if state else ():
            own = {key.removeprefix(name): value for key, value in state.items() if key.startswith(name)}
            try:
                module.load_state_dict(own)
            except RuntimeError as error:
                raise CheckpointError(f"{path}: another architecture than the model's: {error}") from error

    def forward(
        self,
        source: Tensor,
        padding_mask: Optional[Tensor] = None,
        lead_present: Optional[Tensor] = None,
        text: Optional[Tensor] = None,
        ecgs: Optional[Tensor] = None,
    ) -> Tensor:
        """Scores of all answers, (B, K).

        Args:
            source, padding_mask, lead_present: S segments, as of the encoder.
            text: (B, M) long, pieces of the questions.
            ecgs: (B, 2) long, which segments each is about; the second is -1 where there is none.
        """
        if text is None or ecgs is None:
            raise ConfigError(
                "model ecg_question_answering answers questions: use task ecg_question_answering"
            )
        if self.training and self.cfg.piece_dropout:
            out = torch.rand(text.shape, device=text.device) < self.cfg.piece_dropout
            out[:, 0] = False  # so that something is left
            text = text.masked_fill(out, PAD)
        words, modality = text == PAD, self.cfg.modality
        said = nothing = self.part.new_zeros(len(text), self.encoder.dim)
        seen = [nothing, nothing]
        if modality == TEXT:
            said = mean_over_frames(self.fusion.text.alone(self.text.of_pieces(text), words), words)
        else:
            frames, padding = self._frames(source, padding_mask, lead_present, ecgs)
            b, n, f, d = frames.shape
            frames, padding = frames.flatten(1, 2), padding.flatten(1)
            if modality == ECG:
                frames = self.fusion.ecg.alone(frames, padding)
            else:
                frames, pieces = self.fusion(frames, padding, self.text.of_pieces(text), words)
                said = mean_over_frames(pieces, words)
            each = mean_over_frames(frames.reshape(b * n, f, d), padding.view(b * n, f)).view(b, n, d)
            seen = [*each.unbind(1), nothing][:2]
        if self.cfg.product_dim:
            return self.answer(self.of_ecgs(torch.cat(seen, dim=1)) * self.of_question(said))
        return self.answer(torch.cat([*seen, said], dim=1))

    def _frames(
        self,
        source: Tensor,
        padding_mask: Optional[Tensor],
        lead_present: Optional[Tensor],
        ecgs: Tensor,
    ) -> Tuple[Tensor, Tensor]:
        """Frames of the ECGs of each question, (B, n, F, D), and their padding (B, n, F); n is 1 or 2."""
        mask = self.training and self.cfg.apply_mask
        frozen = self.num_updates < self.cfg.freeze_finetune_updates
        with torch.no_grad() if frozen else contextlib.nullcontext():
            out = self.encoder(source, padding_mask, mask=mask, lead_present=lead_present)
        if (ecgs[:, 1] < 0).all():
            ecgs = ecgs[:, :1]
        absent, n = ecgs < 0, ecgs.shape[1]
        place = ecgs.clamp(min=0)
        frames = out.x[place] + self.part[:n, None]
        padding = absent[..., None].expand(frames.shape[:3])
        if out.padding_mask is not None:
            padding = padding | out.padding_mask[place]
        return frames, padding

    def set_num_updates(self, num_updates: int) -> None:
        """Take note of the update (fairseq calls it before every update)."""
        super().set_num_updates(num_updates)
        self.num_updates = num_updates

    @staticmethod
    def global_representation(output: Any) -> Tensor:
        """The scores of the answers, (B, K)."""
        return output
