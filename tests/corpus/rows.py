# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of the corpus: corpus.tsv, and remarks.tsv for patches whose own words do not do."""
import dataclasses
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
ID = re.compile(r'CVE-\d{4}-\d{4,}|GHSA(?:-[0-9a-z]{4}){3}', re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Row:
    kind: str           # "shipped", or "popped" (see README.md)
    source: str
    vulnerable: str     # source version; "" for popped
    fixed: str          # source version; "" for whatever bookworm has
    ids: tuple          # () for all
    about: str

    @property
    def name(self):
        return f'{self.kind} {self.source}'


def lines(path):
    for line in path.read_text().splitlines():
        if line and not line.startswith('#'):
            yield line.split('\t')


def read_ids(text):
    """ "CVE-2026-63379 63381" names two; a column without any names all."""
    ids = []
    for word in text.split():
        if ID.fullmatch(word):
            ids.append(word)
        elif word.isdigit() and ids:
            ids.append(ids[-1].rsplit('-', 1)[0] + '-' + word)
    return tuple(ids)


def read_rows(path=HERE / 'corpus.tsv'):
    rows = []
    for kind, source, vulnerable, fixed, ids, about in list(lines(path))[1:]:
        rows.append(Row(kind, source, vulnerable.strip('-'), '' if "'" in fixed else fixed,
                        read_ids(ids), about))
    return rows


def read_remarks(path=HERE / 'remarks.tsv'):
    """(source, patch) -> (ids, why)"""
    return {(source, patch): (read_ids(ids), why)
            for source, patch, ids, why in list(lines(path))[1:]}
