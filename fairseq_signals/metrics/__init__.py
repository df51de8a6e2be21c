"""Evaluation metrics: CinC 2021 score, classification and identification, and their intervals."""
