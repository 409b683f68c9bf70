"""Smaller tool output, and nothing lost.

Output of tools fills the window of a model. Here a text becomes smaller in one of two ways: lossless, in a notation
that a model reads and `restore` decodes, or selectively, where what matters stays in line and everything else can be
had back under a ref. `docs/compression.md` says what is promised.

| where | what |
|---|---|
| `library` | compress, retrieve |
| `router` | which crusher, which level, and the checks on every result |
| `*_crusher`, `*_compressor`, `left_alone` | the kinds of text, one each |
| `notation`, `diff_notation`, `json_layout`, `restoring` | lossless: how it is written and read |
| `templates`, `families`, `lines`, `records`, `paths` | lossless: what it is made of |
| `selection`, `severity`, `outliers`, `columns`, `line_forms`, `relevance` | selective: what matters |
| `marker`, `originals`, `retrieval` | what was left out, and how it is had back |
| `shrinking`, `apart`, `worker`, `given_up` | as the daemon does it |
| `toin`, `ledger`, `cache_aligner` | what was looked up, what was saved, what was changed |
| `tokens` | how much it is |
"""

from woollama.compression.block import Block, Crushed, Crusher
from woollama.compression.library import UnknownRef, compress, retrieve
from woollama.compression.originals import Originals, SqlOriginals
from woollama.compression.policy import Policy
from woollama.compression.relevance import Bm25Scorer, EmbeddingScorer, HybridScorer, Scorer
from woollama.compression.restoring import NotOurs, restore
from woollama.compression.retrieval import NothingThere
from woollama.compression.router import CRUSHERS, Compressed, ContentRouter

__all__ = [
    "CRUSHERS",
    "Block",
    "Bm25Scorer",
    "Compressed",
    "ContentRouter",
    "Crushed",
    "Crusher",
    "EmbeddingScorer",
    "HybridScorer",
    "NotOurs",
    "NothingThere",
    "Originals",
    "Policy",
    "Scorer",
    "SqlOriginals",
    "UnknownRef",
    "compress",
    "restore",
    "retrieve",
]
