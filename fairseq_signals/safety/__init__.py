"""What keeps files and what is shown of them safe: locks, rules for saved values, visible text."""
