"""`ecg_jepa`: a teacher's representation of masked tokens, predicted from the others (latent prediction).

K. Weimann, T. O. F. Conrad, arXiv:2410.13867 (tokens of all leads, long runs masked, L1); S. Kim,
arXiv:2410.08559 (tokens of each lead, cross-pattern attention, a lead at a time predicted); M. A. Al-Masud,
N. Strodthoff, arXiv:2605.12241 (frames of state spaces, mask tokens in place of what is masked).
"""

from dataclasses import dataclass, field
from typing import List, Optional, Tuple

import torch
import torch.nn.functional as F
from fairseq.models import register_model
from torch import Tensor, nn

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_contrastive import projection_head
from fairseq_signals.models.ecg_transformer import ECGTransformerConfig
from fairseq_signals.models.pretrained import begin_encoder
from fairseq_signals.models.teacher import TaughtModel, momentum_of
from fairseq_signals.modules.distributed import mean_over_workers
from fairseq_signals.modules.ema import SCHEDULES, EMATeacher
from fairseq_signals.modules.encoder import EncoderOutput
from fairseq_signals.modules.encoder_checks import dropping_problems
from fairseq_signals.modules.encoder_config import TRANSFORMER
from fairseq_signals.modules.front_end import find_front_end
from fairseq_signals.modules.pooling import mean_over_frames
from fairseq_signals.modules.present_leads import PresentLeads, all_present
from fairseq_signals.modules.token_decoder import LeadDecoder, TokenDecoder, decoder_heads, width_problems
from fairseq_signals.modules.token_mask import TokenMasking, crossed, multi_block, random_run, uniform
from fairseq_signals.modules.tokens import common_run, is_kept, others, placed, take, taken
from fairseq_signals.modules.transformer import FramePredictor
from fairseq_signals.safety.rules import broken, integer, number, one_of

BLOCKS, MULTI_BLOCK, TIME, TARGETS = "blocks", "multi_block", "time", "targets"
JOINT, PER_LEAD = "joint", "per_lead"
TRIES = 100  #: of blocks that leave enough frames; after them too few have to do


@dataclass
class ECGJEPAConfig(ECGTransformerConfig):
    """Options of masks, predictor and teacher, in addition to the encoder's."""

    frontend: str = field(default="patch", metadata={"help": "what a token is, see the encoder's options"})
    position: str = field(default="sincos", metadata={"help": "not conv, as masked tokens are left out"})
    layer_norm_first: bool = field(default=True, metadata={"help": "norm before each sub-layer"})
    mask_unit: str = field(
        default=BLOCKS,
        metadata={
            "help": "'blocks': long runs of frames, in each segment others; 'multi_block': what mask_blocks "
            "runs of one length cover, the same in all; 'targets': the same, and what is outside of a long "
            "run is masked but not told; 'time': single frames"
        },
    )
    mask_keep: List[float] = field(
        default_factory=lambda: [0.15, 0.25],
        metadata={
            "help": "share of frames that is kept, uniform between the two for each batch; of 'multi_block' "
            "and 'targets' the length of a run that is masked"
        },
    )
    mask_min_block: int = field(
        default=10, metadata={"help": "frames: 'blocks': shortest run; 'targets': fewest that are kept"}
    )
    mask_blocks: int = field(default=4, metadata={"help": "'multi_block', 'targets': their number"})
    mask_context: List[float] = field(
        default_factory=lambda: [0.85, 1.0], metadata={"help": "'targets': share of the run that is kept"}
    )
    predictor: str = field(
        default=JOINT, metadata={"help": "'joint': of all tokens; 'per_lead': a lead at a time"}
    )
    predictor_dim: int = field(default=96, metadata={"help": "width of the predictor"})
    predictor_layers: int = field(default=8, metadata={"help": "its layers"})
    predictor_heads: int = field(default=0, metadata={"help": "its attention heads; 0: of 64 channels each"})
    target_norm: bool = field(default=False, metadata={"help": "layer norm of each target, without scale"})
    ema_momentum: float = field(default=0.998, metadata={"help": "m of the teacher, at first"})
    ema_end: float = field(default=0.9995, metadata={"help": "m in the end"})
    ema_schedule: str = field(default="linear", metadata={"help": "of m: 'constant', 'linear' or 'cosine'"})
    ema_updates: int = field(default=100_000, metadata={"help": "updates until m is ema_end"})
    projection: str = field(
        default="none", metadata={"help": "head of a global term: 'none', 'linear' or 'mlp'"}
    )
    final_dim: int = field(default=128, metadata={"help": "width of the projection"})


_SHARE = number(0, 1)
_RULES = {
    "mask_unit": one_of(BLOCKS, MULTI_BLOCK, TIME, TARGETS),
    "mask_min_block": integer(1, 1 << 16),
    "mask_blocks": integer(1, 1 << 10),
    "predictor": one_of(JOINT, PER_LEAD),
    "predictor_dim": integer(2, 1 << 16),
    "predictor_layers": integer(1, 512),
    "predictor_heads": integer(0, 1 << 16),
    "projection": one_of("none", "linear", "mlp"),
    "final_dim": integer(1, 1 << 20),
    "ema_momentum": _SHARE,
    "ema_end": _SHARE,
    "ema_schedule": one_of(*SCHEDULES),
    "ema_updates": integer(1, 1 << 40),
}


@dataclass
class LatentPrediction:
    """Predictions and targets of K masked tokens of each of B segments.

    Attributes:
        prediction, target: (B, K, D); the target is without gradient.
        valid: (B, K) bool, False on padding and absent leads.
        target_std: the deviation of a channel over the masked tokens of the batch, mean over channels: near 0
            where the teacher gives the same for all (collapse). The workers' mean, so that they stop alike.
        first_std: the same of the first update.
        g: (B, D) mean of the contextual tokens, projected.
    """

    prediction: Tensor
    target: Tensor
    valid: Tensor
    target_std: Tensor
    first_std: Tensor
    g: Tensor


@register_model("ecg_jepa", dataclass=ECGJEPAConfig)
class ECGJEPAModel(TaughtModel):
    """A student on the tokens that are left, a teacher on all, a predictor between them."""

    views_for_teacher = False  #: student and teacher see the same segment
    first_std: Tensor  #: `target_std` of the first update; NaN before

    def __init__(self, cfg: ECGJEPAConfig):
        super().__init__()
        check_jepa_config(cfg)
        self.cfg = cfg
        self.encoder = begin_encoder(cfg)
        dim, width = self.encoder.dim, cfg.predictor_dim
        kind = LeadDecoder if cfg.predictor == PER_LEAD else TokenDecoder
        leads = cfg.in_d if self.encoder.per_lead and cfg.predictor == JOINT else 0
        heads = cfg.predictor_heads or decoder_heads(width)
        self.predictor: nn.Module
        if cfg.context == TRANSFORMER:
            options = {"n_out": dim, "n_leads": leads, "every_layer": cfg.position_every_layer}
            self.predictor = kind(dim, width, cfg.predictor_layers, heads, **options)
        else:
            self.predictor = FramePredictor(cfg)
        self.projection = projection_head(cfg, dim)
        self.register_buffer("first_std", torch.tensor(float("nan")))
        self.teacher: EMATeacher = EMATeacher(self, ("encoder",), momentum_of(cfg))

    def forward(
        self,
        source: Tensor,
        padding_mask: Optional[Tensor] = None,
        lead_present: Optional[Tensor] = None,
        keep: Optional[Tensor] = None,
    ) -> LatentPrediction:
        """Predict what the teacher makes of the tokens that the student is not given.

        Where segments are padded, a run of as many frames as the shortest has is taken of each, anywhere in
        it; the others are neither kept nor told.

        Args:
            source: (B, leads, samples) mV; absent leads are zeros.
            padding_mask: (B, samples) bool, True on padding, or None.
            lead_present: (B, leads) bool, True where a lead is present, or None: all are.
            keep: (B, k) indices of the tokens that are kept, sorted; None: they are drawn.
        """
        encoder = self.encoder
        present = all_present(source, lead_present)
        leads = PresentLeads.of(present) if encoder.per_lead else None
        n_frames, m = encoder.n_frames(source.shape[2]), 1 if leads is None else leads.valid.shape[1]
        padding = encoder.token_padding_mask(padding_mask, source, present)
        masked = None
        if keep is None:
            n, first = common_run(padding, n_frames)
            drawn = (placed(part, n, first, n_frames) for part in self.draw(len(source), m, n))
            keep, masked = (part.to(source.device) for part in drawn)
        masked = others(keep, m * n_frames) if masked is None else masked
        if masked.shape[1] == 0:
            raise ConfigError(f"model.mask_unit masks none of {n_frames} frames of a segment: shorten them")
        hidden = None if self.cfg.context == TRANSFORMER else ~is_kept(keep, m * n_frames)
        if hidden is not None:
            out = encoder(source, padding_mask, mask=True, spans=hidden, lead_present=lead_present)
            y = self.predictor(out.x, out.padding_mask)
        else:
            out = encoder(source, padding_mask, lead_present=lead_present, keep=keep)
            y = self._told(out, keep, m, n_frames, padding, leads)
        dtype = next(self.teacher.parameters()).dtype
        whole = self.teacher("encoder", source.to(dtype), padding_mask, lead_present=lead_present).x
        target = take(whole, masked)
        if self.cfg.target_norm:
            target = F.layer_norm(target, target.shape[-1:])
        absent = taken(padding, masked)
        valid = torch.ones_like(masked, dtype=torch.bool) if absent is None else ~absent
        g = self.projection(mean_over_frames(out.x, out.padding_mask))
        std = mean_over_workers(target[valid].float().std(dim=0).mean(), int(valid.sum()))
        if self.training and self.first_std.isnan():
            self.first_std.copy_(std)
        return LatentPrediction(take(y, masked), target, valid, std, self.first_std, g)

    def _told(
        self,
        out: EncoderOutput,
        keep: Tensor,
        n_leads: int,
        n_frames: int,
        padding: Optional[Tensor],
        leads: Optional[PresentLeads],
    ) -> Tensor:
        """Predictions of all tokens of the grid, (B, N, D), from those that were kept."""
        if isinstance(self.predictor, LeadDecoder):
            separators = out.extra[:, self.cfg.registers :]
            return self.predictor.of_leads(out.x, keep, n_leads, n_frames, separators, padding)
        lead = None if leads is None else leads.grouped(leads.lead)
        return self.predictor(out.x, keep, n_leads * n_frames, padding, lead)

    def draw(self, b: int, n_leads: int, n_frames: int) -> Tuple[Tensor, Tensor]:
        """Indices of the tokens that are kept, (B, k), and of those that are told, (B, K)."""
        cfg, (low, high) = self.cfg, self.cfg.mask_keep
        rows = torch.arange(n_leads).expand(b, -1)
        if cfg.mask_unit == TARGETS:
            covered, kept = self._targets_and_context(n_frames)
            told = covered & ~kept
            kept, told = (crossed(rows, part.nonzero()[:, 0], n_frames) for part in (kept, told))
            return kept, told
        if cfg.mask_unit == MULTI_BLOCK:
            covered = multi_block(n_frames, cfg.mask_blocks, (low, high))
            covered[int(torch.randint(n_frames, ()))] &= not bool(covered.all())
            keep = crossed(rows, (~covered).nonzero()[:, 0], n_frames)
        else:
            masking = TokenMasking(cfg.mask_unit, 1 - uniform(low, high), min_block=cfg.mask_min_block)
            keep = masking.draw(b, n_leads, n_frames)
        return keep, others(keep, n_leads * n_frames)

    def _targets_and_context(self, n_frames: int) -> Tuple[Tensor, Tensor]:
        """Frames in the blocks that are told, and those of a long run that are outside of them, (F,) bool."""
        cfg, (low, high) = self.cfg, self.cfg.mask_keep
        for _ in range(TRIES):
            first, stop = random_run(n_frames, (cfg.mask_context[0], cfg.mask_context[1]))
            covered = multi_block(n_frames, cfg.mask_blocks, (low, high))
            kept = ~covered
            kept[:first] = kept[stop:] = False
            if kept.sum() >= cfg.mask_min_block:
                break
        kept[first] |= not kept.any()
        return covered, kept

    @staticmethod
    def global_representation(output: LatentPrediction) -> Tensor:
        """The vector of each segment for a global term, (B, D)."""
        return output.g


def check_jepa_config(cfg: ECGJEPAConfig) -> None:
    """Raise ConfigError for values that make no such model; the message names the key."""
    problems = broken({name: getattr(cfg, name) for name in _RULES}, _RULES, "model.")
    keep, run = list(cfg.mask_keep or []), list(cfg.mask_context or [])
    if len(keep) != 2 or not 0 < keep[0] <= keep[1] < 1:
        problems.append(f"model.mask_keep must be two shares, 0 < low <= high < 1, but is {keep} instead")
    if len(run) != 2 or not 0 < run[0] <= run[1] <= 1:
        problems.append(f"model.mask_context must be two shares, 0 < low <= high <= 1, but is {run} instead")
    if cfg.ema_schedule != "constant" and cfg.ema_end < cfg.ema_momentum:
        problems.append(
            f"model.ema_end={cfg.ema_end} is below model.ema_momentum={cfg.ema_momentum}, so that the "
            "teacher would be faster in the end: raise it, or set model.ema_schedule=constant"
        )
    if cfg.context != TRANSFORMER and not cfg.apply_mask:
        problems.append(
            f"model.context={cfg.context} has mask tokens in place of frames: set model.apply_mask=true"
        )
    if cfg.predictor == PER_LEAD and not find_front_end(cfg.frontend).per_lead:
        problems.append(
            "model.predictor=per_lead needs tokens of each lead, which model.frontend="
            f"{cfg.frontend} does not make: set it to lead_patch"
        )
    if not problems and cfg.context == TRANSFORMER:
        problems = width_problems("predictor", cfg.predictor_dim, cfg.predictor_heads)
        problems += dropping_problems(cfg)
    if problems:
        raise ConfigError("; ".join(problems))
