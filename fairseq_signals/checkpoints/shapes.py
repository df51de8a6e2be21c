"""Whether the options of an encoder describe the parameters in a file."""

from typing import Any, Dict, List, Tuple

from torch import Tensor
from torch.overrides import TorchFunctionMode

from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_checks import check_encoder_config, count_weights
from fairseq_signals.modules.encoder_config import EncoderConfig

StateDict = Dict[str, Tensor]
#: An encoder is made to see its shape; one of more than so many times the parameters in the file is not.
_TIMES = 8


def shape_problems(config: EncoderConfig, state: StateDict) -> List[str]:
    """Where the encoder that `config` describes differs from the encoder in `state`, in words."""
    found = encoder_state(state)
    held = sum(value.numel() for value in found.values())
    try:
        check_encoder_config(config)
        if count_weights(config) > _TIMES * held:
            return [f"its options are of {count_weights(config):,} weights or more, but it holds {held:,}"]
        expected_keys = _skeleton(config)
    except ConfigError as error:
        return [str(error)]
    problems = []
    for key in sorted(set(expected_keys) | set(found)):
        if key == "mask_emb":
            continue
        have = tuple(found[key].shape) if key in found else None
        want = expected_keys.get(key)
        if have != want:
            problems.append(f"{key} is {have or 'absent'} in the file and {want or 'absent'} by its options")
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    return [problem + (more if i == 2 else "") for i, problem in enumerate(problems[:3])]


def encoder_state(state: StateDict) -> StateDict:
    """The encoder's parameters without their prefix."""
    prefix = "encoder."
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


class NoRandomFill(TorchFunctionMode):
    """Within it parameters keep whatever is in memory: what follows loads them, and filling takes seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (Tensor.normal_, Tensor.uniform_) or getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _skeleton(config: EncoderConfig) -> Dict[str, Tuple[int, ...]]:
    with NoRandomFill():
        encoder = ECGEncoder(config)
    return {key: tuple(value.shape) for key, value in encoder.state_dict().items()}
