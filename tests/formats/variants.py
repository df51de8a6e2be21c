"""Further files of some readers, beside those of `samples`: other encodings, compressed, of several files."""

import base64

import numpy as np

from tests.formats.samples import _hdf5, leads
from tests.preprocess.lookalikes import authors_mat, philips_xml, scp, wfdb

_LINE = "{file} {storage} 1000(0)/mV 16 0 0 0 0 {lead}"


def _header(folder, name, lines):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.hea"
    path.write_text("\n".join(lines) + "\n# age: 50 sex: F\n")
    return path


def _wfdb_24(folder, n):
    header = _header(folder, "a", [f"a 1 500 {n}", _LINE.format(file="a.dat", storage="24", lead="II")])
    (folder / "a.dat").write_bytes(leads(n)[1].astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    return header


def _wfdb_flac(folder, n):
    import soundfile

    lines = [_LINE.format(file="a.dat", storage="516", lead=lead) for lead in ("I", "II")]
    header = _header(folder, "a", [f"a 2 500 {n}", *lines])
    soundfile.write(folder / "a.dat", leads(n)[:2].T, 500, format="FLAC", subtype="PCM_16")
    return header


def _wfdb_segments(folder, n):
    for name in ("b", "c"):
        wfdb.write(folder, name, leads(n))
    return _header(folder, "a", [f"a/3 12 500 {2 * n + 10}", f"b {n}", "~ 10", f"c {n}"])


def _philips_xli(folder, n):
    codes = np.random.default_rng(0).integers(0, 256, 4 * n)
    bits = (codes[:, None] >> np.arange(10)[::-1]) & 1
    stream = np.packbits(bits.astype(np.uint8).ravel()).tobytes()
    data = b"".join(len(stream).to_bytes(4, "little") + bytes(4) + stream for _ in range(12))
    text = philips_xml.document(leads(n)).replace("Uncompressed", "XLI")
    begin, end = text.index('bitspersample="16">') + 19, text.index("</parsedwaveforms>")
    return philips_xml.write(folder / "a.xml", text[:begin] + base64.b64encode(data).decode() + text[end:])


def _scp_with_beats(folder, n):
    return scp.write(folder / "a.scp", leads(n), beat=leads(50), beat_positions=(0, 100))


def _chunked(folder, n):
    import h5py

    path = _hdf5(folder / "a.h5")
    with h5py.File(path, "w") as file:
        file.create_dataset("ecg", data=leads(n) / 1000, chunks=(12, 50), compression="gzip", shuffle=True)
    return path


def _deflated_mat(folder, n):
    import scipy.io

    path = authors_mat.write_segment(folder / "a.mat", leads(n) / 1000)
    content = {name: value for name, value in scipy.io.loadmat(path).items() if not name.startswith("_")}
    scipy.io.savemat(path, content, do_compression=True)
    return path


VARIANTS = {
    "wfdb": (_wfdb_24, _wfdb_flac, _wfdb_segments),
    "scp": (
        lambda folder, n: scp.write(folder / "a.scp", leads(n), beat=leads(50), beat_positions=(0, 100)),
    ),
    "philips_xml": (_philips_xli,),
    "authors_mat": (_deflated_mat,),
    "sph_hdf5": (_chunked,),
}
