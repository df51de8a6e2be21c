"""Testing a trained model on lead sets: predictions, scores per task, result files. No fairseq."""
