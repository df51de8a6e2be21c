"""The arguments of `fairseq-signals plot`."""

from __future__ import annotations

import argparse

from fairseq_signals.checkpoints.input_format import SEGMENT_S
from fairseq_signals.commands.arguments import (
    add_device,
    add_labels,
    add_out,
    add_read_options,
    integer_from,
    number,
    some_path,
)
from fairseq_signals.commands.model_arguments import add_input_options

MAX_SECONDS = 30.0


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Draw recordings, what models make of them, results and trainings."
    )
    pictures = parser.add_subparsers(dest="picture", required=True, metavar="PICTURE")
    _add_record(pictures)
    _add_transforms(pictures)
    _add_saliency(pictures)
    _add_classification(pictures)
    _add_identification(pictures)
    _add_robustness(pictures)
    _add_training(pictures)
    return parser


def _add_record(pictures: argparse._SubParsersAction) -> None:
    parser = pictures.add_parser(
        "record",
        help="a recording on standard ECG paper: 3 x 4 leads and a rhythm strip",
        description="Draw 10 s of a recording on standard ECG paper, 25 mm/s and 10 mm/mV: three rows of "
        "four leads, 2.5 s each, and a rhythm strip. Leads that are not recorded are an empty line; with "
        "--leads, those that a model is not given are grey.",
    )
    parser.add_argument("record", type=some_path, metavar="RECORD", help="a recording; resampled to 500 Hz")
    add_out(parser, "RECORD's name with _record.png")
    add_read_options(parser)
    parser.add_argument(
        "--leads",
        metavar="LEADS",
        help="the leads that a model is given, such as I,II,V2, or a lead set, such as 3",
    )
    _add_start(parser)


def _add_start(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--start", type=number(0, 1e6), default=0.0, metavar="S", help="second to begin with (default: 0)"
    )


def _add_transforms(pictures: argparse._SubParsersAction) -> None:
    parser = pictures.add_parser(
        "transforms",
        help="what each signal transform does to a record, on standard ECG paper",
        description="Draw each signal transform with its default parameters on the beginning of a record, "
        "the original in grey behind it, on standard ECG paper: 25 mm/s, 10 mm/mV.",
    )
    parser.add_argument("record", type=some_path, metavar="RECORD", help="a recording; resampled to 500 Hz")
    add_out(parser, "RECORD's name with _transforms.png")
    add_read_options(parser)
    parser.add_argument(
        "--seed",
        type=integer_from(0),
        default=1,
        metavar="N",
        help="of the transforms (default: %(default)s)",
    )
    parser.add_argument(
        "--leads",
        metavar="LEADS",
        help="leads to draw, such as I,II,V2, or a lead set, such as 12 (default: I,II,V2)",
    )
    parser.add_argument(
        "--seconds",
        type=number(0, MAX_SECONDS, low_included=False),
        default=SEGMENT_S,
        metavar="S",
        help="how much of the record (default: %(default)s, a segment of pre-training)",
    )


def _add_saliency(pictures: argparse._SubParsersAction) -> None:
    parser = pictures.add_parser(
        "saliency",
        help="where a classifier looked for one label: input gradient and attention over the trace",
        description="Draw a recording with what a classifier's output for one label depends on. Orange "
        "behind a lead: the absolute gradient of the logit with respect to each sample, averaged over 50 ms. "
        "Blue below: attention rollout (Abnar and Zuidema, 2020), how much of each moment reaches the output "
        "through all layers, or with --attention last the weights of the last layer, mean over heads and "
        "frames. Neither is a diagnosis, nor proof of what the model uses.",
    )
    parser.add_argument("checkpoint", type=some_path, metavar="CHECKPOINT", help="fine-tuned classifier")
    parser.add_argument("record", type=some_path, metavar="RECORD", help="a recording")
    parser.add_argument(
        "--label", required=True, metavar="NAME", help="the class, as `info CHECKPOINT` lists it"
    )
    add_out(parser, "RECORD's name with _saliency.png")
    add_read_options(parser)
    parser.add_argument("--leads", metavar="LEADS", help="leads to give to the model (default: all)")
    add_labels(parser)
    add_input_options(parser)
    _add_start(parser)
    parser.add_argument(
        "--seconds",
        type=number(0, low_included=False),
        default=60.0,
        metavar="S",
        help="how much the classifier is given, in whole segments; 10 s of it are drawn (default: 60)",
    )
    parser.add_argument(
        "--attention",
        choices=("rollout", "last"),
        default="rollout",
        help="attention through all layers, or of the last one (default: %(default)s)",
    )
    add_device(parser)


def _add_classification(pictures: argparse._SubParsersAction) -> None:
    parser = pictures.add_parser(
        "classification",
        help="results of a classifier: ROC and PR per class, calibration, CinC confusion matrix",
        description="Draw what `fairseq-signals evaluate ... --save EVALUATION` wrote of a classifier, as "
        "three pictures: FILE_curves (ROC and precision-recall curve of each class), FILE_calibration, and "
        "FILE_confusion (the confusion matrix of the CinC 2021 score, and the reward that it earns).",
    )
    parser.add_argument("evaluation", type=some_path, metavar="EVALUATION", help="file of `evaluate --save`")
    add_out(parser, "EVALUATION's name with .png")
    parser.add_argument(
        "--leads", metavar="SET", help="lead set to draw (default: the first that was evaluated)"
    )
    parser.add_argument(
        "--threshold",
        type=number(0, 1),
        metavar="P",
        help="probability above which a class is predicted, in the confusion matrix (default: as evaluated)",
    )


def _add_identification(pictures: argparse._SubParsersAction) -> None:
    parser = pictures.add_parser(
        "identification",
        help="results of identification: similarity matrix, ROC with equal error rate, rank-k curve",
        description="Draw what `fairseq-signals evaluate ... --save EVALUATION` wrote of an identification "
        "model: rank-k curve and ROC of every lead set, similarity matrix and histogram of similarities of "
        "one.",
    )
    parser.add_argument("evaluation", type=some_path, metavar="EVALUATION", help="file of `evaluate --save`")
    add_out(parser, "EVALUATION's name with _identification.png")
    parser.add_argument(
        "--leads",
        metavar="SET",
        help="lead set of the matrix and histogram (default: the first that was evaluated)",
    )


def _add_robustness(pictures: argparse._SubParsersAction) -> None:
    parser = pictures.add_parser(
        "robustness",
        help="a metric over the number of leads, the sampling rate and the amount of noise",
        description="Draw what `fairseq-signals evaluate ... --robustness leads,rate,noise --json RESULTS` "
        "wrote, with 95 %% intervals as bands; several methods in one picture, from one file (--append) or "
        "several.",
    )
    parser.add_argument(
        "results", type=some_path, nargs="+", metavar="RESULTS", help="file of `evaluate --json`"
    )
    add_out(parser, "the name of the first of RESULTS with _robustness.png")
    parser.add_argument(
        "--metric",
        metavar="NAME",
        help="as the files have it (default: macro_auroc, accuracy, or the first metric)",
    )


def _add_training(pictures: argparse._SubParsersAction) -> None:
    parser = pictures.add_parser(
        "training",
        help="a training: loss terms, perplexities, accuracies, scores, from fairseq's log",
        description="Draw a training from fairseq's own log (common.log_format json or simple). In a folder, "
        "all hydra_train.log files in it are read, else all .log files; where a run was resumed, the later "
        "log counts.",
    )
    parser.add_argument(
        "run", type=some_path, metavar="RUN_DIR|LOG", help="log file, or a folder that has one"
    )
    add_out(parser, "the name of RUN_DIR or LOG with _training.png")
