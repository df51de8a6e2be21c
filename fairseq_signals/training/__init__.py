"""From arrays to a trained model: store, manifests and training of fairseq in one folder."""
