"""What is said of recordings: cleaning of reports, and the tokenizer of reports, prompts and questions."""
