# SPDX-License-Identifier: GPL-2.0-or-later
"""The patches of a Debian source: which of them make up one fix, and which others it needs.

A fix is all patches that name the same CVEs: in their file names, else in their headers. It is tried
alone; where it does not fit alone, the smallest set of earlier patches of the list is looked for
that makes it fit, among those that touch the same files. That is tried with copies of these files only.
"""
import dataclasses
import pathlib
import re
import shutil
import subprocess
import tempfile

from rows import ID

C_SUFFIXES = {'.c', '.h', '.cc', '.cpp', '.cxx', '.hh', '.hpp', '.hin', '.s', '.inc', '.y', '.l',
              '.def', '.in'}
# What dpkg-source itself uses: no fuzz, nothing turned round.
PATCH = ('patch', '-t', '-F', '0', '-N', '-p1', '-u', '-V', 'never', '-E', '-s', '-r', '-')


class Patch:
    def __init__(self, path, name, position, remark=None):
        self.path = path
        self.name = name
        self.position = position
        text = path.read_text(errors='replace')
        start = re.search(r'^(?:--- |diff |Index: )', text, re.MULTILINE)
        self.header = text[:start.start()] if start else ''
        self.text = text
        self.files = touched_files(text)
        self.set_aside = remark[1] if remark and not remark[0] else ''
        found = remark[0] if remark else find_ids(name) or find_ids(self.header)
        self.ids = tuple(sorted(set(found)))

    @property
    def touches_c(self):
        return any(pathlib.PurePath(file).suffix.lower() in C_SUFFIXES - {'.in'}
                   for file in self.files)


@dataclasses.dataclass
class Fix:
    ids: tuple
    patches: list
    needs: list = dataclasses.field(default_factory=list)

    @property
    def label(self):
        return ' '.join(self.ids) if self.ids else self.patches[0].name

    @property
    def sequence(self):
        return sorted(self.patches + self.needs, key=lambda patch: patch.position)

    @property
    def touches_c(self):
        return any(patch.touches_c for patch in self.patches)


def find_ids(text):
    return [found.upper() if found[0] in 'Cc' else found for found in ID.findall(text)]


def touched_files(text):
    files = set()
    for line in re.findall(r'^(?:---|\+\+\+) ([^\t\n]+)', text, re.MULTILINE):
        line = line.strip()
        if line != '/dev/null' and '/' in line:
            files.add(line.split('/', 1)[1])
    return files


def read_series(debian, source, remarks):
    folder = debian / 'patches'
    series = folder / 'series'
    names = []
    if series.is_file():
        names = [line.split('#')[0].split()[0] for line in series.read_text().splitlines()
                 if line.split('#')[0].strip()]
    return [Patch(folder / name, name, position, remarks.get((source, name)))
            for position, name in enumerate(names)]


def group_fixes(patches):
    """One fix for each set of CVEs, in the order of the list; patches that name none stand alone."""
    fixes = {}
    for patch in patches:
        fixes.setdefault(patch.ids or patch.name, Fix(patch.ids, [])).patches.append(patch)
    return list(fixes.values())


def fits(tree, patches):
    """Do these apply, one after the other, to the tree? The tree is not changed."""
    with tempfile.TemporaryDirectory(prefix='fits-') as scratch:
        for patch in patches:
            for file in patch.files:
                copy = pathlib.Path(scratch, file)
                if (tree / file).is_file() and not copy.exists():
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(tree / file, copy)
        return all(apply_patch(pathlib.Path(scratch), patch) for patch in patches)


def apply_patch(folder, patch):
    with open(patch.path, 'rb') as text:
        return subprocess.run(PATCH, cwd=folder, stdin=text, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False).returncode == 0


def ordered(patches):
    return sorted(patches, key=lambda patch: patch.position)


def find_needs(tree, fix, candidates):
    """The earlier patches that the fix needs to apply; None if no set of them makes it fit."""
    last = fix.patches[-1].position
    files = set().union(*(patch.files for patch in fix.patches))
    near = [patch for patch in reversed(ordered(candidates))
            if patch.position < last and patch not in fix.patches and patch.files & files]
    if fits(tree, fix.patches):
        return []
    for patch in near:
        if fits(tree, ordered(fix.patches + [patch])):
            return [patch]
    return grow_needs(tree, fix, near)


def grow_needs(tree, fix, near):
    """Takes more and more of them, the nearest first, then drops those that are not needed."""
    for size in range(2, len(near) + 1):
        taken = near[:size]
        if not fits(tree, ordered(fix.patches + taken)):
            continue
        for patch in list(taken):
            fewer = [other for other in taken if other is not patch]
            if fits(tree, ordered(fix.patches + fewer)):
                taken = fewer
        return ordered(taken)
    return None
