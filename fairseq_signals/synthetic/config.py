"""What a synthetic corpus is made of: its classes, its subsets and its sizes."""

from __future__ import annotations

from dataclasses import dataclass, field

from fairseq_signals.errors import ConfigError

# The SNOMED CT codes of the PhysioNet/CinC 2021 label table.
SNOMED_CODES = {
    "NSR": "426783006",
    "SB": "426177001",
    "STach": "427084000",
    "SA": "427393009",
    "AF": "164889003",
    "AFL": "164890007",
    "IAVB": "270492004",
    "RBBB": "59118001",
    "LBBB": "164909002",
    "LAD": "39732003",
    "RAD": "47665007",
    "PVC": "427172004",
    "PAC": "284470004",
    "TInv": "59931005",
    "LQRSV": "251146004",
}


@dataclass(frozen=True)
class Subset:
    """One source of the corpus: folder, numbering of its records, mains frequency, share of the patients."""

    folder: str
    prefix: str
    digits: int
    mains_hz: float
    share: float
    first: int = 1


SUBSETS = (
    Subset("WFDB_CPSC2018", "A", 4, 50.0, 0.15),
    Subset("WFDB_CPSC2018_2", "Q", 4, 50.0, 0.10),
    Subset("WFDB_PTBXL", "HR", 5, 50.0, 0.25),
    Subset("WFDB_Ga", "E", 5, 60.0, 0.20),
    Subset("WFDB_ChapmanShaoxing", "JS", 5, 50.0, 0.12),
    Subset("WFDB_Ningbo", "JS", 5, 50.0, 0.18, first=10647),
)


@dataclass(frozen=True)
class CorpusConfig:
    """What corpus to make.

    Attributes:
        patients: number of patients.
        sessions: fewest and most recordings of a patient; the number is uniform in between.
        seed: another seed gives other patients.
        fs: sampling rate, Hz.
        duration_s: length of a record.
        spread: how much patients differ; 1 as in adults, 0 makes all hearts alike but for their disorders.
        noise: factor of all noise; 0 gives clean signals.
        rhythms: probability of each rhythm in a session; sums to 1.
        disorders: probability that a patient who can have it does.
        usual_rhythm: probability that a session has the patient's usual rhythm; else it is drawn anew.
        disorder_shows: probability that a disorder of the patient shows in a session.
        subsets: the folders to spread patients over.
    """

    patients: int = 500
    sessions: tuple[int, int] = (1, 4)
    seed: int = 1
    fs: int = 500
    duration_s: float = 10.0
    spread: float = 1.0
    noise: float = 1.0
    rhythms: dict[str, float] = field(
        default_factory=lambda: {"NSR": 0.31, "SB": 0.14, "STach": 0.14, "SA": 0.12, "AF": 0.16, "AFL": 0.13}
    )
    disorders: dict[str, float] = field(
        default_factory=lambda: {
            "IAVB": 0.22,
            "RBBB": 0.13,
            "LBBB": 0.11,
            "LAD": 0.14,
            "RAD": 0.12,
            "PVC": 0.15,
            "PAC": 0.17,
            "TInv": 0.18,
            "LQRSV": 0.12,
        }
    )
    usual_rhythm: float = 0.6
    disorder_shows: float = 0.95
    subsets: tuple[Subset, ...] = SUBSETS

    def __post_init__(self) -> None:
        low, high = self.sessions
        if self.patients < 1 or not 1 <= low <= high:
            raise ConfigError(
                f"patients must be >= 1 and sessions low..high with 1 <= low <= high, "
                f"but are {self.patients} and {low}..{high} instead"
            )
        if self.fs < 100 or self.duration_s < 5:
            raise ConfigError(
                f"fs must be >= 100 Hz and duration_s >= 5, but are {self.fs} and {self.duration_s} instead"
            )
        if abs(sum(self.rhythms.values()) - 1) > 1e-6:
            raise ConfigError(f"rhythms must sum to 1, but sum to {sum(self.rhythms.values())} instead")
        unknown = (set(self.rhythms) | set(self.disorders)) - set(SNOMED_CODES)
        if unknown:
            raise ConfigError(f"unknown classes {sorted(unknown)}; known: {', '.join(SNOMED_CODES)}")

    @property
    def n_samples(self) -> int:
        return round(self.fs * self.duration_s)
