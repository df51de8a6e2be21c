"""Leads, units, resampling and reading of records: no fairseq, no torch."""
