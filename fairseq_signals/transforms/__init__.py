"""Signal transforms: a pure function and a thin class each."""
