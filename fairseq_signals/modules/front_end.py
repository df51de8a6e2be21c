"""Front ends f, from samples to tokens, by their name in the configuration (`model.frontend`)."""

from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional

from torch import Tensor, nn

from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.beats import BeatWords
from fairseq_signals.modules.conv_features import ConvFeatureExtractor, parse_conv_layers
from fairseq_signals.modules.lead_front_end import LeadFeatureExtractor
from fairseq_signals.modules.patch_stem import NO_STEM, PatchStem, channels_in, numbers
from fairseq_signals.modules.present_leads import PresentLeads


@dataclass(frozen=True)
class FrontEnd:
    """A registered front end.

    Attributes:
        build: makes the module from the encoder's configuration and the number of leads that it takes at
            a time, 1 with `lead_encoding=tokens`. The module maps (N, leads, samples), and the
            `PresentLeads` or None, to (N, `dim`, frames); its attributes are the width `dim`, the samples
            `stride` from one frame to the next, and `n_frames`, which gives the frames of a number of
            samples (int or integer tensor). Where frames are of what is found in the signal, `empty` says of
            (B, leads, samples), and which leads are present, which frames hold nothing, (B, frames) bool, and
            `in_time` makes of what frames have, (B, frames, D), that at each stretch of `stride` samples.
        weights: how many numbers its weights hold, of a configuration and a number of leads.
        width: `dim`, of a configuration.
        per_lead: frames of different leads are different tokens of the Transformer, and are not mixed before.
        normed: whether the encoder norms what it gives.
    """

    build: Callable[[Any, int], nn.Module]
    weights: Callable[[Any, int], int]
    width: Callable[[Any], int]
    per_lead: bool = False
    normed: Callable[[Any], bool] = lambda cfg: False


CONV, PATCH, LEAD_PATCH, LEAD, BEAT = "conv", "patch", "lead_patch", "lead", "beat"
_FRONT_ENDS: Dict[str, FrontEnd] = {}


def register_front_end(name: str, front_end: FrontEnd) -> None:
    """Add a front end of one's own, which models then take by its name.

    A model that has it can be loaded where the module that calls this has been imported.

    Raises:
        ValueError: there is one of this name.
    """
    if name in _FRONT_ENDS:
        raise ValueError(f"there is a front end {name!r} already")
    _FRONT_ENDS[name] = front_end


def find_front_end(name: str) -> FrontEnd:
    """The front end of this name.

    Raises:
        ConfigError: there is none.
    """
    found = _FRONT_ENDS.get(name)
    if found is None:
        raise ConfigError(
            f"model.frontend must be one of {', '.join(_FRONT_ENDS)}, but is {name!r} instead; for one of "
            "your own, import the module that calls register_front_end first"
        )
    return found


class Patches(nn.Module):
    """A linear map of stretches of samples: (N, leads, samples) -> (N, D, frames), as a strided convolution.

    Args:
        n_leads: leads that a patch has; their samples stand one lead after the other.
        n_samples: p, samples of a lead in a patch.
        dim: D.
        norm: layer norm over the samples of each lead and patch before.
        stem: what is done to the samples of each patch by itself before, or None.
        n_in: numbers that it makes of them.
    """

    def __init__(
        self,
        n_leads: int,
        n_samples: int,
        dim: int,
        norm: bool = False,
        stem: Optional[nn.Module] = None,
        n_in: int = 0,
    ):
        super().__init__()
        self.stride, self.dim = n_samples, dim
        self.norm: nn.Module = nn.LayerNorm(n_samples) if norm else nn.Identity()
        self.stem: nn.Module = nn.Identity() if stem is None else stem
        self.projection = nn.Linear(n_in or n_leads * n_samples, dim)
        nn.init.xavier_uniform_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

    def n_frames(self, n_samples: Any) -> Any:
        """Whole patches in a number of samples."""
        return n_samples // self.stride

    def forward(self, x: Tensor, leads: Optional[PresentLeads] = None) -> Tensor:
        return self.projection(self.stem(self.norm(patches_of(x, self.stride))).flatten(2)).transpose(1, 2)


def patches_of(x: Tensor, n_samples: int) -> Tensor:
    """Samples by patches: (N, leads, T) -> (N, T // p, leads, p); a remainder at the end is left out."""
    n = x.shape[2] // n_samples
    return x[..., : n * n_samples].unflatten(2, (n, n_samples)).transpose(1, 2)


def _conv(cfg: Any, n_leads: int) -> nn.Module:
    layers = parse_conv_layers(cfg.conv_feature_layers)
    if cfg.lead_encoding == "tokens":
        return LeadFeatureExtractor(layers, cfg.extractor_mode, cfg.conv_bias)
    return ConvFeatureExtractor(n_leads, layers, cfg.extractor_mode, cfg.conv_bias)


def _conv_weights(cfg: Any, n_leads: int) -> int:
    layers = parse_conv_layers(cfg.conv_feature_layers)
    inputs = [n_leads, *(width for width, _, _ in layers)]
    return sum(n * width * kernel for n, (width, kernel, _) in zip(inputs, layers))


def _conv_width(cfg: Any) -> int:
    return parse_conv_layers(cfg.conv_feature_layers)[-1][0]


def _patch(cfg: Any, n_leads: int) -> nn.Module:
    shape = (n_leads, cfg.patch_samples, cfg.encoder_embed_dim, cfg.patch_norm)
    if cfg.patch_stem == NO_STEM:
        return Patches(*shape)
    layers = parse_conv_layers(cfg.conv_feature_layers)
    stem = PatchStem(n_leads, layers, cfg.patch_stem)
    return Patches(*shape, stem, numbers(layers, cfg.patch_stem, cfg.patch_samples))


def _beat(cfg: Any, n_leads: int) -> nn.Module:
    if cfg.patch_stem != NO_STEM:
        raise ConfigError(
            f"model.patch_stem={cfg.patch_stem} is of patches, but model.frontend beat: set it to {NO_STEM}"
        )
    return BeatWords(cfg.patch_samples, cfg.encoder_embed_dim, cfg.patch_norm)


def _patch_weights(cfg: Any, n_leads: int) -> int:
    if cfg.patch_stem == NO_STEM:
        return n_leads * cfg.patch_samples * cfg.encoder_embed_dim
    layers, how = parse_conv_layers(cfg.conv_feature_layers), cfg.patch_stem
    inputs = channels_in(layers, how, n_leads)
    of_stem = sum(n * width * kernel for n, (width, kernel, _) in zip(inputs, layers))
    return of_stem + numbers(layers, how, cfg.patch_samples) * cfg.encoder_embed_dim


def _patch_width(cfg: Any) -> int:
    return cfg.encoder_embed_dim


def _patch_norm(cfg: Any) -> bool:
    return cfg.patch_norm


register_front_end(CONV, FrontEnd(_conv, _conv_weights, _conv_width, normed=lambda cfg: True))
for _name in (PATCH, LEAD_PATCH, LEAD):  # a LEAD is a patch of all its samples
    register_front_end(_name, FrontEnd(_patch, _patch_weights, _patch_width, _name != PATCH, _patch_norm))
register_front_end(BEAT, FrontEnd(_beat, _patch_weights, _patch_width, True, _patch_norm))
