"""Methods compared on tasks, lead sets and label fractions: frozen and fine-tuned, over seeds."""
