"""From manifests to batches: segments, views, randomness, the one collater."""
