"""Checkpoints, ours and the authors', and models as folders: no fairseq."""
