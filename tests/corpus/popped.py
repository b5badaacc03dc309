# SPDX-License-Identifier: GPL-2.0-or-later
"""A source with its fixes left out, so that one vulnerable build serves all of them.

The list debian/patches is applied in order, as dpkg-source would, without the fixes; patches that no
longer apply then (they are later and touch the same code) are left out too, and are told of.
"""
import re
import shutil

import debian
import patches

MARK = '+popped1'


def choose_patches(scratch, series, fixes):
    """Applies what is kept to `scratch`; returns the kept and those that do not fit any more."""
    popped = {patch.name for fix in fixes for patch in fix.patches}
    kept, lost = [], []
    for patch in series:
        if patch.name in popped:
            continue
        if patches.fits(scratch, [patch]):
            patches.apply_patch(scratch, patch)
            kept.append(patch)
        else:
            lost.append(patch)
    return kept, lost


def mark_version(tree, version):
    changelog = tree / 'debian' / 'changelog'
    text = changelog.read_text(errors='surrogateescape')
    marked = re.sub(r'^(\S+) \(([^)]+)\)', rf'\1 ({version}{MARK})', text, count=1)
    changelog.write_text(marked, errors='surrogateescape')


def allow_fewer_symbols(tree):
    """A fix may have added exported symbols, which the package's list then misses in vain."""
    rules = tree / 'debian' / 'rules'
    first, rest = rules.read_text(errors='surrogateescape').split('\n', 1)
    rest = re.sub(r'(?<=\s)-c4\b', '-c0', rest)
    rules.write_text(f'{first}\nexport DPKG_GENSYMBOLS_CHECK_LEVEL = 0\n{rest}',
                     errors='surrogateescape')


def prepare(archive, row, version, fixes, series, folder):
    """Returns (tree, patches that were left out without being a fix of the row)."""
    tree = folder / f'{row.source}-{debian.version_in_file(version)}{MARK}'
    scratch = folder / 'trial'
    archive.unpack(row.source, version, scratch, patched=False)
    kept, lost = choose_patches(scratch, series, fixes)
    shutil.rmtree(scratch)
    made_of = folder / 'kept'
    names = ''.join(patch.name + '\n' for patch in kept)
    if not made_of.exists() or made_of.read_text() != names:
        archive.unpack(row.source, version, tree, patched=False)
        # The popped ones stay beside the list, as files.
        (tree / 'debian' / 'patches' / 'series').write_text(names)
        mark_version(tree, version)
        allow_fewer_symbols(tree)
        debian.run('dpkg-source', '--before-build', tree)
        made_of.write_text(names)
    return tree, lost
