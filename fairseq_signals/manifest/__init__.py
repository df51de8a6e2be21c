"""Manifests: which records, of whom, with which labels, in which split."""
