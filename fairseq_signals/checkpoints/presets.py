"""Public weights of this method by name: the input that they expect, and what their outputs are called.

Facts of the authors of the weights (sources: `Preset.source`); nothing here depends on the files themselves.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fairseq_signals.errors import ConfigError, did_you_mean
from fairseq_signals.files import sha256_of

if TYPE_CHECKING:
    from fairseq_signals.checkpoints.loading import Checkpoint
    from fairseq_signals.modules.encoder_config import EncoderConfig

#: To load public weights with what the checkpoint itself says of its input, and nothing else.
NO_PRESET = "none"
#: The shape of W2V+CMSC at the paper's size, which all public weights have (Oh et al., Sec. 5.2).
_SHAPE = (
    "encoder_layers",
    "encoder_embed_dim",
    "encoder_ffn_embed_dim",
    "encoder_attention_heads",
    "in_d",
)
_ECG_FM_LABELS = (
    "Poor data quality",
    "Sinus rhythm",
    "Premature ventricular contraction",
    "Tachycardia",
    "Ventricular tachycardia",
    "Supraventricular tachycardia with aberrancy",
    "Atrial fibrillation",
    "Atrial flutter",
    "Bradycardia",
    "Accessory pathway conduction",
    "Atrioventricular block",
    "1st degree atrioventricular block",
    "Bifascicular block",
    "Right bundle branch block",
    "Left bundle branch block",
    "Infarction",
    "Electronic pacemaker",
)


@dataclass(frozen=True)
class Preset:
    """What is known of public weights.

    Attributes:
        name: by which users ask for it.
        title: what the weights are called.
        source: where they, and these facts, come from.
        licence: of the weights, as their authors state it.
        files: patterns of the names of the published files, in small letters, without ".pt".
        input: fields of `InputFormat` that differ from its defaults.
        labels: of the outputs of a fine-tuned model, in their order; empty where they differ by file.
        hub: the model hub's name of their one repository; "" where there are several.
        sha256: check sums of published files that are known here.
    """

    name: str
    title: str
    source: str
    licence: str
    files: tuple[str, ...]
    input: Mapping[str, Any]
    labels: tuple[str, ...] = ()
    hub: str = ""
    sha256: frozenset[str] = field(default_factory=frozenset)

    def is_of(self, checkpoint: Checkpoint) -> bool:
        """Whether a file of the authors' code is one of these: by check sum, or by name and configuration."""
        if self.sha256 and sha256_of(checkpoint.path) in self.sha256:
            return True
        name = checkpoint.path.name.lower().removesuffix(".pt")
        named = any(fnmatch.fnmatchcase(name, pattern) for pattern in self.files)
        head = checkpoint.state.get("proj.weight")
        fits = head is None or not self.labels or len(head) == len(self.labels)
        return named and fits and _has_published_shape(checkpoint.config)

    def describe(self) -> dict[str, Any]:
        """Name, title, source and licence, as the provenance of a model keeps them."""
        return {"name": self.name, "title": self.title, "source": self.source, "licence": self.licence}


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset(
                "ecg-fm",
                "ECG-FM",
                "McKeen et al., ECG-FM: an open electrocardiogram foundation model, arXiv:2408.05178; "
                "https://huggingface.co/wanglab/ecg-fm",
                "MIT",
                ("mimic_iv_ecg_physionet_pretrained", "mimic_iv_ecg_finetuned"),
                {
                    "fs": 500.0,
                    "normalize": "record",
                    "segment_s": 5.0,
                    "resampler": "linear",
                    "last_segment": "drop",
                    "zero_frames": "skip",
                    "aggregate_max": (
                        "Poor data quality",
                        "Premature ventricular contraction",
                        "Ventricular tachycardia",
                        "Supraventricular tachycardia with aberrancy",
                        "Electronic pacemaker",
                    ),
                },
                _ECG_FM_LABELS,
                "wanglab/ecg-fm",
            ),
            Preset(
                "deepecg-ssl",
                "DeepECG-SSL",
                "HeartWise.AI, DeepECG-SSL; https://huggingface.co/heartwise",
                "differs by repository, one is CC BY-NC 4.0: read it before use",
                (
                    "ssl_pretrained",
                    "ssl_pretrained_model",
                    "base_ssl",
                    "wcr_77_classes",
                    "wcr_lvef_*",
                    "wcr_afib_5y",
                ),
                {
                    "fs": 250.0,
                    "segment_s": 10.0,
                    # its authors multiply the recorder's units by 0.00488: of units of 4.88 uV that is mV
                    "scale": 1.0,
                    "last_segment": "drop",
                    "zero_frames": "skip",
                },
            ),
        )
    }
)


def find_preset(name: str) -> Preset:
    """The preset of this name.

    Raises:
        ConfigError: there is none.
    """
    found = PRESETS.get(name) if isinstance(name, str) else None
    if found is None:
        hint = did_you_mean(str(name), PRESETS) or "."
        raise ConfigError(f"there is no preset {name!r}{hint} They are {', '.join(PRESETS)} and {NO_PRESET}.")
    return found


def recognised(checkpoint: Checkpoint) -> Preset | None:
    """The preset of a published file; None of any other checkpoint."""
    if not checkpoint.from_authors or not checkpoint.path.is_file():
        return None
    return next((preset for preset in PRESETS.values() if preset.is_of(checkpoint)), None)


def may_be_public(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint of the authors' code has the size of public weights, whatever it is called."""
    known = checkpoint.from_authors and checkpoint.path.is_file()
    return known and _has_published_shape(checkpoint.config)


def _has_published_shape(config: EncoderConfig) -> bool:
    # here, since commands answer --help without PyTorch
    from fairseq_signals.modules.conv_features import parse_conv_layers
    from fairseq_signals.modules.encoder_config import EncoderConfig

    default = EncoderConfig()
    same = all(getattr(config, name) == getattr(default, name) for name in _SHAPE)
    layers = (parse_conv_layers(of.conv_feature_layers) for of in (config, default))
    return same and len({tuple(found) for found in layers}) == 1
