"""Drawings of recordings; needs matplotlib, which pip installs with "fairseq-signals[plot]"."""
