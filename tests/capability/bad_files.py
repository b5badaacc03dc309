#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Patch files that are damaged or hostile: one sentence, a next step, the right code, nothing changed.

Whatever is done to a file, suture must say yes or no. Where a change may be harmless (a flipped bit
in the new code, an unused field) both are right; where it can't be, only no is."""
import copy
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

from harness import (VULNERABLE, Footprint, Victim, apply, check, digest, equal, main, patch_path,
                     suture, test)

EHDR = [('e_ident', 0, 16), ('e_type', 16, 2), ('e_machine', 18, 2), ('e_version', 20, 4),
        ('e_entry', 24, 8), ('e_phoff', 32, 8), ('e_shoff', 40, 8), ('e_flags', 48, 4),
        ('e_ehsize', 52, 2), ('e_phentsize', 54, 2), ('e_phnum', 56, 2), ('e_shentsize', 58, 2),
        ('e_shnum', 60, 2), ('e_shstrndx', 62, 2)]
SHDR = [('sh_name', 0, 4), ('sh_type', 4, 4), ('sh_flags', 8, 8), ('sh_addr', 16, 8),
        ('sh_offset', 24, 8), ('sh_size', 32, 8), ('sh_link', 40, 4), ('sh_info', 44, 4),
        ('sh_addralign', 48, 8), ('sh_entsize', 56, 8)]
SYM = [('st_name', 0, 4), ('st_info', 4, 1), ('st_other', 5, 1), ('st_shndx', 6, 2),
       ('st_value', 8, 8), ('st_size', 16, 8)]
RELA = [('r_offset', 0, 8), ('r_info', 8, 8), ('r_addend', 16, 8)]
# Fields in which an absurd value leaves no way to read the file as a patch.
FATAL = {'e_ident', 'e_type', 'e_machine', 'e_shoff', 'e_shentsize', 'e_shnum', 'e_shstrndx'}
SHT_SYMTAB, SHT_RELA = 2, 4
MANIFEST = '.suture.manifest'


def subject_patch():
    return patch_path('subject', 2)


class Bench:
    """A folder for damaged files, and the rules that hold for every one of them."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name, 'bad.spatch')
        self.n = self.n_refused = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def verify(self, data, what, refused=None):
        """`refused`: True: must be; False: must not be; None: either."""
        self.path.write_bytes(data)
        result = suture('verify', self.path)
        check(result.code in (0, 1), f'{what}: code {result.code}: {result.stderr}')
        self.n += 1
        self.n_refused += result.code
        if refused is not None:
            equal(bool(result.code), refused, f'{what}: refused ({result.stderr.strip()})')
        if result.code:
            lines = result.stderr.strip().splitlines()
            check(lines and lines[0].startswith('suture: ') and len(lines) <= 3, f'{what}: says '
                  f'{result.stderr!r}')
            check('bad.spatch' in result.stderr, f'{what}: the file is not named: {result.stderr}')
            equal(result.stdout, '', f'{what}: standard output')


def sections(data):
    """(index, name, type, offset of its header, file offset, size) of each section."""
    shoff, = struct.unpack_from('<Q', data, 40)
    count, names_index = struct.unpack_from('<HH', data, 60)
    heads = [struct.unpack_from('<IIQQQQIIQQ', data, shoff + 64 * i) for i in range(count)]
    names = heads[names_index]
    found = []
    for i, head in enumerate(heads):
        start = names[4] + head[0]
        name = data[start:data.index(b'\0', start)].decode()
        found.append((i, name, head[1], shoff + 64 * i, head[4], head[5]))
    return found


def absurd(width, file_size):
    top = (1 << (8 * width)) - 1
    values = {0, 1, 2, 3, 7, top, top - 1, top >> 1, (top >> 1) + 1, file_size & top,
              (file_size - 1) & top, (file_size + 1) & top, 0x8000 & top, 0xfff1 & top,
              0x10000 & top, (top - 4095) & top}
    return sorted(values)


def with_value(data, offset, width, value):
    return data[:offset] + value.to_bytes(width, 'little') + data[offset + width:]


@test
def a_sound_file_is_accepted():
    with Bench() as bench:
        bench.verify(subject_patch().read_bytes(), 'the file as it is', refused=False)


@test
def truncated_at_any_length():
    data = subject_patch().read_bytes()
    lengths = {*range(0, 72), *range(72, len(data), max(1, len(data) // 150)), len(data) - 1}
    with Bench() as bench:
        for length in sorted(lengths):
            bench.verify(data[:length], f'{length} of {len(data)} bytes', refused=True)


@test
def a_tail_that_does_not_belong():
    data = subject_patch().read_bytes()
    with Bench() as bench:
        bench.verify(data + b'\0' * 65536, 'zeros at the end')
        bench.verify(b'', 'an empty file', refused=True)
        bench.verify(b'\x7fELF' + b'\0' * 4096, 'a mark and zeros', refused=True)
        bench.verify(b'#!/bin/sh\nexit 0\n' * 99, 'a script', refused=True)
        bench.verify(pathlib.Path('/bin/true').read_bytes(), 'a program', refused=True)


@test
def hostile_file_header():
    data = subject_patch().read_bytes()
    with Bench() as bench:
        for name, offset, width in EHDR:
            if name == 'e_ident':
                for i in range(0, 6):
                    bench.verify(with_value(data, i, 1, 0xff), f'e_ident[{i}]', refused=True)
                continue
            for value in absurd(width, len(data)):
                same = value.to_bytes(width, 'little') == data[offset:offset + width]
                must = True if name in FATAL and not same and value > 4 else None
                if name == 'e_shoff' and value == 0:
                    must = True
                bench.verify(with_value(data, offset, width, value), f'{name} = {value:#x}', must)


@test
def hostile_section_headers():
    data = subject_patch().read_bytes()
    with Bench() as bench:
        for index, section, _, header, _, _ in sections(data):
            for name, offset, width in SHDR:
                for value in random.Random(index).sample(absurd(width, len(data)), 5):
                    bench.verify(with_value(data, header + offset, width, value),
                                 f'section {index} ({section}): {name} = {value:#x}')
                value = (1 << 63) if width == 8 else 0xfffffff0
                if name in ('sh_offset', 'sh_size') and section == MANIFEST:
                    bench.verify(with_value(data, header + offset, width, value),
                                 f'{section}: {name} = {value:#x}', refused=True)
        check(bench.n_refused > bench.n // 4, f'only {bench.n_refused} of {bench.n} refused')


@test
def hostile_symbols_and_relocations():
    data = subject_patch().read_bytes()
    with Bench() as bench:
        for _, section, kind, _, start, size in sections(data):
            fields = {SHT_SYMTAB: SYM, SHT_RELA: RELA}.get(kind)
            if not fields:
                continue
            for entry in range(start, start + size, 24):
                for name, offset, width in fields:
                    for value in random.Random(entry).sample(absurd(width, len(data)), 2):
                        bench.verify(with_value(data, entry + offset, width, value),
                                     f'{section} at {entry - start}: {name} = {value:#x}')
        check(bench.n_refused > bench.n // 8, f'only {bench.n_refused} of {bench.n} refused')


@test
def flipped_bytes():
    data = subject_patch().read_bytes()
    dice = random.Random(4711)
    with Bench() as bench:
        for _ in range(600):
            damaged = bytearray(data)
            for _ in range(dice.choice([1, 1, 1, 4, 64])):
                damaged[dice.randrange(len(data))] ^= dice.randrange(1, 256)
            bench.verify(bytes(damaged), 'flipped bytes')


def with_manifest(manifest, folder):
    text, out = os.path.join(folder, 'manifest'), os.path.join(folder, 'changed.spatch')
    with open(text, 'w', encoding='utf-8') as file:
        file.write(manifest if isinstance(manifest, str) else json.dumps(manifest))
    subprocess.run(['objcopy', '--update-section', f'{MANIFEST}={text}', subject_patch(), out],
                   check=True)
    return pathlib.Path(out).read_bytes()


def manifest_of(path):
    data = path.read_bytes()
    return next(json.loads(data[offset:offset + size].rstrip(b'\0'))
                for _, name, _, _, offset, size in sections(data) if name == MANIFEST)


def places(value, path=()):
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*path, 0))


def put(manifest, path, value):
    changed = copy.deepcopy(manifest)
    if not path:
        return value
    target = changed
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return changed


def drop(manifest, path):
    changed = copy.deepcopy(manifest)
    target = changed
    for key in path[:-1]:
        target = target[key]
    del target[path[-1]]
    return changed


WRONG = [True, 0, -1, 1.5, 10**18, '', 'x' * 5000, 'a\u0000b\u001b[2J', [], [[]], {}, {'a': 1}]


def kind(value):
    if isinstance(value, bool):
        return bool
    return float if isinstance(value, float) else type(value)


@test
def a_manifest_with_wrong_types():
    manifest = manifest_of(subject_patch())
    with Bench() as bench:
        bench.verify(with_manifest(manifest, bench.folder.name), 'the manifest as it is', False)
        for path in places(manifest):
            value = manifest
            for key in path:
                value = value[key]
            for wrong in WRONG:
                if wrong == value:
                    continue
                must = True if kind(wrong) is not kind(value) else None
                bench.verify(with_manifest(put(manifest, path, wrong), bench.folder.name),
                             f'{".".join(map(str, path))} = {str(wrong)[:20]!r}', must)


@test
def a_manifest_with_something_missing():
    manifest = manifest_of(subject_patch())
    with Bench() as bench:
        for path in places(manifest):
            if path:
                must = True if path[-1] in ('id', 'level', 'schema', 'targets', 'build_id',
                                            'functions') else None
                bench.verify(with_manifest(drop(manifest, path), bench.folder.name),
                             f'without {".".join(map(str, path))}', must)


@test
def a_manifest_that_is_no_json():
    text = json.dumps(manifest_of(subject_patch()))
    with Bench() as bench:
        for what, bad in [('half', text[:len(text) // 2]), ('nothing', ' '), ('null', 'null'),
                          ('two', text + text), ('deep', '[' * 100000), ('twice', '{"id":1,' +
                          text[1:]), ('a number', '1e999'), ('no text', '\udcff'.encode(
                              'utf-8', 'surrogateescape').decode('latin-1'))]:
            bench.verify(with_manifest(bad, bench.folder.name), what, refused=True)


@test
def a_damaged_file_touches_no_process():
    data = subject_patch().read_bytes()
    with Victim('victim-lib', 'loop') as victim, Bench() as bench:
        before = Footprint(victim)
        bench.path.write_bytes(data[:-100])
        result = suture('apply', bench.path, '--digest', digest(bench.path), '--yes', '--pid',
                        victim.pid)
        equal(result.code, 1, f'a truncated file ({result.stderr})')
        # Sound, but not the file that was named by its digest.
        result = suture('apply', subject_patch(), '--digest', digest(bench.path), '--yes', '--pid',
                        victim.pid)
        equal(result.code, 5, f'another digest ({result.stderr})')
        check(len(result.stderr.strip().splitlines()) <= 3, result.stderr)
        result = suture('apply', subject_patch(), '--yes', '--pid', victim.pid)
        equal(result.code, 5, f'no digest and no signature ({result.stderr})')
        result = suture('apply', '/nonexistent.spatch', '--yes', '--pid', victim.pid)
        equal(result.code, 1, f'no such file ({result.stderr})')
        result = suture('apply', '/', '--yes', '--pid', victim.pid)
        equal(result.code, 1, f'a folder ({result.stderr})')
        victim.says(VULNERABLE)
        before.check_restored()


@test
def a_function_that_is_not_what_the_patch_was_made_for():
    """The build ID is right, but the bytes are not: what the digest in the manifest is for."""
    manifest = manifest_of(subject_patch())
    with Victim('victim-lib', 'loop') as victim, Bench() as bench:
        before = Footprint(victim)
        function = manifest['targets'][0]['functions'][0]
        key = next(key for key, value in function.items()
                   if isinstance(value, str) and len(value) == 64)
        function[key] = '0' * 64
        bench.path.write_bytes(with_manifest(manifest, bench.folder.name))
        result = apply(bench.path, victim, wait=1)
        check(result.code in (1, 4), result.told())
        check('done' not in result.results(), result.told())
        victim.says(VULNERABLE)
        before.check_restored()


if __name__ == '__main__':
    sys.exit(main())
