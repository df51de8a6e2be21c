"""Checkpoints as the authors' code writes them, with random weights: names, sections and sizes are theirs.

`pretrained` and `finetuned` write a file and give its path. The same seed gives the same encoder, whatever
the form of the file. The full size is that of the public weights: 90.9 M parameters, 1.09 GB with the
optimizer's state.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import ECGClassifier
from tests.sizes import TINY

#: Encoders by size; what is not said has the default, which is the public weights'.
SIZES: dict[str, dict[str, Any]] = {
    "tiny": TINY,
    "full": {},
}
#: How the configuration is pickled: containers, namespaces, a dictionary of namespaces, an object of
#: omegaconf, or one list of arguments as before 2021.
CFG_FORMS = ("dict", "namespace", "mixed", "omegaconf", "args")
#: Versions of the authors' code by what they call parameters.
VERSIONS = ("2024", "2022", "2021")
_OLD_NORM = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
_ENCODER = {
    "extractor_mode": "default",
    "conv_feature_layers": "[(256, 2, 2)] * 4",
    "in_d": 12,
    "conv_bias": False,
    "encoder_layers": 12,
    "encoder_embed_dim": 768,
    "encoder_ffn_embed_dim": 3072,
    "encoder_attention_heads": 12,
    "layer_norm_first": False,
    "conv_pos": 128,
    "conv_pos_groups": 16,
    "mask_selection": "static",
    "mask_other": 0,
    "normalize": "${task.normalize}",
    "filter": "${task.filter}",
    "data": "${task.data}",
}
_TASK = {
    "data": "/home/someone/manifests/cmsc",
    "leads_to_load": None,
    "leads_bucket": None,
    "sample_rate": None,
    "filter": False,
    "normalize": False,
    "enable_padding": True,
    "enable_padding_leads": False,
    "max_sample_size": None,
    "perturbation_mode": ["random_leads_masking"],
    "p": [1.0],
}


def encoder(size: str = "tiny", seed: int = 0) -> ECGEncoder:
    """The encoder that a look-alike of that seed holds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ECGEncoder(EncoderConfig(**SIZES[size], apply_mask=True)).eval()


def pretrained(
    path: Path,
    size: str = "tiny",
    cfg: str = "dict",
    version: str = "2024",
    old_norm: bool = True,
    seed: int = 0,
) -> Path:
    """A pre-trained W2V+CMSC+RLM model, with its optimizer's state."""
    model = encoder(size, seed)
    state = {_name(key, version, old_norm): value for key, value in model.state_dict().items()}
    dim, final = model.dim, 256 if size == "full" else 8
    codes = (320, 128) if size == "full" else (4, 4)
    state |= {
        "quantizer.vars": torch.rand(1, 2 * codes[0], codes[1]),
        "quantizer.weight_proj.weight": torch.rand(2 * codes[0], model.latent_dim),
        "quantizer.weight_proj.bias": torch.zeros(2 * codes[0]),
        "project_q.weight": torch.rand(final, 2 * codes[1]),
        "project_q.bias": torch.zeros(final),
        "final_proj.weight": torch.rand(final, dim),
        "final_proj.bias": torch.zeros(final),
    }
    return _write(path, state, _pretraining_cfg(size), cfg)


def finetuned(
    path: Path,
    labels: int = 17,
    size: str = "tiny",
    cfg: str = "dict",
    version: str = "2024",
    carries: str | None = "args",
    origin: str = "/home/someone/mimic_iv_ecg_physionet_pretrained.pt",
    seed: int = 0,
) -> Path:
    """A classifier of which the configuration tells only defaults of its encoder.

    Args:
        carries: where the options of its encoder are nevertheless: "model" for its own section, None for
            nowhere but in the file that `origin` names, else the key of the model's section under which the
            configuration of pre-training is, such as "args" or "w2v_args".
    """
    model = ECGClassifier(encoder(size, seed), labels)
    del model.encoder.mask_emb
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        torch.nn.init.normal_(model.proj.weight)
    wrapper, inner = ("w2v_encoder.", "w2v_model.") if version == "2021" else ("", "encoder.")
    state = {}
    for key, value in model.state_dict().items():
        in_encoder = key.startswith("encoder.")
        old = inner + _name(key.removeprefix("encoder."), version, True) if in_encoder else key
        state[wrapper + old] = value
    options = {**_ENCODER, "final_dropout": 0.0, "num_labels": labels, "freeze_finetune_updates": 0}
    options |= {"_name": "wav2vec2_dc", "w2v_path": origin} if version == "2021" else {
        "_name": "ecg_transformer_classifier", "model_path": origin, "args": None, "saliency": False,
    }  # fmt: skip
    if carries == "model":
        options |= SIZES[size]
    elif carries:
        options[carries] = _pretraining_cfg(size)
    sections = {
        "model": options,
        "task": {"_name": "ecg_classification", **_TASK, "perturbation_mode": None},
        "criterion": {"_name": "binary_cross_entropy_with_logits", "threshold": 0.5, "report_auc": True},
    }
    return _write(path, state, _complete(sections), cfg)


def _pretraining_cfg(size: str) -> dict[str, Any]:
    options = {**_ENCODER, **SIZES[size], "apply_mask": True, "mask_prob": 0.65, "quantize_targets": True}
    return _complete(
        {
            "model": {"_name": "wav2vec2_cmsc", **options, "args": None, "saliency": False, "final_dim": 256},
            "task": {"_name": "ecg_pretraining", **_TASK},
            "criterion": {"_name": "wav2vec2_with_cmsc", "loss_weights": [0.1, 10.0], "infonce": True},
        }
    )


def _complete(sections: dict[str, Any]) -> dict[str, Any]:
    return {
        "_name": None,
        "common": {"_name": None, "fp16": True, "seed": 1, "wandb_project": None},
        "checkpoint": {"_name": None, "save_dir": "checkpoints", "best_checkpoint_metric": "loss"},
        "optimization": {"_name": None, "max_epoch": 200, "lr": [5e-05], "update_freq": [2]},
        "optimizer": {"_name": "adam", "adam_betas": "(0.9, 0.98)", "adam_eps": 1e-06, "lr": [5e-05]},
        "lr_scheduler": {"_name": "fixed", "warmup_updates": 0, "lr": [5e-05]},
        **sections,
    }


def _name(key: str, version: str, old_norm: bool) -> str:
    """What a version of the authors' code calls a parameter of the encoder."""
    if old_norm or version != "2024":
        for new, old in _OLD_NORM.items():
            key = re.sub(rf"{new}$", old, key)
    return key if version == "2024" else key.replace("conv_pos.pos_conv.", "encoder.pos_conv.")


def _write(path: Path, state: dict[str, Tensor], cfg: dict[str, Any], form: str) -> Path:
    moments = {i: {"step": 300_000, "exp_avg": torch.zeros_like(value), "exp_avg_sq": torch.zeros_like(value)}
               for i, value in enumerate(state.values())}  # fmt: skip
    optimizer = {"state": moments, "param_groups": [{"lr": 5e-05, "params": list(moments)}]}
    content = {
        "args": in_form(cfg, form) if form == "args" else None,
        "cfg": None if form == "args" else in_form(cfg, form),
        "model": state,
        "criterion": None,
        "optimizer_history": [{"optimizer_name": "Adam", "num_updates": 300_000, "lr_scheduler_state": {}}],
        "task_state": {},
        "extra_state": {"train_iterator": {"epoch": 7, "iterations_in_epoch": 0}, "val_loss": None},
        "last_optimizer_state": optimizer,
    }
    torch.save(content, path)
    return Path(path)


def in_form(cfg: dict[str, Any], form: str) -> Any:
    """A configuration as one of `CFG_FORMS`."""
    if form == "omegaconf":
        from omegaconf import OmegaConf

        return OmegaConf.create(cfg)
    if form == "args":
        flat = {key: entry for section in cfg.values() for key, entry in (section or {}).items()}
        flat |= {**cfg["model"], **cfg["task"], "arch": cfg["model"]["_name"], "task": cfg["task"]["_name"]}
        nested = {key: in_form(entry, form) for key, entry in flat.items() if isinstance(entry, dict)}
        return argparse.Namespace(**{**flat, **nested})
    if form == "namespace":
        return argparse.Namespace(**in_form(cfg, "mixed"))
    if form == "mixed":
        pairs = ((k, argparse.Namespace(**v) if isinstance(v, dict) else v) for k, v in cfg.items())
        return dict(pairs)
    return cfg
