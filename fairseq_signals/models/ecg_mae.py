"""`ecg_mae`: masked autoencoders, which redraw the samples of masked tokens.

One model with options: MTAE, MLAE and ST-MEM (arXiv:2402.09450), MTECG (arXiv:2309.07136), after MaeFE
(10.1109/TIM.2022.3228267) and Hu et al. (10.1016/j.bspc.2023.104772), and a form of our own, which redraws
all leads from few.
"""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

import torch
from fairseq.models import register_model
from torch import Tensor, nn

from fairseq_signals.ecg.leads import LIMB_LEADS, N_LEADS
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import ConfiguredModel
from fairseq_signals.models.distilling import with_targets
from fairseq_signals.models.ecg_contrastive import projection_head
from fairseq_signals.models.ecg_transformer import ECGTransformerConfig
from fairseq_signals.models.pretrained import begin_encoder
from fairseq_signals.modules.encoder_checks import dropping_problems
from fairseq_signals.modules.front_end import BEAT, LEAD, find_front_end, patches_of
from fairseq_signals.modules.pooling import mean_over_frames
from fairseq_signals.modules.present_leads import PresentLeads, all_present
from fairseq_signals.modules.reconstruction import GROUPS, TARGETS, target_of
from fairseq_signals.modules.token_decoder import LeadDecoder, TokenDecoder, options_of, width_problems
from fairseq_signals.modules.token_mask import UNITS, KeptTokens, TokenMasking
from fairseq_signals.modules.tokens import is_kept
from fairseq_signals.safety.rules import broken, integer, number, one_of

BOTH = "both"  #: of `mask_unit`: two passes, of masked frames and of masked leads
JOINT, PER_LEAD = "joint", "per_lead"


@dataclass
class ECGMAEConfig(ECGTransformerConfig):
    """Options of masks, decoder and targets, in addition to the encoder's."""

    frontend: str = field(default="patch", metadata={"help": "what a token is, see the encoder's options"})
    position: str = field(default="sincos", metadata={"help": "not conv, as masked tokens are left out"})
    layer_norm_first: bool = field(default=True, metadata={"help": "norm before each sub-layer"})
    mask_unit: str = field(
        default="token",
        metadata={
            "help": "what is masked: any 'token'; 'token_of_lead', as many of each lead; all leads at a "
            "'time'; a whole 'lead'; the 'union' of the latter two; or 'both', one pass of each"
        },
    )
    mask_ratio: float = field(
        default=0.75, metadata={"help": "share of tokens, times or leads that is masked"}
    )
    mask_lead_ratio: float = field(default=0.5, metadata={"help": "'union' and 'both': share of leads"})
    independent_leads: bool = field(
        default=False,
        metadata={
            "help": "'lead', 'union' and 'both': in half of the segments mask the limb leads first, which "
            "follow from two of them"
        },
    )
    decoder: str = field(
        default=JOINT, metadata={"help": "'joint': of all tokens; 'per_lead': a lead at a time"}
    )
    decoder_dim: int = field(default=128, metadata={"help": "width of the decoder"})
    decoder_layers: int = field(default=1, metadata={"help": "its layers"})
    decoder_heads: int = field(default=0, metadata={"help": "its attention heads; 0: of 64 channels each"})
    decoder_conv: int = field(
        default=0, metadata={"help": "kernel of a position convolution in the decoder, frames; 0: none"}
    )
    decoder_head_conv: int = field(
        default=0, metadata={"help": "kernel of a convolution before the decoder's output, odd; 0: none"}
    )
    target: str = field(
        default="standardised",
        metadata={"help": "'raw', 'standardised', 'demeaned' samples, or 'difference'"},
    )
    target_group: str = field(
        default="token",
        metadata={"help": "mean and variance are of a 'token', or of each lead, 'token_lead'"},
    )
    projection: str = field(
        default="none", metadata={"help": "head of the global term: 'none', 'linear' or 'mlp'"}
    )
    final_dim: int = field(default=128, metadata={"help": "width of the projection"})


_RULES = {
    "mask_unit": one_of(*(unit for unit in UNITS if unit != "blocks"), BOTH),
    "mask_ratio": number(0, 1, below=True),
    "mask_lead_ratio": number(0, 1, below=True),
    "decoder": one_of(JOINT, PER_LEAD),
    "decoder_dim": integer(2, 1 << 16),
    "decoder_layers": integer(1, 512),
    "decoder_heads": integer(0, 1 << 16),
    "decoder_conv": integer(0, 1 << 10),
    "decoder_head_conv": integer(0, 1 << 10),
    "projection": one_of("none", "linear", "mlp"),
    "final_dim": integer(1, 1 << 20),
    "target": one_of(*TARGETS),
    "target_group": one_of(*GROUPS),
}


@dataclass
class Reconstruction:
    """One pass through encoder and decoder, of B segments with N tokens of L leads each, of all or of one.

    Attributes:
        prediction, target: (B, N, L, p).
        masked: (B, N) bool, True on tokens that the encoder was not given.
        valid: (B, N, L) bool, True where there is something to tell.
        hidden: (B, N, L) bool, of the same those that the input lacked, a student's leads being fewer.
        g: (B, D) mean of the contextual tokens, projected.
    """

    prediction: Tensor
    target: Tensor
    masked: Tensor
    valid: Tensor
    hidden: Tensor
    g: Tensor


@register_model("ecg_mae", dataclass=ECGMAEConfig)
class ECGMAEModel(ConfiguredModel):
    """The shared encoder on the tokens that are left, and a decoder for each way of masking."""

    #: None: views of all leads, where there are some, are targets of students'
    views_for_teacher: Optional[bool] = None

    def __init__(self, cfg: ECGMAEConfig):
        super().__init__()
        check_mae_config(cfg)
        self.cfg = cfg
        self.encoder = begin_encoder(cfg)
        per_lead, leads = self.encoder.per_lead, cfg.in_d
        self.token_leads = 1 if per_lead else leads
        n_out = self.token_leads * (self.encoder.stride - (cfg.target == "difference"))
        kind = LeadDecoder if cfg.decoder == PER_LEAD else TokenDecoder
        units = ("time", "lead") if cfg.mask_unit == BOTH else (cfg.mask_unit,)
        options: Dict[str, Any] = {"n_out": n_out, **options_of(cfg)}
        options["n_leads"] = leads if per_lead and cfg.decoder == JOINT else 0
        options["flags"] = leads if cfg.lead_encoding == "flags" else 0
        self.decoders = nn.ModuleList(kind(self.encoder.dim, **options) for _ in units)
        self.maskings = [
            TokenMasking(
                unit,
                cfg.mask_lead_ratio if i else cfg.mask_ratio,
                cfg.mask_lead_ratio,
                limbs_together=cfg.independent_leads,
            )
            for i, unit in enumerate(units)
        ]
        self.projection = projection_head(cfg, self.encoder.dim)

    def forward(
        self,
        source: Tensor,
        padding_mask: Optional[Tensor] = None,
        lead_present: Optional[Tensor] = None,
        is_teacher: Optional[Tensor] = None,
        keep: Optional[Tensor] = None,
    ) -> List[Reconstruction]:
        """Redraw segments, a pass for each way of masking.

        Args:
            source: (B, leads, samples) mV; absent leads are zeros.
            padding_mask: (B, samples) bool, True on padding, or None.
            lead_present: (B, leads) bool, True where a lead is present, or None: all are.
            is_teacher: (B,) bool, True on rows that are targets of the others, in their order; None: each
                row is its own.
            keep: (B, k) indices of the tokens that are kept; None: they are drawn.
        """
        inputs, whole = with_targets(
            is_teacher, source=source, padding_mask=padding_mask, lead_present=lead_present
        )
        if whole:
            if self.encoder.per_lead:
                raise ConfigError(
                    "task.student_views hides leads of a token, but those of "
                    f"model.frontend={self.cfg.frontend} are of one lead: set it to 0, and mask leads with "
                    "model.mask_unit"
                )
        elif any(masking.is_idle for masking in self.maskings):
            shares = f"model.mask_ratio={self.cfg.mask_ratio} and mask_lead_ratio={self.cfg.mask_lead_ratio}"
            raise ConfigError(
                f"{shares} leave nothing to tell with model.mask_unit={self.cfg.mask_unit}: raise what is 0, "
                "or set task.student_views, which hides leads"
            )
        return [
            self._pass(decoder, masking, inputs, whole or inputs, keep)
            for decoder, masking in zip(self.decoders, self.maskings)
        ]

    def _pass(
        self, decoder: Any, masking: TokenMasking, inputs: dict, whole: dict, keep: Optional[Tensor]
    ) -> Reconstruction:
        kept = self.encode_kept(masking, inputs, keep)
        return self.redraw(decoder, kept, kept.out.x, whole)

    def encode_kept(self, masking: TokenMasking, inputs: dict, keep: Optional[Tensor]) -> KeptTokens:
        """What the encoder makes of the tokens of `inputs` that are kept; without `keep` they are drawn."""
        source, encoder = inputs["source"], self.encoder
        present = all_present(source, inputs.get("lead_present"))
        leads = PresentLeads.of(present) if encoder.per_lead else None
        n_frames, m = encoder.n_frames(source.shape[2]), 1 if leads is None else leads.valid.shape[1]
        padding = encoder.token_padding_mask(inputs.get("padding_mask"), source, present)
        if keep is None:
            valid = None if padding is None else ~padding
            limb = None if leads is None else leads.grouped(leads.lead) < len(LIMB_LEADS)
            keep = masking.draw(len(source), m, n_frames, valid, limb).to(source.device)
        return KeptTokens(encoder(**inputs, keep=keep), keep, padding, present, leads, n_frames, m)

    def redraw(self, decoder: Any, kept: KeptTokens, x: Tensor, whole: dict) -> Reconstruction:
        """The samples of `whole`, told from `x`, (B, k, D), what is known of each token that was kept."""
        out, keep, padding, present, leads, n_frames, m = kept
        told, encoder = all_present(whole["source"], whole.get("lead_present")), self.encoder
        if isinstance(decoder, LeadDecoder):
            separators = out.extra[:, self.cfg.registers :]
            y = decoder.of_leads(x, keep, m, n_frames, separators, padding)
        else:
            lead = None if leads is None else leads.grouped(leads.lead)
            y = decoder(x, keep, m * n_frames, padding, lead, told)
        samples = encoder.normed(whole["source"], told, whole.get("padding_mask"))
        patches = patches_of(samples, encoder.stride)[:, :n_frames]  # (B, F, leads, p)
        valid = told[:, None].expand(-1, n_frames, -1)
        hidden = (told & ~present)[:, None].expand_as(valid)
        if leads is not None:  # (B, F, leads, p) -> (B, M F, 1, p)
            rows = patches.transpose(1, 2)[leads.segment, leads.lead]
            patches = leads.grouped(rows).flatten(1, 2)[:, :, None]
            valid = leads.valid[:, :, None].expand(-1, -1, n_frames).flatten(1)[..., None]
            hidden = torch.zeros_like(valid)
        masked = ~is_kept(keep, m * n_frames)
        if padding is not None:
            masked, valid = masked & ~padding, valid & ~padding[..., None]
        target = target_of(patches, self.cfg.target, self.cfg.target_group, valid)
        g = self.projection(mean_over_frames(out.x, out.padding_mask))
        return Reconstruction(y.view_as(target), target, masked, valid, hidden & valid, g)

    @staticmethod
    def global_representation(output: List[Reconstruction]) -> Tensor:
        """The vector of each segment for the global term, (B, D), of the first pass."""
        return output[0].g


def check_mae_config(cfg: ECGMAEConfig) -> None:
    """Raise ConfigError for values that make no masked autoencoder; the message names the key."""
    problems = broken({name: getattr(cfg, name) for name in _RULES}, _RULES, "model.")
    if not problems:
        problems = width_problems("decoder", cfg.decoder_dim, cfg.decoder_heads, cfg.decoder_conv)
        problems += dropping_problems(cfg)
    per_lead = find_front_end(cfg.frontend).per_lead
    of_leads = cfg.mask_unit in ("token_of_lead", "lead", "union", BOTH)
    if (of_leads or cfg.decoder == PER_LEAD) and not per_lead:
        key, value = ("mask_unit", cfg.mask_unit) if of_leads else ("decoder", cfg.decoder)
        problems.append(
            f"model.{key}={value} needs tokens of each lead, which model.frontend={cfg.frontend} does not "
            "make: set it to lead_patch"
        )
    if cfg.frontend == BEAT:
        problems.append(
            "model.frontend=beat has tokens of beats, but what is redrawn are stretches of one length: take "
            "model ecg_beat_tokens, or set it to lead_patch"
        )
    if cfg.frontend == LEAD and cfg.mask_unit not in ("token", "lead"):
        problems.append(
            f"model.mask_unit={cfg.mask_unit} masks stretches of time, but a token of model.frontend=lead is "
            "a whole lead: set it to lead"
        )
    if cfg.decoder == PER_LEAD and cfg.mask_unit != "token_of_lead":
        problems.append(
            "model.decoder=per_lead needs tokens of every lead: set model.mask_unit=token_of_lead"
        )
    if cfg.independent_leads and (cfg.mask_unit not in ("lead", "union", BOTH) or cfg.in_d != N_LEADS):
        problems.append(
            f"model.independent_leads is of masked leads on an axis of {N_LEADS}, but model.mask_unit is "
            f"{cfg.mask_unit} and model.in_d {cfg.in_d}: set it to false"
        )
    for key in ("decoder_conv", "decoder_head_conv"):
        if getattr(cfg, key) and per_lead and cfg.decoder == JOINT:
            problems.append(
                f"model.{key} is over frames in time, but the tokens of the joint decoder are of leads too: "
                "set it to 0"
            )
    if problems:
        raise ConfigError("; ".join(problems))
