"""DICOM waveform objects as carts and archives write them: a rhythm group and a group of median beats."""

from pathlib import Path

import numpy as np

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
#: Code and meaning of each lead in CID 3001.
MDC = {
    "I": ("2:1", "Lead I"), "II": ("2:2", "Lead II"), "III": ("2:61", "Lead III"),
    "aVR": ("2:62", "aVR, augmented voltage, right"), "aVL": ("2:63", "aVL, augmented voltage, left"),
    "aVF": ("2:64", "aVF, augmented voltage, foot"),
    **{f"V{i}": (f"2:{i + 2}", f"Lead V{i}") for i in range(1, 7)},
}  # fmt: skip


def dataset(*groups, **elements):
    """A 12-lead ECG object with these multiplex groups; `elements` by keyword go before the defaults."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.9.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    defaults = {
        "Modality": "ECG",
        "PatientID": "4711",
        "PatientName": "Doe^Jane",
        "PatientSex": "F",
        "PatientAge": "047Y",
        "StudyDate": "20200102",
    }
    for keyword, value in {**defaults, **elements}.items():
        if value is not None:
            setattr(made, keyword, value)
    made.WaveformSequence = pydicom.Sequence(list(groups))
    return made


def group(
    values: np.ndarray,
    leads=LEADS,
    fs=500,
    sensitivity=4.88,
    correction=1,
    baseline=0,
    units="uV",
    label="RHYTHM",
    originality="ORIGINAL",
    interpretation="SS",
    coded=True,
    offset=None,
):
    """A multiplex group of the samples (L, T), whose type is that of the file."""
    import pydicom
    from pydicom.dataset import Dataset

    made = Dataset()
    made.WaveformOriginality = originality
    made.NumberOfWaveformChannels, made.NumberOfWaveformSamples = values.shape
    made.SamplingFrequency = fs
    if label:
        made.MultiplexGroupLabel = label
    if offset is not None:
        made.MultiplexGroupTimeOffset = offset
    definitions = []
    for lead in leads:
        definition, source, unit = Dataset(), Dataset(), Dataset()
        if coded and lead in MDC:
            source.CodeValue, source.CodeMeaning = MDC[lead]
            source.CodingSchemeDesignator = "MDC"
        else:
            source.CodeValue, source.CodeMeaning, source.CodingSchemeDesignator = "X", str(lead), "99LOCAL"
        definition.ChannelSourceSequence = pydicom.Sequence([source])
        if sensitivity is not None:
            definition.ChannelSensitivity = sensitivity
            definition.ChannelSensitivityCorrectionFactor = correction
            definition.ChannelBaseline = baseline
            unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = units, "UCUM", units
            definition.ChannelSensitivityUnitsSequence = pydicom.Sequence([unit])
        definition.WaveformBitsStored = 8 * values.dtype.itemsize
        definitions.append(definition)
    made.ChannelDefinitionSequence = pydicom.Sequence(definitions)
    made.WaveformBitsAllocated = 8 * values.dtype.itemsize
    made.WaveformSampleInterpretation = interpretation
    made.add_new(
        0x54001010, "OB" if values.dtype.itemsize == 1 else "OW", np.ascontiguousarray(values.T).tobytes()
    )
    return made


def median_beats(leads=LEADS):
    """The group of averaged beats that follows the recording."""
    beats = np.arange(len(leads) * 600).reshape(len(leads), 600).astype(np.int16)
    return group(beats, leads, label="MEDIAN BEAT", originality="DERIVED")


def write_big_endian(path: Path, made, bits_in_words=False) -> Path:
    """The object in Explicit VR Big Endian; its samples are swapped here, as pydicom does not."""
    import pydicom

    for one in made.WaveformSequence:
        width = max(int(one.WaveformBitsAllocated) // 8, 2 if bits_in_words else 1)
        one["WaveformData"].VR = "OW" if width > 1 else "OB"
        for name in ("WaveformData", "WaveformPaddingValue"):
            if name in one:
                one[name].value = np.frombuffer(one[name].value, f"<u{width}").astype(f">u{width}").tobytes()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    made.set_original_encoding(False, False)
    return write(path, made)


def write(path: Path, made) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    return path
