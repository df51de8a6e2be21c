"""`ecg_wav2vec2`: masked contrastive pre-training of the encoder (wav2vec 2.0; Oh et al., Eq. 1-2)."""

import functools
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

import torch
from fairseq.models import register_model
from torch import Tensor, nn

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.distilling import DistillationConfig, Distilled, Distilling, divided
from fairseq_signals.models.ecg_transformer import ECGTransformerConfig
from fairseq_signals.models.pretrained import begin_encoder
from fairseq_signals.models.quantizer import Quantized, VectorQuantizer, perplexity
from fairseq_signals.modules.contrastive import (
    all_distractor_logits,
    compact,
    cosine_similarity,
    distractor_logits,
    same_codes,
    sample_distractors,
)
from fairseq_signals.modules.distributed import mean_over_workers

EVERY = -1  #: of `num_negatives`: all other masked frames of the segment
STATISTICS = ("prob_perplexity", "code_perplexity", "temp")  #: the keys of `Wav2Vec2Output.stats`


@dataclass
class ECGWav2Vec2Config(DistillationConfig, ECGTransformerConfig):
    """Options of the contrastive objective, in addition to the encoder's and those of a teacher."""

    apply_mask: bool = field(default=True, metadata={"help": "mask spans of frames"})
    logit_temp: float = field(default=0.1, metadata={"help": "temperature of the contrastive logits"})
    quantize_targets: bool = field(default=False, metadata={"help": "targets are quantized latent frames"})
    quantize_input: bool = field(default=False, metadata={"help": "quantize the Transformer's input too"})
    same_quantizer: bool = field(default=False, metadata={"help": "one quantizer for input and targets"})
    target_glu: bool = field(default=False, metadata={"help": "project targets through a GLU"})
    latent_vars: int = field(default=320, metadata={"help": "codes V in a group"})
    latent_groups: int = field(default=2, metadata={"help": "groups G of codes"})
    latent_dim: int = field(default=0, metadata={"help": "width of quantized latents; 0 = final_dim"})
    latent_temp: List[float] = field(
        default_factory=lambda: [2.0, 0.5, 0.999995],
        metadata={"help": "Gumbel temperature: start, end, decay per update"},
    )
    final_dim: int = field(
        default=0, metadata={"help": "width of the contrastive space; 0 = encoder_embed_dim"}
    )
    num_negatives: int = field(
        default=100,
        metadata={"help": "distractors from the same segment, drawn at random; -1 = all there are"},
    )
    negatives_from_everywhere: bool = field(
        default=False, metadata={"help": "draw them from all frames, not from masked ones only"}
    )
    cross_sample_negatives: int = field(default=0, metadata={"help": "distractors from the whole batch"})
    codebook_negatives: int = field(default=0, metadata={"help": "distractors from the codebook"})


@dataclass
class Wav2Vec2Output:
    """What the criterions need, for B segments with up to M masked frames.

    Attributes:
        logits: (B, M, 1 + K) cosine / temperature, the positive first; -inf excludes a distractor.
        valid: (B, M) bool, False on slots beyond a segment's masked frames.
        x: (B, F, D) contextual frames of the masked input.
        padding_mask: (B, F) bool or None.
        feature_penalty: mean squared latent frame.
        diversity_loss: (G V - perplexity of the mean softmax) / (G V), or None without a quantizer.
        stats: what to log (perplexities, temperature).
        distilled: of the student and its teacher, or None without one.
    """

    logits: Tensor
    valid: Tensor
    x: Tensor
    padding_mask: Optional[Tensor]
    feature_penalty: Tensor
    diversity_loss: Optional[Tensor]
    stats: Dict[str, Any]
    distilled: Optional[Distilled] = None


@register_model("ecg_wav2vec2", dataclass=ECGWav2Vec2Config)
class ECGWav2Vec2Model(Distilling):
    """Encoder, quantizer and the projections to the contrastive space."""

    def __init__(self, cfg: ECGWav2Vec2Config):
        super().__init__()
        check_wav2vec2_config(cfg)
        self.cfg = cfg
        self.encoder = begin_encoder(cfg)
        self.dropout_features = nn.Dropout(cfg.dropout_features)
        final_dim = cfg.final_dim or cfg.encoder_embed_dim
        latent_dim = self.encoder.latent_dim
        vq_dim = cfg.latent_dim or final_dim
        make_quantizer = functools.partial(
            VectorQuantizer,
            dim=latent_dim,
            num_vars=cfg.latent_vars,
            temp=tuple(cfg.latent_temp),
            groups=cfg.latent_groups,
            combine_groups=False,
            time_first=True,
        )
        self.quantizer = make_quantizer(vq_dim=vq_dim) if cfg.quantize_targets else None
        self.project_q = nn.Linear(vq_dim if cfg.quantize_targets else latent_dim, final_dim)
        self.input_quantizer: Optional[VectorQuantizer] = None
        if cfg.quantize_input:
            own_dim = cfg.latent_dim or cfg.encoder_embed_dim
            shared = cfg.same_quantizer and cfg.quantize_targets
            self.input_quantizer = self.quantizer if shared else make_quantizer(vq_dim=own_dim)
            self.project_inp = nn.Linear(vq_dim if shared else own_dim, cfg.encoder_embed_dim)
        glu = (nn.Linear(final_dim, final_dim * 2), nn.GLU()) if cfg.target_glu else ()
        self.target_glu = nn.Sequential(*glu)
        self.final_proj = nn.Linear(cfg.encoder_embed_dim, final_dim)
        self.add_teacher(cfg)

    def forward(
        self,
        source: Tensor,
        padding_mask: Optional[Tensor] = None,
        spans: Optional[Tensor] = None,
        distractors: Optional[Tensor] = None,
        contribute: bool = True,
        lead_present: Optional[Tensor] = None,
        is_teacher: Optional[Tensor] = None,
    ) -> Wav2Vec2Output:
        """Contrast the masked frames of each segment; what is a teacher's goes to the teacher alone.

        Args:
            source: (B, leads, samples) mV; absent leads are zeros.
            padding_mask: (B, samples) bool, True on padding, or None.
            spans: (B, F) bool span mask, or None to draw one.
            distractors: (B, M, num_negatives) indices into each segment's candidates, or None to draw them.
            contribute: count this batch in means over all data-parallel workers.
            lead_present: (B, leads) bool, True where a lead is present, or None: all are.
            is_teacher: (B,) bool, True on a teacher's rows, of which spans and distractors have none.
        """
        students, teachers = divided(
            is_teacher, source=source, padding_mask=padding_mask, lead_present=lead_present
        )
        to_input = self._quantized_input if self.input_quantizer is not None else None
        out = self.encoder(**students, mask=self.cfg.apply_mask, spans=spans, to_input=to_input)
        masked = out.span_mask
        if masked is None:  # nothing is masked: every frame is predicted from its own context
            masked = torch.ones(out.x.shape[:2], dtype=torch.bool, device=out.x.device)
        if out.padding_mask is not None:
            masked = masked & ~out.padding_mask
        index, valid = compact(masked)
        prediction = self.final_proj(out.x.take_along_dim(index[..., None], dim=1))  # (B, M, final_dim)

        # candidates: the frames of a segment that distractors (and the positives) come from
        if self.cfg.negatives_from_everywhere:
            kept = torch.ones_like(masked) if out.padding_mask is None else ~out.padding_mask
        else:
            kept = masked
        own = (kept.long().cumsum(dim=1) - 1).clamp(min=0).gather(1, index)  # (B, M) into a row's candidates
        targets, quantized = self._targets(self.dropout_features(out.latents)[kept])
        stats: Dict[str, Any] = {}
        diversity = None if quantized is None else self._diversity(quantized, stats, contribute)
        logits = self._logits(prediction, targets, quantized, kept, own, distractors)
        penalty = mean_over_workers(out.feature_penalty, out.latents.numel(), contribute)
        distilled = self.distil(out.x, out.padding_mask, teachers, contribute) if teachers else None
        return Wav2Vec2Output(logits, valid, out.x, out.padding_mask, penalty, diversity, stats, distilled)

    def _quantized_input(self, latents: Tensor) -> Tensor:
        """Transformer input from quantized latent frames: (B, F, C) -> (B, F, D)."""
        assert self.input_quantizer is not None
        b, f, c = latents.shape
        quantized = self.input_quantizer(latents.reshape(b * f, c))
        return self.encoder.dropout_input(self.project_inp(quantized.x.view(b, f, -1)))

    def _targets(self, latents: Tensor) -> Tuple[Tensor, Optional[Quantized]]:
        """Targets (N, final_dim) of N latent frames, and their codes where there is a quantizer."""
        quantized = None if self.quantizer is None else self.quantizer(latents)
        return self.target_glu(self.project_q(latents if quantized is None else quantized.x)), quantized

    def _diversity(self, quantized: Quantized, stats: Dict[str, Any], contribute: bool) -> Tensor:
        """Code-diversity loss (wav2vec 2.0, Eq. 4, in its perplexity form) over all workers' frames."""
        assert self.quantizer is not None
        n = len(quantized.codes)
        spread = perplexity(mean_over_workers(quantized.avg_probs, n, contribute))
        n_codes = self.quantizer.num_vars * self.quantizer.groups
        stats["prob_perplexity"] = spread.detach()
        hard_probs = mean_over_workers(quantized.hard_probs, n, contribute)
        stats["code_perplexity"] = perplexity(hard_probs).detach()
        stats["temp"] = self.quantizer.curr_temp
        return (n_codes - spread) / n_codes

    def _logits(
        self,
        prediction: Tensor,
        targets: Tensor,
        quantized: Optional[Quantized],
        kept: Tensor,
        own: Tensor,
        distractors: Optional[Tensor],
    ) -> Tensor:
        """Logits (B, M, 1 + K) of predictions (B, M, D) against N targets, laid out by `kept` (B, F)."""
        _, filled = compact(kept)
        # (N, D) -> (B, N', D): each segment's own candidates, zeros beyond their number
        candidates = targets.new_zeros(*filled.shape, targets.shape[-1])
        candidates = candidates.masked_scatter(filled[..., None], targets)
        own_codes = excluded = None
        if quantized is not None:
            codes = quantized.codes.new_full((*filled.shape, quantized.codes.shape[-1]), -1)
            codes[filled] = quantized.codes
            own_codes = codes.take_along_dim(own[..., None], dim=1)
            excluded = same_codes(codes, own_codes)
        similarity = cosine_similarity(prediction, candidates)
        count = filled.sum(dim=1)
        parts = [similarity.gather(2, own[..., None])]
        if distractors is None and self.cfg.num_negatives == EVERY:
            parts.append(all_distractor_logits(similarity, own, count, excluded))
        else:
            if distractors is None:
                distractors = sample_distractors(own, count[:, None], self.cfg.num_negatives)
            parts.append(distractor_logits(similarity, distractors, excluded))
        if self.cfg.cross_sample_negatives > 0:
            first = (count.cumsum(dim=0) - count)[:, None]  # where a segment's targets begin among all N
            total = torch.full_like(own, len(targets))
            drawn = sample_distractors(own + first, total, self.cfg.cross_sample_negatives)
            excluded = None
            if quantized is not None and own_codes is not None:
                excluded = same_codes(quantized.codes[None], own_codes)
            parts.append(distractor_logits(cosine_similarity(prediction, targets), drawn, excluded))
        if self.cfg.codebook_negatives > 0:
            assert self.quantizer is not None  # checked with the configuration
            assert own_codes is not None
            vectors, entries = self.quantizer.codebook_samples(self.cfg.codebook_negatives)
            similarity = cosine_similarity(prediction, self.target_glu(self.project_q(vectors)))
            parts.append(similarity.masked_fill(same_codes(entries[None], own_codes), float("-inf")))
        return torch.cat(parts, dim=-1) / self.cfg.logit_temp


def check_wav2vec2_config(cfg: ECGWav2Vec2Config) -> None:
    """Raise ConfigError for options that contradict each other; the message names the key."""
    if not cfg.logit_temp > 0:
        raise ConfigError(f"model.logit_temp must be > 0, but is {cfg.logit_temp} instead")
    if cfg.num_negatives < EVERY:
        raise ConfigError(
            f"model.num_negatives must be >= 0, or {EVERY} for all, but is {cfg.num_negatives} instead"
        )
    if cfg.cross_sample_negatives < 0 or cfg.codebook_negatives < 0:
        raise ConfigError("model.cross_sample_negatives and model.codebook_negatives must be >= 0")
    if not (cfg.num_negatives or cfg.cross_sample_negatives or cfg.codebook_negatives):
        raise ConfigError("model.num_negatives is 0 and there are no other distractors: set one of them")
    if cfg.codebook_negatives > 0 and not cfg.quantize_targets:
        raise ConfigError("model.codebook_negatives needs model.quantize_targets=true")
    if cfg.same_quantizer and not (cfg.quantize_input and cfg.quantize_targets):
        raise ConfigError("model.same_quantizer needs quantize_input=true and quantize_targets=true")
    if len(cfg.latent_temp) != 3:
        raise ConfigError(f"model.latent_temp must be [start, end, decay], but is {cfg.latent_temp} instead")
    for name in ("latent_groups", "latent_vars"):
        if getattr(cfg, name) < 1:
            raise ConfigError(f"model.{name} must be at least 1, but is {getattr(cfg, name)} instead")
    for name in ("final_dim", "latent_dim", "encoder_embed_dim"):
        if (cfg.quantize_targets or cfg.quantize_input) and getattr(cfg, name) % cfg.latent_groups:
            raise ConfigError(f"model.{name} must be a multiple of latent_groups ({cfg.latent_groups})")
