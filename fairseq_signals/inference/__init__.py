"""Using a trained model: recordings in, embeddings, probabilities and identities out. No fairseq."""
