"""A synthetic corpus of 12-lead ECG: a moving cardiac dipole seen through a published lead field.

    config = CorpusConfig(patients=100, seed=1)
    record = make_record(config, number=7, session=0)   # .adu (12, 5000) int16, .classes, .beats

Nothing in it was measured on a person; what is known about it is in `examples/quickstart/README.md`.
"""
