"""`ECGEmbedder`: embeddings as a scikit-learn transformer, so that a linear probe is a `make_pipeline`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from fairseq_signals.ecg.leads import parse_leads
from fairseq_signals.errors import ConfigError, SignalError
from fairseq_signals.inference.model import ECGModel
from fairseq_signals.inference.recording import from_array
from fairseq_signals.inference.sources import ONE_RECORD
from fairseq_signals.inference.streaming import BATCH_SIZE


class ECGEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Recordings to embeddings (N, D), with a model that is not trained further.

    Nothing is learnt in `fit`, which reads the model. With one lead, recordings may be the rows of a table
    (N, T); else they are an array (N, leads, T), or a list of what `ECGModel.embed` takes, such as paths.

    Parameters
    ----------
    model : ECGModel, or the path of a checkpoint or saved model
    fs : float, default=500.0
        Sampling rate of arrays, Hz; files say their own.
    leads : names, a lead set such as "12" or "2", or None
        Which leads the rows of a recording are; None: all twelve. Of files, which leads to use; None: all.
    batch_size : int, default=16
        Segments a forward pass.
    device : str, default="cpu"
        PyTorch device, where `model` is a path.
    layer : int, "mix" or None
        Of which layer of the encoder, as for `ECGModel.embed`.

    Attributes
    ----------
    model_ : ECGModel
        The model that is used.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> embedder = ECGEmbedder("checkpoint_best.pt", fs=500)
    >>> probe = make_pipeline(embedder, LogisticRegression())
    """

    def __init__(
        self,
        model: ECGModel | str | Path | None = None,
        fs: float = 500.0,
        leads: Any = None,
        batch_size: int = BATCH_SIZE,
        device: str = "cpu",
        layer: int | str | None = None,
    ):
        self.model = model
        self.fs = fs
        self.leads = leads
        self.batch_size = batch_size
        self.device = device
        self.layer = layer

    def fit(self, X: Any, y: Any = None) -> ECGEmbedder:
        """Read the model; the recordings are only looked at for their shape."""
        if isinstance(self.model, ECGModel):
            self.model_ = self.model
        elif self.model is None:
            raise ConfigError("ECGEmbedder(model=...) must name a checkpoint, or be an ECGModel")
        else:
            self.model_ = ECGModel.load(self.model, device=self.device)
        X = self._checked(X)
        if isinstance(X, np.ndarray):
            self.n_features_in_ = X.shape[-1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The embeddings (N, D) float32."""
        check_is_fitted(self)
        X = self._checked(X)
        width = getattr(self, "n_features_in_", None)
        if isinstance(X, np.ndarray) and X.ndim == 2 and width is not None and X.shape[1] != width:
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting {width} features as "
                "input"
            )
        leads = None if isinstance(X, np.ndarray) else self.leads
        return self.model_.embed(self._each(X), leads=leads, layer=self.layer, batch_size=self.batch_size)

    def _each(self, X: Any) -> Iterator[Any]:
        for position, recording in enumerate(X):
            is_array = isinstance(recording, np.ndarray) or hasattr(recording, "detach")
            name = f"{position} of the batch"
            yield from_array(recording, self.fs, self.leads, name) if is_array else recording

    def _checked(self, X: Any) -> Any:
        """An array of numbers (N, L, T) or (N, T), or a list of recordings as they are.

        Raises:
            ValueError: neither; the message says what is expected.
        """
        if hasattr(X, "detach"):
            X = X.detach().cpu().numpy()
        if _holds_recordings(X):
            return list(X)
        X = check_array(X, dtype=(np.float32, np.float64), ensure_2d=False, allow_nd=True)
        one_lead = self.leads is not None and len(parse_leads(self.leads)) == 1
        if X.ndim == 2 and not one_lead:
            raise SignalError(
                f"X has the shape {X.shape}; recordings of several leads are an array (N, leads, samples), "
                "and those of one lead, named by leads=, may be (N, samples)"
            )
        if X.ndim not in (2, 3):
            raise SignalError(
                f"Expected an array (N, leads, samples), got one of shape {X.shape} instead. Reshape your "
                "data, X.reshape(1, -1) if it is one recording of one lead."
            )
        return X

    @property
    def _n_features_out(self) -> int:
        return self.model_.dim

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _more_tags(self) -> dict[str, Any]:  # scikit-learn before 1.6
        return {"X_types": ["3darray", "2darray"], "preserves_dtype": [np.float32]}


def _holds_recordings(X: Any) -> bool:
    """Whether this is a sequence of paths, recordings or arrays (L, T), and not an array of numbers."""
    if isinstance(X, np.ndarray):
        first = X.flat[0] if X.dtype.kind in "OU" and X.ndim == 1 and X.size else None
    elif hasattr(X, "iloc"):  # a column of a table
        first = X.iloc[0] if X.ndim == 1 and len(X) else None
    else:
        first = X[0] if isinstance(X, (list, tuple)) and len(X) else None
    return isinstance(first, ONE_RECORD) or getattr(first, "ndim", 0) == 2
