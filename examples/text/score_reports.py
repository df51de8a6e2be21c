"""Score the reports that fairseq-generate wrote by their findings, beside controls and a classifier.

Example:
    python examples/text/score_reports.py outputs/generated/generate-test.txt --manifest manifests/tokens

A line for the reports; for the same, each given to another recording; for the commonest report of training,
given to all; for the classes that `fairseq-signals evaluate --save FILE` predicts of the same recordings.
Truth is what the test reports say. BLEU compares words: it is low where test reports use other words than
those of training, and where they do not, the commonest report has much of it.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import numpy as np

from fairseq_signals.commands.manifest_arguments import script_main, script_parser
from fairseq_signals.errors import ManifestError
from fairseq_signals.evaluation.results import format_table, format_value, write_results
from fairseq_signals.evaluation.saved_results import read_evaluation
from fairseq_signals.files import open_text
from fairseq_signals.manifest.folder import ECG_TOKENS, TEXTS_FILE, read_set
from fairseq_signals.manifest.texts import read_texts, text_ids
from fairseq_signals.metrics.text import bleu, findings_metrics
from fairseq_signals.text.findings import PHRASES, Findings, read_findings

METRICS = {"macro_f1": "macro F1", "micro_f1": "micro F1", "exact_match": "all right", "bleu": "BLEU"}
#: With `--post-process sentencepiece`: number of the line, score, report.
_WRITTEN = re.compile(r"H-(\d+)\t[^\t]*\t(.*)")


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "generated",
        type=Path,
        metavar="FILE",
        help="generate-test.txt in the --results-path of fairseq-generate",
    )
    parser.add_argument(
        "--manifest", type=Path, required=True, metavar="DIR", help="what `manifest ecg_tokens` wrote"
    )
    parser.add_argument("--split", default="test", help="of the recordings (default: test)")
    parser.add_argument(
        "--findings",
        type=Path,
        default=PHRASES,
        metavar="CSV",
        help="columns finding, phrases (default: ours)",
    )
    parser.add_argument(
        "--classifier", type=Path, metavar="NPZ", help="what `evaluate --save` wrote, of these recordings"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--append", action="store_true", help="keep what FILE already holds")
    parser.add_argument("--seed", type=int, help="of the training, noted in the figures")
    return parser


def score(args: argparse.Namespace) -> None:
    """Print, and write, the scores."""
    folder = read_set(args.manifest)
    if folder.kind != ECG_TOKENS or args.split not in folder.manifests:
        raise ManifestError(
            f"{args.manifest}: no tokens of {args.split}; make them with `manifest ecg_tokens`"
        )
    table, findings = read_texts(args.manifest / TEXTS_FILE), read_findings(args.findings)
    texts = {name: text_ids(each, len(table), TEXTS_FILE) for name, each in folder.manifests.items()}
    truth = [table.texts[i] for i in texts[args.split]]
    written = read_generated(args.generated, len(truth))
    reports = {
        "written": written,
        "written for others": [*written[len(written) // 2 :], *written[: len(written) // 2]],
        "commonest": [table.texts[int(np.bincount(texts["train"]).argmax())]] * len(truth),
    }
    found = {name: findings.table(each) for name, each in reports.items()}
    counted = np.ones(len(findings.names), dtype=bool)
    if args.classifier:
        records = folder.manifests[args.split].record_ids
        found["classifier"], counted = read_classes(args.classifier, records, findings)
    true = findings.table(truth)
    scores = {name: findings_metrics(true[:, counted], each[:, counted]) for name, each in found.items()}
    for name, each in reports.items():
        scores[name]["bleu"] = bleu(each, truth)
    names = [name for name, some in zip(findings.names, counted & true.any(axis=0)) if some]
    print(f"{len(truth):,} recordings; findings in their reports: {', '.join(names)}")
    print(f"{len(set(written)):,} different reports were written, {len(set(truth)):,} are true")
    lines = [
        [name, *(format_value(each.get(metric, np.nan), 3) for metric in METRICS)]
        for name, each in scores.items()
    ]
    print(format_table(["reports", *METRICS.values()], lines))
    if args.json:
        about = {"task": "reports", "leads": folder.info["arguments"]["leads"], "n": len(truth)}
        about |= {} if args.seed is None else {"seed": args.seed}
        rows = [
            {"method": name, **about, "metric": metric, "value": each[metric]}
            for name, each in scores.items()
            for metric in METRICS
            if metric in each
        ]
        write_results(args.json, rows, args.append)


def read_generated(path: Path, n: int) -> list[str]:
    """The reports in the output of fairseq-generate, in the order of the recordings."""
    with open_text(path) as file:
        found = [match for line in file if (match := _WRITTEN.match(line))]
    reports = {int(match[1]): match[2].strip() for match in reversed(found)}  # of several of one, the best
    if sorted(reports) != list(range(n)):
        raise ManifestError(
            f"{path}: has reports of {len(reports):,} recordings, but there are {n:,}; run fairseq-generate "
            "with --required-batch-size-multiple 1, without which it drops the last ones, and the same split"
        )
    return [reports[i] for i in range(n)]


def read_classes(path: Path, records: list[str], findings: Findings) -> tuple[np.ndarray, np.ndarray]:
    """Which findings a classifier with all leads predicts, (N, C) bool, and which it has as a class, (C,)."""
    saved = read_evaluation(path, "classification")
    of_record = {record: i for i, record in enumerate(saved.arrays["record_ids"].tolist())}
    absent = [record for record in records if record not in of_record]
    if absent:
        raise ManifestError(
            f"{path}: has no result of {len(absent):,} of {len(records):,} records: {absent[0]}"
        )
    predicted = saved.predicted(saved.leads[0], saved.threshold)[[of_record[record] for record in records]]
    found = np.zeros((len(records), len(findings.names)), dtype=bool)
    known = np.zeros(len(findings.names), dtype=bool)
    for column, names in enumerate(saved.arrays["names"].tolist()):
        for name in set(names.split("|")).intersection(findings.names):
            found[:, findings.names.index(name)] |= predicted[:, column]
            known[findings.names.index(name)] = True
    return found, known


main = script_main(build_parser, score)

if __name__ == "__main__":
    sys.exit(main())
