"""`fairseq-signals report`: what is in the file, what it says is not, and what a browser makes of it."""

from __future__ import annotations

import base64
import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_signals import cli, report_page
from fairseq_signals.data.manifest import Row, write_manifest
from fairseq_signals.data.store import StoreRow, write_shard
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.synthetic import CorpusConfig, make_record
from fairseq_signals.evaluation.results import Evaluation
from fairseq_signals.evaluation.saved import read_evaluation, write_evaluation
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import ECGClassifier, ECGIdentifier, PooledEncoder

matplotlib = pytest.importorskip("matplotlib")

N_RECORDS = 8
NAME = '<img src=x onerror=alert(1)> & "co"'
LABELS = 'index,name,abbreviation,codes\n0,<script>alert(2)</script>,A<F,1\n1,"sinus & ""rhythm""",NSR,2\n'
LOG = [
    *(f"epoch 001: {u:5d} / 99 loss={9 / u:.3f}, contrastive_loss={5 / u:.3f}, code_perplexity={u}, "
      f"accuracy={u / 50}, gnorm=1, num_updates={u}, lr=0.001" for u in range(1, 40)),
]  # fmt: skip
SECTIONS = ["Model", "Training", "Test results", "Recordings"]


@pytest.fixture(scope="module")
def records(tmp_path_factory, write_wfdb):
    """Synthetic records of 10 s: a store of `N_RECORDS`, and one of them as a WFDB record."""
    folder = tmp_path_factory.mktemp("records")
    made = [make_record(CorpusConfig(patients=N_RECORDS, sessions=(1, 1), seed=5), i, 0).adu[:, :5000]
            for i in range(N_RECORDS)]  # fmt: skip
    rows = [StoreRow(f"r{i}", "x", 500.0, LEADS, np.full(12, 0.001), adu) for i, adu in enumerate(made)]
    write_shard(folder / "shard-00000.arrow", rows)
    write_wfdb(folder, "one", made[0])
    return folder


def rows_of(records, target=lambda i: "") -> list[Row]:
    return [Row(f"shard-00000.arrow#{i}:{2500 * k}", 2500, f"x/r{i}", f"x/p{i % 3}", k, target(i))
            for i in records for k in (0, 1)]  # fmt: skip


@pytest.fixture(scope="module")
def manifests(records, tmp_path_factory):
    """Manifests of both tasks in one folder each."""
    root = tmp_path_factory.mktemp("manifests")
    (root / "dx").mkdir()
    (root / "id").mkdir()
    write_manifest(
        root / "dx" / "test.tsv", records, rows_of(range(N_RECORDS), lambda i: ("0", "1", "0,1")[i % 3])
    )
    (root / "dx" / "labels.csv").write_text(LABELS)
    write_manifest(root / "id" / "test_gallery.tsv", records, rows_of((0, 1, 2)))
    write_manifest(root / "id" / "test_probe.tsv", records, rows_of((3, 4, 5)))
    return root


@pytest.fixture(scope="module")
def make_run(tmp_path_factory, manifests):
    """`make_run(kind, name, log=True)`: a folder with a tiny model's checkpoint and a log."""

    def make(kind: str, name: str = "run", log: bool = True) -> Path:
        options = {
            "encoder_layers": 1, "encoder_embed_dim": 16, "encoder_ffn_embed_dim": 16,
            "encoder_attention_heads": 2, "conv_feature_layers": "[(8, 2, 2)] * 4", "conv_pos": 4,
            "conv_pos_groups": 2,
        }  # fmt: skip
        folder = tmp_path_factory.mktemp("runs") / name
        folder.mkdir()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            encoder = ECGEncoder(EncoderConfig(**options))
            heads = {"classification": lambda: ECGClassifier(encoder, 2),
                     "identification": lambda: ECGIdentifier(encoder, 3),
                     "pretraining": lambda: PooledEncoder(encoder)}  # fmt: skip
            state = heads[kind]().state_dict()
        task = {"data": str(manifests / "dx")}
        cfg = {"model": options, "task": task, "checkpoint": {"best_checkpoint_metric": "auroc"}}
        extra = {"extra_state": {"best": 0.75, "train_iterator": {"epoch": 3}}}
        torch.save({"model": state, "cfg": cfg, **extra},
                   folder / "checkpoint_best.pt")  # fmt: skip
        if log:
            valid = "epoch 001 | valid on 'valid' subset | loss 2 | best_auroc 0.75 | num_updates 39"
            lines = [*(f"[t][train_inner][INFO] - {line}" for line in LOG), f"[t][valid][INFO] - {valid}"]
            (folder / "hydra_train.log").write_text("\n".join(lines) + "\n")
        return folder

    return make


@pytest.fixture(scope="module")
def full(make_run, manifests, records) -> Path:
    """The report of a classifier with everything that can be in it."""
    run = make_run("classification", NAME)
    call = ["report", run, "--manifest", manifests / "dx", "--record", records / "one.hea", "--leads=3,1"]
    assert cli.main(list(map(str, call))) == 0
    return run / "report.html"


def run_report(*arguments) -> int:
    return cli.main(["report", *map(str, arguments)])


class Elements(HTMLParser):
    """Attributes of each element by its tag, and all text outside of styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: dict[str, list[dict]] = {}
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.setdefault(tag, []).append(dict(attrs))

    def handle_data(self, data):
        self.text += data


def test_all_of_it_is_in_the_file(full):
    page = Elements(full.read_text(encoding="utf-8"))
    assert [link["href"][1:] for link in page.found["a"]] == [heading["id"] for heading in page.found["h2"]]
    for expected in ("classification model, ", "I, II, III, aVR", "best (auroc)0.75", "dx", "code_perplexity",
                     "macro AUROC", "Leads outside a lead set are zeros", "most probable"):  # fmt: skip
        assert expected in page.text
    alts = [image["alt"] for image in page.found["img"]]
    beginnings = ["Training of", "ROC", "Calibration", "Confusion", "Recording one on", "Recording one, all"]
    assert [alt.startswith(beginning) for alt, beginning in zip(alts, beginnings)] == [True] * 6
    assert "given to the model: I, II, V2" in alts[4]
    assert "note" not in [p.get("class") for p in page.found["p"]]


def test_it_needs_nothing_else_and_runs_nothing(full):
    html = full.read_text(encoding="utf-8")
    page = Elements(html)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(page.found)
    elements = [element for same in page.found.values() for element in same]
    attributes = [pair for element in elements for pair in element.items()]
    sources = [value for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]
    assert all(source.startswith(("#", "data:image/")) for source in sources)
    assert not re.search(r"https?:|@import|url\(", html)
    assert not [name for name, _ in attributes if name.startswith("on")]
    svg = base64.b64decode(page.found["img"][4]["src"].partition(",")[2]).decode()
    assert not [link for link in re.findall(r'href="([^"]*)"', svg) if not link.startswith(("#", "data:"))]


def test_text_of_users_is_escaped(full):
    html = full.read_text(encoding="utf-8")
    assert "<script>" not in html
    assert "<img src=x" not in html
    page = Elements(html)
    assert NAME in page.text
    assert "<script>alert(2)</script>" in page.text
    assert 'sinus & "rhythm"' in page.text


def test_a_file_is_complete_or_what_it_was(make_run, monkeypatch, tmp_path):
    run = make_run("pretraining")
    out = tmp_path / "new" / "r.html"
    assert run_report(run, "--out", out) == 0
    before = out.read_text()

    def broken(*arguments):
        yield "half"
        raise RuntimeError("power cut")

    monkeypatch.setattr("fairseq_signals.report.page", broken)
    with pytest.raises(RuntimeError):
        run_report(run, "--out", out)
    assert out.read_text() == before
    assert list(out.parent.iterdir()) == [out]


def test_a_pretraining_says_what_it_cannot_have(make_run, manifests, records, capsys):
    run = make_run("pretraining")
    assert run_report(run, "--manifest", manifests / "dx", "--record", records / "one") == 0
    page = Elements((run / "report.html").read_text())
    printed = capsys.readouterr().out
    for sentence in ("A pre-training has no classes", "Saliency is of one class, and a pretraining model"):
        assert sentence in page.text
        assert sentence in printed
    assert [image["alt"].split(" ")[0] for image in page.found["img"]] == ["Training", "Recording"]


def test_an_identification_is_drawn_from_saved_results(make_run, manifests, tmp_path, capsys):
    run = make_run("identification")
    results = tmp_path / "id.npz"
    call = ["evaluate", run / "checkpoint_best.pt", "--manifest", manifests / "id", "--leads=12,1"]
    assert cli.main([*map(str, call), "--save", str(results)]) == 0
    printed = capsys.readouterr().out
    assert run_report(run, "--results", results, "--leads=1") == 0
    page = Elements((run / "report.html").read_text())
    assert "Identification: rank-k" in page.found["img"][1]["alt"]
    assert "lead set 1" in page.found["img"][1]["alt"]
    accuracies = [line.split()[1] for line in printed.splitlines() if line.startswith(("12 ", "1 ", "mean "))]
    assert len(accuracies) == 3
    assert all(accuracy in page.text for accuracy in accuracies)
    assert "gallery records of 3 patients" in page.text
    assert run_report(make_run("classification"), "--results", results) == 1
    assert "is of identification, but" in capsys.readouterr().err


def test_results_without_metrics_are_said(make_run, tmp_path):
    labels = np.array([[True, False], [True, False]])
    arrays = {"probabilities": np.full((1, 2, 2), 0.5, np.float32), "labels": labels,
              "record_ids": np.array(["a", "b"]), "patient_ids": np.array(["a", "b"]),
              "names": np.array(["A", "B"]), "threshold": 0.4}  # fmt: skip
    outcome = Evaluation("classification", 2, "records", {"12": {}}, lambda: iter(()), [], arrays)
    write_evaluation(tmp_path / "dx.npz", outcome, "old")
    assert read_evaluation(tmp_path / "dx.npz").values == {}
    run = make_run("classification", log=False)
    assert run_report(run, "--results", tmp_path / "dx.npz") == 0
    page = Elements((run / "report.html").read_text())
    assert "has no table of metrics" in page.text
    assert "no class has records with and without it" in page.text
    assert "no losses are in it" in page.text
    assert "--log FILE" in page.text


def test_a_training_without_a_checkpoint_is_shown(make_run, records, tmp_path, capsys):
    run = make_run("pretraining")
    (run / "checkpoint_best.pt").unlink()
    assert run_report(run, "--record", records / "one") == 0
    page = Elements((run / "report.html").read_text())
    assert "There is no checkpoint in the folder yet" in page.text
    assert len(page.found["img"]) == 2
    assert run_report(run, "--manifest", tmp_path) == 1
    assert "there is no checkpoint to test on" in capsys.readouterr().err


def test_without_matplotlib_the_numbers_remain(make_run, manifests, records, monkeypatch):
    run = make_run("classification")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run_report(run, "--manifest", manifests / "dx", "--leads=12", "--record", records / "one") == 0
    page = Elements((run / "report.html").read_text())
    assert "img" not in page.found
    assert page.text.count('pip install "fairseq-signals[plot]"') == 4
    assert "macro AUROC" in page.text
    assert "most probable" in page.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent"], "absent: there is no such folder"),
        (["empty"], "empty: neither a checkpoint (checkpoint_best.pt or checkpoint_last.pt) nor the log"),
        (["several"], "holds several trainings (a, b); name the folder of one"),
        (["RUN", "--log=empty"], "empty (of 0 .log files in it): no losses are in it"),
        (["RUN", "--record=absent.hea"], "absent"),
        (["RUN", "--manifest=empty"], "there is no such manifest"),
        (["RUN", "--results=absent.npz"], "absent.npz: there is no such file"),
        (["RUN", "--leads=7"], "there is no lead set 7"),
        (["RUN", "--out=empty"], "--out empty: is a folder"),
        (["RUN", "--device=nowhere"], "--device nowhere"),
    ],
)
def test_what_cannot_be_used_is_named(arguments, message, make_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name in ("a", "b"):
        (tmp_path / "several" / name).mkdir(parents=True)
        (tmp_path / "several" / name / "checkpoint_last.pt").touch()
    run = make_run("classification", log=False)
    assert run_report(*[run if argument == "RUN" else argument for argument in arguments]) == 1
    assert message in capsys.readouterr().err
    assert not (run / "report.html").exists()


def test_a_record_without_the_leads_is_named(make_run, write_wfdb, ecg_adu, tmp_path, capsys):
    record = write_wfdb(tmp_path, "v5", ecg_adu(1, 5000), leads=("V5",))
    assert run_report(make_run("classification"), "--record", record, "--leads=2") == 1
    assert "record v5 has none of the leads I, II" in capsys.readouterr().err


def test_what_looks_wrong_in_a_recording_is_said(make_run, write_wfdb, ecg_adu, tmp_path):
    record = write_wfdb(tmp_path, "loud", ecg_adu(12, 5000), gain=1)
    run = make_run("classification")
    assert run_report(run, "--record", record) == 0
    assert "Warning: record loud" in Elements((run / "report.html").read_text()).text


def test_checkpoints_and_log_may_lie_in_different_folders(make_run, tmp_path):
    run = make_run("pretraining")
    (run / "checkpoints").mkdir()
    (run / "checkpoint_best.pt").rename(run / "checkpoints" / "checkpoint_3_100.pt")
    assert run_report(run / "checkpoints", "--log", run, "--out", tmp_path / "r.html") == 0
    assert "checkpoint_3_100.pt: pretraining model" in Elements((tmp_path / "r.html").read_text()).text
    (run / "checkpoints" / "checkpoint_3_100.pt").rename(run / "checkpoints" / "checkpoint_last.pt")
    assert run_report(run) == 0
    assert "checkpoint_last.pt: pretraining model" in Elements((run / "report.html").read_text()).text


def test_a_drawing_that_is_large_as_svg_becomes_png(monkeypatch):
    from matplotlib.figure import Figure

    figure = Figure((1, 1))
    assert report_page.data_uri(figure).startswith("data:image/svg+xml;base64,")
    monkeypatch.setattr(report_page, "LARGEST_SVG", 10)
    assert report_page.data_uri(figure).startswith("data:image/png;base64,iVBOR")


# What follows asks a browser.

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--remote-debugging-pipe")  # fmt: skip
#: A page is tried on a desktop and on a phone, in light and dark: width, height, scale, mode.
SCREENS = {"desktop": (1280, 900, 1, "light"), "phone": (390, 844, 2, "dark")}
WAIT_S = 60.0
#: Left, top, right and bottom of each picture on the page.
BOXES = """[...document.images].map(i => i.getBoundingClientRect()).map(
    b => [b.left + scrollX, b.top + scrollY, b.right + scrollX, b.bottom + scrollY])"""


class Browser:
    """Headless Chromium with one page, spoken to by its DevTools protocol: JSON between zero bytes."""

    def __init__(self, binary: str, profile: Path) -> None:
        (theirs_in, self.out), (self.into, theirs_out) = os.pipe(), os.pipe()
        script = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        with (profile / "stderr").open("wb") as messages:
            self.process = subprocess.Popen(
                ["bash", "-c", script, binary, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
                pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=messages,
            )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self.last, self.rest, self.session, self.events = 0, b"", None, []
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(target["targetId"] for target in targets if target["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(WAIT_S)
        os.close(self.out)
        os.close(self.into)

    def call(self, method: str, **params):
        """What the browser answers."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        message.update({"sessionId": self.session} if self.session else {})
        os.write(self.out, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda message: message.get("id") == self.last)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def open(self, path: Path) -> None:
        """Show a file, and wait until it is loaded."""
        self.events = []
        self.call("Page.navigate", url=path.as_uri())
        if not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._until(lambda message: message.get("method") == "Page.loadEventFired")

    def ask(self, expression: str):
        """The value of an expression in the page; a promise's, when it is there."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def resize(self, width: int, height: int, scale: int, mode: str) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
                  mobile=scale > 1)  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": mode}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def screenshot(self) -> bytes:
        """The whole page as PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(found["data"])

    def _until(self, wanted):
        end = time.monotonic() + WAIT_S
        while True:
            while b"\0" in self.rest:
                message, _, self.rest = self.rest.partition(b"\0")
                message = json.loads(message)
                if "method" in message:
                    self.events.append(message)
                if wanted(message):
                    return message
            ready, _, _ = select.select([self.into], [], [], max(end - time.monotonic(), 0))
            assert ready, "the browser does not answer"
            piece = os.read(self.into, 1 << 20)
            assert piece, "the browser has ended"
            self.rest += piece


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser, if there is one."""
    named = os.environ.get("FAIRSEQ_SIGNALS_CHROMIUM")
    binary = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    if binary is None:
        pytest.skip(f"no {', '.join(BROWSERS)} on the path; FAIRSEQ_SIGNALS_CHROMIUM can name one")
    opened = Browser(binary, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.mark.parametrize("screen", SCREENS)
def test_a_browser_shows_all_of_it(browser, full, screen, tmp_path):
    browser.resize(*SCREENS[screen])
    browser.open(full)
    assert browser.ask("[...document.querySelectorAll('h2')].map(h => h.innerText)") == SECTIONS
    assert browser.ask("document.title") == NAME
    decoded = "Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth)))"
    assert len(browser.ask(decoded)) == 6
    assert all(width > 200 for width in browser.ask(decoded))
    width = browser.ask("document.documentElement.clientWidth")
    assert browser.ask("document.documentElement.scrollWidth") <= width, "the page is wider than the screen"
    complaints = [event for event in browser.events if event["method"] in
                  ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")]  # fmt: skip
    assert not complaints
    requests = [event["params"]["request"]["url"] for event in browser.events
                if event["method"] == "Network.requestWillBeSent"]  # fmt: skip
    assert [url for url in requests if not url.startswith("data:image/")] == [full.as_uri()]

    boxes = browser.ask(BOXES)
    (tmp_path / "page.png").write_bytes(browser.screenshot())
    pixels = matplotlib.image.imread(tmp_path / "page.png")[..., :3]
    scale = pixels.shape[1] / width
    light = SCREENS[screen][3] == "light"
    assert (pixels[2, 2].mean() > 0.9) == light
    for left, top, right, bottom in boxes:
        shown = pixels[round(top * scale) : round(bottom * scale), round(left * scale) : round(right * scale)]
        assert shown.size
        assert np.median(shown) > 0.8, "pictures keep their white ground"
        assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 20
