"""Options of the encoder, shared by every model (names as in fairseq and the authors' YAML files)."""

from dataclasses import dataclass, field
from typing import List

from fairseq_signals.modules.conv_features import CONV_LAYERS, EXTRACTOR_MODES
from fairseq_signals.modules.input_norm import FIXED, JOINT, LEAD, NONE, PTB_XL
from fairseq_signals.modules.patch_stem import NO_STEM, STEMS
from fairseq_signals.modules.span_mask import SELECTIONS
from fairseq_signals.safety.rules import TRUTH, Rule, integer, list_of, number, one_of, text

# the options that decide the encoder's shape: a checkpoint must agree with a model in all of them
ARCHITECTURE = (
    "encoder_layers",
    "encoder_embed_dim",
    "encoder_ffn_embed_dim",
    "encoder_attention_heads",
    "layer_norm_first",
    "attention",
    "context",
    "s4_state",
    "s4_causal",
    "frontend",
    "extractor_mode",
    "conv_feature_layers",
    "patch_samples",
    "patch_norm",
    "patch_stem",
    "in_d",
    "input_norm",
    "input_deviations",
    "lead_encoding",
    "lead_mixer",
    "lead_mixer_rounds",
    "conv_bias",
    "position",
    "position_every_layer",
    "conv_pos",
    "conv_pos_groups",
    "max_positions",
    "registers",
    "separators",
)
POSITIONS = ("conv", "sincos", "sincos_2d", "learned", "none")
ATTENTIONS = FULL, CROSS_PATTERN = "full", "cross_pattern"
CONTEXTS = TRANSFORMER, S4 = "transformer", "s4"
LEAD_ENCODINGS = ("zeros", "flags", "tokens")
LEAD_MIXERS = ("mean", "attention", "message")


@dataclass
class EncoderConfig:
    """Shape, dropouts and masks of `ECGEncoder`; the defaults are the paper's (Sec. 5.2)."""

    encoder_layers: int = field(default=12, metadata={"help": "Transformer layers"})
    encoder_embed_dim: int = field(default=768, metadata={"help": "width D of the Transformer"})
    encoder_ffn_embed_dim: int = field(default=3072, metadata={"help": "width of its feed-forward layers"})
    encoder_attention_heads: int = field(default=12, metadata={"help": "attention heads; divides D"})
    layer_norm_first: bool = field(default=False, metadata={"help": "norm before each sub-layer"})
    attention: str = field(
        default=FULL,
        metadata={
            "help": "which tokens a token attends to: 'full', all; 'cross_pattern', those of its lead and "
            "those of its time (arXiv:2410.08559)"
        },
    )
    context: str = field(
        default=TRANSFORMER,
        metadata={"help": "layers over frames: 'transformer', or state spaces, 's4'"},
    )
    s4_state: int = field(default=8, metadata={"help": "'s4': numbers N in the state of a channel"})
    s4_causal: bool = field(default=False, metadata={"help": "'s4': no frame depends on later ones"})
    layer_mix: bool = field(
        default=False,
        metadata={"help": "give a mean of all layers and the first one's input, with learnt weights"},
    )
    drop_path: float = field(
        default=0.0,
        metadata={
            "help": "probability that the last layer's branches are skipped for a segment in training; it "
            "grows linearly with depth, from 0"
        },
    )
    frontend: str = field(
        default="conv",
        metadata={
            "help": "what a token is: a frame of 'conv', the convolutions; a 'patch' of all leads; a "
            "'lead_patch' of one lead; a whole 'lead'; a 'beat' of one lead; or a front end of your own"
        },
    )
    patch_samples: int = field(
        default=25,
        metadata={
            "help": "samples of a patch; they divide a segment's, are all of a 'lead', and .96 s of a 'beat'"
        },
    )
    patch_norm: bool = field(
        default=False, metadata={"help": "layer norm over a patch's samples of a lead, and over its token"}
    )
    patch_stem: str = field(
        default=NO_STEM,
        metadata={
            "help": "the convolutions of conv_feature_layers in each patch by itself, before its linear map: "
            "'in_turn', or 'side_by_side' (several scales); 'none': there are none"
        },
    )
    input_norm: str = field(
        default=NONE,
        metadata={
            "help": "standardise the input: 'joint' over all leads of a segment, each 'lead' by itself, or "
            "by 'fixed' deviations, cut off at five; 'none': as it comes"
        },
    )
    input_deviations: List[float] = field(
        default_factory=lambda: list(PTB_XL), metadata={"help": "of 'fixed', one a lead, mV (PTB-XL's)"}
    )
    extractor_mode: str = field(
        default="default",
        metadata={
            "help": "norm of the front end: 'default' (first block only) or 'layer_norm' (every block)"
        },
    )
    conv_feature_layers: str = field(
        default="[(256, 2, 2)] * 4", metadata={"help": "front end, a list of (dim, kernel, stride)"}
    )
    in_d: int = field(default=12, metadata={"help": "leads on the input's lead axis"})
    lead_encoding: str = field(
        default="zeros",
        metadata={
            "help": "absent leads are 'zeros', or also named to each frame by a vector of the present leads "
            "('flags'), or not read: a shared front end for each present lead, a vector of its name, and a "
            "mixer ('tokens')"
        },
    )
    lead_mixer: str = field(
        default="attention",
        metadata={
            "help": "of 'tokens', what makes one of the leads' frames: 'mean', 'attention' or 'message'"
        },
    )
    lead_mixer_rounds: int = field(default=2, metadata={"help": "layers of the mixer"})
    lead_mixer_dropout: float = field(default=0.1, metadata={"help": "dropout in the mixer"})
    conv_bias: bool = field(default=False, metadata={"help": "bias in the front end's convolutions"})
    position: str = field(
        default="conv",
        metadata={
            "help": "how frames are told where they are: 'conv', a convolution over frames; 'sincos', sines "
            "and cosines; 'sincos_2d', half of the channels of time and half of the lead; 'learned'; 'none'"
        },
    )
    position_every_layer: bool = field(
        default=False,
        metadata={"help": "add positions to what each layer takes, not the first one alone (not 'conv')"},
    )
    max_positions: int = field(default=512, metadata={"help": "frames that 'learned' positions tell apart"})
    registers: int = field(
        default=0, metadata={"help": "learnt tokens beside the frames, which pooling leaves out"}
    )
    separators: bool = field(
        default=False, metadata={"help": "two tokens beside those of each lead (ST-MEM), as registers"}
    )
    conv_pos: int = field(default=128, metadata={"help": "kernel of the position convolution, frames"})
    conv_pos_groups: int = field(default=16, metadata={"help": "its groups"})

    dropout: float = field(default=0.1, metadata={"help": "dropout in the Transformer"})
    attention_dropout: float = field(default=0.1, metadata={"help": "dropout of attention weights"})
    activation_dropout: float = field(default=0.0, metadata={"help": "dropout after the GELU"})
    encoder_layerdrop: float = field(default=0.0, metadata={"help": "probability of skipping a layer"})
    dropout_input: float = field(default=0.0, metadata={"help": "dropout of the Transformer's input"})
    dropout_features: float = field(default=0.0, metadata={"help": "dropout of the quantizer's input"})
    feature_grad_mult: float = field(
        default=1.0, metadata={"help": "factor on the front end's gradient; 0 freezes it"}
    )

    apply_mask: bool = field(default=False, metadata={"help": "mask spans of frames while training"})
    mask_length: int = field(default=10, metadata={"help": "length of a span, frames"})
    mask_prob: float = field(
        default=0.65, metadata={"help": "share of frames masked if spans never overlapped"}
    )
    mask_selection: str = field(
        default="static", metadata={"help": "span lengths: static, uniform, normal or poisson"}
    )
    mask_other: float = field(default=0.0, metadata={"help": "second parameter of uniform and normal"})
    no_mask_overlap: bool = field(default=False, metadata={"help": "keep spans apart"})
    mask_min_space: int = field(default=1, metadata={"help": "frames between spans that are kept apart"})
    mask_equal_rows: bool = field(
        default=False,
        metadata={"help": "mask as many frames in every row as in the batch's least masked one (old way)"},
    )
    mask_channel_length: int = field(default=10, metadata={"help": "length of a channel span"})
    mask_channel_prob: float = field(default=0.0, metadata={"help": "share of channels masked"})
    mask_channel_selection: str = field(default="static", metadata={"help": "as mask_selection"})
    mask_channel_other: float = field(default=0.0, metadata={"help": "as mask_other"})
    no_mask_channel_overlap: bool = field(default=False, metadata={"help": "as no_mask_overlap"})
    mask_channel_min_space: int = field(default=1, metadata={"help": "as mask_min_space"})

    encoder_chunk: int = field(
        default=0,
        metadata={
            "help": "segments encoded at a time while training, and again in the backward pass (gradient "
            "caching): a large batch in the memory of a small one; 0 = all at once"
        },
    )
    checkpoint_activations: bool = field(
        default=False,
        metadata={"help": "compute the Transformer layers again in the backward pass: less memory"},
    )
    compile: bool = field(default=False, metadata={"help": "torch.compile; eager where that fails"})


_DROPOUT, _SHARE, _WIDTH = number(0, 1, below=True), number(0, 1), integer(1, 1 << 16)
_SPAN, _SPACE, _OTHER = integer(1, 1 << 20), integer(0, 1 << 20), number(0, 1 << 20)
#: What each option of an encoder must be, in a configuration or in a checkpoint.
ENCODER_RULES: dict[str, Rule] = {
    "encoder_layers": integer(1, 512),
    "encoder_embed_dim": _WIDTH,
    "encoder_ffn_embed_dim": integer(1, 1 << 18),
    "encoder_attention_heads": _WIDTH,
    "layer_norm_first": TRUTH,
    "attention": one_of(*ATTENTIONS),
    "context": one_of(*CONTEXTS),
    "s4_state": integer(1, 64),
    "s4_causal": TRUTH,
    "layer_mix": TRUTH,
    "drop_path": _DROPOUT,
    "frontend": text(64),
    "patch_samples": _WIDTH,
    "patch_norm": TRUTH,
    "patch_stem": one_of(*STEMS),
    "input_norm": one_of(NONE, JOINT, LEAD, FIXED),
    "input_deviations": list_of(number(1e-6, 1e6), 1024),
    "extractor_mode": one_of(*EXTRACTOR_MODES),
    "conv_feature_layers": CONV_LAYERS,
    "in_d": integer(1, 1024),
    "lead_encoding": one_of(*LEAD_ENCODINGS),
    "lead_mixer": one_of(*LEAD_MIXERS),
    "lead_mixer_rounds": integer(1, 64),
    "lead_mixer_dropout": _DROPOUT,
    "conv_bias": TRUTH,
    "position": one_of(*POSITIONS),
    "position_every_layer": TRUTH,
    "max_positions": _WIDTH,
    "registers": integer(0, 1024),
    "separators": TRUTH,
    "conv_pos": _WIDTH,
    "conv_pos_groups": _WIDTH,
    "dropout": _DROPOUT,
    "attention_dropout": _DROPOUT,
    "activation_dropout": _DROPOUT,
    "encoder_layerdrop": _DROPOUT,
    "dropout_input": _DROPOUT,
    "dropout_features": _DROPOUT,
    "feature_grad_mult": _SHARE,
    "apply_mask": TRUTH,
    "mask_length": _SPAN,
    "mask_prob": _SHARE,
    "mask_selection": one_of(*SELECTIONS),
    "mask_other": _OTHER,
    "no_mask_overlap": TRUTH,
    "mask_min_space": _SPACE,
    "mask_equal_rows": TRUTH,
    "mask_channel_length": _SPAN,
    "mask_channel_prob": _SHARE,
    "mask_channel_selection": one_of(*SELECTIONS),
    "mask_channel_other": _OTHER,
    "no_mask_channel_overlap": TRUTH,
    "mask_channel_min_space": _SPACE,
    "encoder_chunk": integer(0, 1 << 20),
    "checkpoint_activations": TRUTH,
    "compile": TRUTH,
}
