"""Segments as codes, one a frame, and back to millivolts (VQ-VAE, arXiv:1711.00937; Auto-TTE, 2303.09395)."""

from typing import Any, Optional

import torch
from torch import Tensor, nn

from fairseq_signals.modules.code_tokens import RedrawnSentence, Tokenizer, valid_tokens
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.front_end import patches_of
from fairseq_signals.modules.pooling import mean_over_frames
from fairseq_signals.modules.token_decoder import TokenDecoder, decoder_heads


class SegmentCodes(nn.Module):
    """Encoder, a code for each of its frames, and a decoder, which redraws all leads of each frame.

    A frame's code tells `stride` samples of all leads, in the unit of the input; absent leads are zeros.

    Args:
        encoder: of frames in time.
        cfg: with the options of `ECGVQConfig`.
    """

    def __init__(self, encoder: ECGEncoder, cfg: Any):
        super().__init__()
        self.encoder, self.n_leads, self.stride = encoder, encoder.cfg.in_d, encoder.stride
        self.tokenizer = Tokenizer(encoder.dim, cfg.codes, cfg.code_dim, cfg.code_momentum, cfg.code_patience)
        width = cfg.decoder_dim
        self.decoder = TokenDecoder(
            cfg.code_dim,
            width,
            cfg.decoder_layers,
            decoder_heads(width),
            self.n_leads * self.stride,
            conv=cfg.decoder_conv,
        )

    @torch.no_grad()
    def codes(self, source: Tensor, lead_present: Optional[Tensor] = None) -> Tensor:
        """The numbers of the codes of whole segments: (B, leads, T) -> (B, F)."""
        return self.tokenizer(self.encoder(source, lead_present=lead_present).x)

    @torch.no_grad()
    def redraw(self, codes: Tensor) -> Tensor:
        """Samples of numbers of codes: (B, F) -> (B, leads, F x stride)."""
        patches = self._decoded(self.tokenizer.codebook.codes[codes])
        return patches.unflatten(2, (self.n_leads, self.stride)).transpose(1, 2).flatten(2)

    def _decoded(self, given: Tensor, padding_mask: Optional[Tensor] = None) -> Tensor:
        every = torch.arange(given.shape[1], device=given.device).expand(len(given), -1)
        return self.decoder(given, every, given.shape[1], padding_mask)

    def forward(
        self,
        source: Tensor,
        padding_mask: Optional[Tensor] = None,
        lead_present: Optional[Tensor] = None,
        contribute: bool = True,
    ) -> RedrawnSentence:
        """Redraw segments, whose words are the samples of all leads of a frame.

        Args:
            source: (B, leads, samples) mV; absent leads are zeros.
            padding_mask: (B, samples) bool, True on padding, or None.
            lead_present: (B, leads) bool, True where a lead is present, or None: all are.
            contribute: count this batch in the codes over all data-parallel workers.
        """
        out = self.encoder(source, padding_mask, lead_present=lead_present)
        valid = valid_tokens(out)
        codes, given, told, quantised = self.tokenizer.coded(out.x, valid, contribute)
        words = patches_of(source, self.stride)[:, : valid.shape[1]].flatten(2)
        g = mean_over_frames(out.x, out.padding_mask)
        redrawn, book = self._decoded(given, out.padding_mask), self.tokenizer.codebook
        n_moved = book.n_moved if self.training and book.patience else None
        return RedrawnSentence(valid, codes, len(book.codes), g, words, redrawn, told, quantised, n_moved)

    @staticmethod
    def global_representation(output: RedrawnSentence) -> Tensor:
        """Mean of the contextual frames of each segment, (B, D)."""
        return output.g
