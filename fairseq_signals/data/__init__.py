"""Record store, manifests, datasets."""
