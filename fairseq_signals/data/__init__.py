"""Record store, manifests, datasets and the collater."""
