"""Recordings as the Kardia API gives them (GET /v1/recordings/:id), https://developers.kardia.com."""

import json
from pathlib import Path

KEYS = {"I": "leadI", "II": "leadII", "III": "leadIII", "aVR": "AVR", "aVL": "AVL", "aVF": "AVF"}


def signal(values, fs=300, resolution_nv=500) -> dict:
    """One of `raw` and `enhanced`: samples (L, T) of up to six leads."""
    return {
        "frequency": fs,
        "mainsFrequency": 60,
        "samples": {key: [int(value) for value in row] for key, row in zip(KEYS.values(), values)},
        "amplitudeResolution": resolution_nv,
        "numLeads": len(values),
    }


def write(path: Path, values, resolution_nv=500, **more) -> Path:
    content = {
        "id": "3jsl1rxmxxxmi",
        "patientID": "wNSEDeLOEPQE5rznkJmwbnjpxfdst93i",
        "duration": len(values[0]) * 1000 // 300,
        "heartRate": 65,
        "algorithmDetermination": "normal",
        "data": {
            "raw": signal(values, resolution_nv=resolution_nv),
            "enhanced": signal([row // 2 for row in values]),
        },
        "recordedAt": "2020-06-07T10:11:12Z",
        "deviceInfo": {"hardwareType": "KardiaMobile6L", "serialNumber": "1"},
        **more,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
