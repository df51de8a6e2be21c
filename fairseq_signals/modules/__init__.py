"""Layers and losses in plain PyTorch: no fairseq."""
