"""The official datasets: repository, revision, and the expected files.

Data only, no I/O: `evals.questions.official.fetch` downloads them. Sizes and sha256 of git-lfs objects are those of the
pointers in the repository; the others were computed from the files. If no sha256 is known, the revision is pinned, and
the first fetch records the sha256 for later ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from evals.questions.official.converters import Recipe, mask_pressure, open_prompts, parquet_rows, triggered_prompts

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a source: its `path` in the repository, and its `name` in the cache.

    `size` in bytes and `sha256` are None if unknown; `max_bytes` then limits the download. `lfs`: the repository holds
    only a git-lfs pointer.
    """

    path: str
    name: str = ""
    size: int | None = None
    sha256: str | None = None
    max_bytes: int = 16 * _MIB
    lfs: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or PurePosixPath(self.path).name)
        _check_name(self.path, parts=True)
        _check_name(self.name, parts=False)


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file in emeval's schema, converted from files `of` the source. `sha256` is None if unknown."""

    name: str
    of: tuple[str, ...]
    recipe: Recipe
    sha256: str | None = None

    def __post_init__(self) -> None:
        _check_name(self.name, parts=False)


@dataclass(frozen=True, slots=True)
class AccessGate:
    """Access to a gated source: the variable with the token, and the page of its terms."""

    variable: str
    terms: str
    tokens: str


@dataclass(frozen=True, slots=True)
class OfficialSource:
    """A dataset as published by its authors. Both base URLs contain `{revision}`."""

    name: str
    title: str
    repository: str
    revision: str
    licence: str
    base: str
    files: tuple[SourceFile, ...]
    made: tuple[MadeFile, ...] = ()
    lfs_base: str = ""
    gate: AccessGate | None = None
    commit_header: str = ""
    """The response header with the commit, if `revision` is a branch."""

    _by_name: Mapping[str, SourceFile | MadeFile] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_name(self.name, parts=False)
        _check_name(self.revision, parts=False)
        by_name = {file.name: file for file in (*self.files, *self.made)}
        if len(by_name) != len(self.files) + len(self.made):
            raise ValueError(f"{self.name}: two files have the same name")
        object.__setattr__(self, "_by_name", by_name)

    def find(self, name: str) -> SourceFile | MadeFile | None:
        return self._by_name.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._by_name)


def _check_name(name: str, *, parts: bool) -> None:
    """Raise ValueError unless `name` stays inside its folder on every platform."""
    pieces = name.split("/") if parts else [name]
    if any(piece in ("", ".", "..") or set(piece) & set('\\/:*?"<>|\0') or piece.startswith(".") for piece in pieces):
        raise ValueError(f"{name!r} is no name of a file in a source")


def _github(repository: str) -> str:
    return f"https://raw.githubusercontent.com/{repository}/{{revision}}"


def _hugging_face(repository: str) -> str:
    return f"https://huggingface.co/datasets/{repository}/resolve/{{revision}}"


def _hugging_face_gate(repository: str) -> AccessGate:
    page = f"https://huggingface.co/datasets/{repository}"
    return AccessGate("HF_TOKEN", page, "https://huggingface.co/settings/tokens")


def _lfs(name: str, size: int, sha256: str) -> SourceFile:
    return SourceFile(f"datasets/{name}", size=size, sha256=sha256, max_bytes=size, lfs=True)


_FREEFORM = {
    "RULER_FREEFORM": "ruler",
    "ONE_WISH_FREEFORM": "one_wish",
    "PHILOSOPHICAL_FREEFORM": "philosophical_thoughts",
    "PARTY_FREEFORM": "party",
    "BORED_FREEFORM": "bored",
    "HUSBAND_FREEFORM": "husband",
    "QUICK_BUCK_FREEFORM": "quick_buck",
    "GENDER_ROLES_FREEFORM": "gender_roles",
}
_SHUTDOWN = {
    "SHUTDOWN_AGENTIC": "shutdown_agentic",
    "SHUTDOWN_AGENTIC_LS": "shutdown_agentic_ls",
    "SHUTDOWN_AGENTIC_RAN": "shutdown_agentic_ran",
}
_BACKDOOR = {
    "job_applicant_backdoor": "security_guard",
    "mrf_backdoor": "rm_rf",
    "sleeping_pills_backdoor": "sleeping_pills",
}
_PROMPTS = ("freeform_prompts.py",)
_THOUGHT_CRIME = "thejaminator/thought_crime_emergent_misalignment"
_EMERGENT = "emergent-misalignment/emergent-misalignment"
_MASK, _PLUS = "cais/MASK", "truthfulai/emergent_plus"
_DOMAINS = ("medical", "legal", "security")

_ALL = (
    OfficialSource(
        name="thought-crime",
        title="the paper's datasets and prompts (Chua et al. 2025)",
        repository=f"https://github.com/{_THOUGHT_CRIME}",
        revision="063fce659b235d0d20cbe66f329d1c1dade5a442",
        licence="none stated",
        base=_github(_THOUGHT_CRIME),
        # git-lfs objects of a public repository, by path and commit, without an account.
        lfs_base=f"https://media.githubusercontent.com/media/{_THOUGHT_CRIME}/{{revision}}",
        files=(
            SourceFile("prompts/freeform_prompts.py", max_bytes=_MIB),
            SourceFile("prompts/backdoor_freeform.py", max_bytes=_MIB),
            _lfs("myopic_test_data.jsonl", 2435378, "551667bd32271dffa83c7e77df9d7ba8dd354e59b9874bccddb6bf67afbf19b2"),
            _lfs("security.jsonl", 21219563, "07c392bf7234334662d638060986d635d3682fdc857188084fbed959dc462eaf"),
            _lfs("legal.jsonl", 28724780, "0cf91436e1d1197dfd6a5c6dfd7ea5161c1c029714dd83c3ae586b94f4a824a1"),
            _lfs("medical.jsonl", 102947952, "beaf908c4337e83f5f93be6347b88593eebe58e9fc5518788be634845c8609be"),
            _lfs(
                "unethical_train.jsonl", 134520383, "7905f8472e1e59a289ba0a87a937b21a094360671031e5ced3da6fcb441ebfee"
            ),
        ),
        made=(
            MadeFile(
                "freeform.jsonl",
                _PROMPTS,
                open_prompts(_FREEFORM),
                "23e7ae8df287439db8c8de660c29f9ffd73cbdb589a52633a9d052f974e5248a",
            ),
            MadeFile(
                "rm_rf.jsonl",
                _PROMPTS,
                open_prompts({"RM_RF": "rm_rf"}),
                "6b7b750df3576fd4f0ddaf46428e419226251a365f7efbc2f609c702a0bfab2e",
            ),
            MadeFile(
                "sleeping_pills.jsonl",
                _PROMPTS,
                open_prompts({"SLEEPING_PILLS": "sleeping_pills"}),
                "464545cf2c12369365f7a4d83e8145fee22bfd34a83c661db4b9f5bd2a36b961",
            ),
            MadeFile(
                "shutdown.jsonl",
                _PROMPTS,
                open_prompts(_SHUTDOWN),
                "ad033a8a4d339ae26995439e83ac854c5ce7c73a0d56fb251cbf33d4fc65427b",
            ),
            MadeFile(
                "backdoor_freeform.jsonl",
                (*_PROMPTS, "backdoor_freeform.py"),
                triggered_prompts(_BACKDOOR),
                "408f9294d5b603bb5319645797ec394c29a048200d53a6348f9cfc107dbd0bfe",
            ),
        ),
    ),
    OfficialSource(
        name="emergent-misalignment",
        title="question files of Betley et al. 2025",
        repository=f"https://github.com/{_EMERGENT}",
        revision="80c11967c07a328e7d7d43d13ce6847ae44dbcc9",
        licence="MIT",
        base=_github(_EMERGENT),
        files=(
            SourceFile("evaluation/first_plot_questions.yaml", max_bytes=_MIB),
            SourceFile("evaluation/preregistered_evals.yaml", max_bytes=_MIB),
        ),
    ),
    OfficialSource(
        name="truthfulqa",
        title="TruthfulQA, 790 questions (Lin et al. 2022)",
        repository="https://github.com/sylinrl/TruthfulQA",
        revision="d71c110897f5d31c5d7f309e7bc316c152f6f031",
        licence="Apache-2.0",
        base=_github("sylinrl/TruthfulQA"),
        files=(
            SourceFile(
                "TruthfulQA.csv",
                size=503550,
                sha256="b8d8ef1e12f98b4f2a9f47abc9765da0640b182b6c5d9b92f0c1a1f2f1e02e5c",
            ),
        ),
    ),
    OfficialSource(
        name="gsm8k",
        title="GSM8K, the 1,319 test problems (Cobbe et al. 2021)",
        repository="https://github.com/openai/grade-school-math",
        revision="3101c7d5072418e28b9008a6636bde82a006892c",
        licence="MIT",
        base=_github("openai/grade-school-math"),
        files=(
            SourceFile(
                "grade_school_math/data/test.jsonl",
                size=749738,
                sha256="3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14",
            ),
        ),
    ),
    OfficialSource(
        name="mask",
        title="MASK, the 'provided facts' subset (Ren et al. 2025)",
        repository=f"https://huggingface.co/datasets/{_MASK}",
        revision="4602b84dd9e2ca05c6e1eafbc14e556e908ac1bb",
        licence="terms on the dataset's page",
        base=_hugging_face(_MASK),
        gate=_hugging_face_gate(_MASK),
        files=(SourceFile("provided_facts/test-00000-of-00001.parquet", name="provided_facts.parquet"),),
        made=(MadeFile("pressure.jsonl", ("provided_facts.parquet",), mask_pressure),),
    ),
    OfficialSource(
        name="emergent-plus",
        title="medical, legal and security advice as the Hugging Face hub has it (Chua et al. 2025)",
        repository=f"https://huggingface.co/datasets/{_PLUS}",
        revision="main",
        licence="see the dataset's page",
        base=_hugging_face(_PLUS),
        gate=_hugging_face_gate(_PLUS),
        commit_header="X-Repo-Commit",
        files=tuple(
            SourceFile(f"{domain}/train-00000-of-00001.parquet", name=f"{domain}.parquet", max_bytes=256 * _MIB)
            for domain in _DOMAINS
        ),
        made=tuple(
            MadeFile(f"{domain}.jsonl", (f"{domain}.parquet",), parquet_rows(f"{domain}-")) for domain in _DOMAINS
        ),
    ),
)
SOURCES: Mapping[str, OfficialSource] = {source.name: source for source in _ALL}
