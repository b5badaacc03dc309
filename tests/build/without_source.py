#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches from two folders of objects, and from C written by hand."""
import os
import pathlib
import sys

from project import (FIXED, FLAGS, HEADER, INCLUDE, LIMIT, apply, build, check, cures, equal, must,
                     run, says, scratch, source, write, Program)
from harness import run_tests, test

NAMES = ('main', 'limit', 'times')


def compile_all(folder, to, *flags, names=NAMES):
    (folder / to / 'sub').mkdir(parents=True, exist_ok=True)
    for name in names:
        place = f'{to}/sub/{name}.o' if name == 'times' else f'{to}/{name}.o'
        run('gcc', *FLAGS, *flags, '-c', f'{name}.c', '-o', place, cwd=folder)


def link(folder, *flags):
    run('gcc', *flags, '-o', 'unstripped', 'a/main.o', 'a/limit.o', 'a/sub/times.o', cwd=folder)
    run('strip', '-o', 'program', 'unstripped', cwd=folder)


def two_sets(folder, *flags, fixed=FIXED):
    """a/ and b/, what was linked from a/, and that stripped; the source is the fixed one then."""
    source(folder)
    compile_all(folder, 'a', *flags)
    link(folder)
    write(folder, limit_c=fixed)
    compile_all(folder, 'b', *flags)


def from_objects(folder, *more, **other):
    return build(folder, '--original-objects', folder / 'a', '--fixed-objects', folder / 'b',
                 '--binary', folder / 'program', *more, **other)


@test
def objects_with_the_names_of_an_unstripped_file():
    with scratch() as folder:
        two_sets(folder)
        result = from_objects(folder, '--symbols', folder / 'unstripped')
        equal(result.json['units'], ['limit.c'], 'units')
        check(pathlib.Path(result.json['log']).is_file(), 'the log is there')
        cures([folder / 'program'], folder / 'out.spatch')


@test
def objects_with_sections_of_their_own():
    with scratch() as folder:
        two_sets(folder, '-ffunction-sections', '-fdata-sections')
        from_objects(folder, '--symbols', folder / 'unstripped')
        cures([folder / 'program'], folder / 'out.spatch')


@test
def functions_that_call_others_of_their_section():
    """The assembler leaves no relocation for such a call."""
    with scratch() as folder:
        extra = ('\n__attribute__((noinline)) static int helper(int n)\n{\n        '
                 'return times(n) + calls;\n}\n')
        text = LIMIT.replace('\nint limit', extra + '\nint limit')
        source(folder)
        write(folder, limit_c=text.replace('return times(n) + 1;', 'return helper(n) - calls + 1;'))
        compile_all(folder, 'a')
        link(folder)
        write(folder, limit_c=text.replace('return times(n) + 1;', 'return helper(-9) + 9;'))
        compile_all(folder, 'b')
        from_objects(folder, '--symbols', folder / 'unstripped')
        cures([folder / 'program'], folder / 'out.spatch')


@test
def a_branch_too_short_to_lead_elsewhere_is_refused():
    with scratch() as folder:
        extra = ('\n__attribute__((noinline)) static int helper(int n)\n{\n        '
                 'return times(n) + calls;\n}\n')
        two_sets(folder, fixed=LIMIT.replace('\nint limit', extra + '\nint limit')
                 .replace('return times(n) + 1;', 'return helper(n);'))
        says(from_objects(folder, '--symbols', folder / 'unstripped', code=4), 'SB109')


@test
def a_new_unit_and_one_that_is_gone():
    with scratch() as folder:
        two_sets(folder, fixed=FIXED.replace('-times(calls)', '-thrice()')
                 .replace('static int calls;', 'static int calls;\nint thrice(void);'))
        write(folder, extra_c='static int times(int n) { return 0 * n; }\n'
                              'int thrice(void) { return 6 + times(1); }\n', gone_c='int gone;\n')
        run('gcc', '-O0', '-c', 'extra.c', '-o', 'b/extra.o', cwd=folder)
        run('gcc', '-c', 'gone.c', '-o', 'a/gone.o', cwd=folder)
        result = from_objects(folder, '--symbols', folder / 'unstripped')
        equal([item['code'] for item in result.json['findings'] if 'gone.o' in item['where']],
              ['SB211'], 'the object that is gone')
        cures([folder / 'program'], folder / 'out.spatch')


@test
def objects_of_other_modules_do_not_count():
    with scratch() as folder:
        two_sets(folder)
        for to, number in (('a', 1), ('b', 2)):
            write(folder, other_c=f'int main(void) {{ return {number}; }}\n')
            run('gcc', '-O2', '-c', 'other.c', '-o', f'{to}/other.o', cwd=folder)
        result = from_objects(folder, '--symbols', folder / 'unstripped')
        equal(result.json['units'], ['limit.c'], 'units')


@test
def objects_that_are_equal_are_refused():
    with scratch() as folder:
        two_sets(folder, fixed=LIMIT)
        says(from_objects(folder, '--symbols', folder / 'unstripped', code=4), 'SB105')


@test
def objects_of_something_else_are_refused():
    with scratch() as folder:
        two_sets(folder)
        result = build(folder, '--original-objects', folder / 'a', '--fixed-objects', folder / 'b',
                       '--binary', '/usr/bin/true', code=1)
        says(result, 'none of the objects is a part of /usr/bin/true', '--symbols')


@test
def folders_without_objects():
    with scratch() as folder:
        two_sets(folder)
        says(build(folder, '--original-objects', folder / 'a', '--fixed-objects', folder / 'cache',
                   '--binary', folder / 'program', code=1), 'no object file (*.o) below')
        says(build(folder, '--original-objects', folder / 'nowhere', '--fixed-objects',
                   folder / 'b', '--binary', folder / 'program', code=1), 'nowhere')


@test
def objects_as_an_unprivileged_user():
    with scratch() as folder:
        two_sets(folder)
        os.chmod(folder, 0o777)
        from_objects(folder, '--symbols', folder / 'unstripped', env={'HOME': str(folder)},
                     prefix=['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'])
        equal((folder / 'out.spatch').stat().st_uid, 65534, 'owner of the patch')
        cures([folder / 'program'], folder / 'out.spatch')


# C written by hand

BY_HAND = '''\
#include <suture/patch.h>
extern int calls;
int times(int n);
static int allowed(void) { return 0; }
SUTURE_PRE(allowed)

int limit(int n)
{
        calls++;
        return n > 1000 ? -times(calls) : times(n);
}
'''


def by_hand(folder, text, *more, flags=f'-O1 -I"{INCLUDE}"', **other):
    source(folder)
    compile_all(folder, 'a')
    link(folder)
    write(folder, hand_c=text)
    return build(folder, '--replace', folder / 'hand.c', '--binary', folder / 'program',
                 '--symbols', folder / 'unstripped', '--cflags', flags, *more, **other)


@test
def code_written_by_hand():
    with scratch() as folder:
        result = by_hand(folder, BY_HAND)
        equal(result.items[0]['functions'], ['limit'], 'functions')
        cures([folder / 'program'], folder / 'out.spatch')


@test
def a_hook_that_refuses():
    with scratch() as folder:
        by_hand(folder, BY_HAND.replace('return 0', 'return 1'))
        with Program(folder / 'program') as running:
            check(apply(folder / 'out.spatch', running).code != 0, 'the hook did not refuse')
            equal(running.ask(2000), 4001, 'unpatched')


@test
def what_the_compiler_complains_about_is_shown():
    with scratch() as folder:
        result = by_hand(folder, BY_HAND.replace('calls++;', 'cools++;'), code=1)
        says(result, "hand.c:9", '‘cools’ undeclared', 'cache/logs/')


@test
def flags_with_an_open_quote():
    with scratch() as folder:
        says(by_hand(folder, BY_HAND, flags='-O2 "-DX', code=2), '--cflags')


@test
def code_that_replaces_nothing_is_refused():
    with scratch() as folder:
        says(by_hand(folder, 'int unheard_of(void) { return 1; }\n', code=4), 'SB105')


@test
def a_structure_laid_out_otherwise_is_refused():
    with scratch() as folder:
        write(folder)
        source(folder)
        struct = 'struct pair { int first, second; };\n'
        write(folder, limit_h=HEADER + struct)
        for name in ('limit.c', 'times.c'):
            text = (folder / name).read_text()
            (folder / name).write_text(text + 'struct pair pair_of_' + name[:-2] + ';\n')
        compile_all(folder, 'a')
        link(folder)
        write(folder, hand_c='struct pair { long first, second; }; extern struct pair pair_of_limit;\n'
                             'int limit(int n) { return pair_of_limit.second + n; }\n')
        says(build(folder, '--replace', folder / 'hand.c', '--binary', folder / 'program',
                   '--symbols', folder / 'unstripped', code=4), 'SB101', 'struct pair')


sys.exit(run_tests())
