#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches of a Debian source that was changed here, so that nobody shipped what it builds.

The source makes two libraries and a program; one file, which the fix changes, goes into all three.
A root is made (mmdebstrap, network); SUTURE_BUILD_CACHE names a cache that has one already.
"""
import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from project import (FIX, FIXED, HEADER, LIMIT, MAIN, PATH, TIMES, Program, check, equal, says,
                     scratch, write)
from harness import die_with_parent, apply, each, must, rollback, run_tests, suture, test

SUTURE = os.environ.get('SUTURE', 'suture')

CONTROL = '''\
Source: suture-tiny
Section: libs
Priority: optional
Maintainer: Nobody <nobody@example.org>
Build-Depends: debhelper-compat (= 13)
Standards-Version: 4.6.2

Package: libtiny1
Architecture: any
Depends: ${shlibs:Depends}, ${misc:Depends}
Description: a library

Package: libtiny-extra1
Architecture: any
Depends: ${shlibs:Depends}, ${misc:Depends}
Description: another library

Package: tiny-tools
Architecture: any
Depends: ${shlibs:Depends}, ${misc:Depends}
Description: a program, twice
'''
CHANGELOG = '''\
suture-tiny (1.0-1local1) unstable; urgency=medium

  * Changed here.

 -- Nobody <nobody@example.org>  Mon, 06 Jan 2025 00:00:00 +0000
'''
MAKEFILE = '''\
CFLAGS ?= -O2 -g
DIR = $(DESTDIR)/usr/lib/x86_64-linux-gnu
all: libtiny.so.1 libtiny-extra.so.1 tiny
%.o: %.c limit.h
	$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -c -o $@ $<
libtiny.so.1: limit.o times.o
	$(CC) $(LDFLAGS) -shared -Wl,-soname,$@ -o $@ $^
libtiny-extra.so.1: extra.o limit.o times.o
	$(CC) $(LDFLAGS) -shared -Wl,-soname,$@ -o $@ $^
tiny: main.o limit.o times.o
	$(CC) $(LDFLAGS) -o $@ $^
clean:
	rm -f *.o *.so.1 tiny
install: all
	install -D -m 644 libtiny.so.1 $(DIR)/libtiny.so.1
	install -D -m 644 libtiny-extra.so.1 $(DIR)/libtiny-extra.so.1
	install -D -m 755 tiny $(DESTDIR)/usr/bin/tiny
	cp -p $(DESTDIR)/usr/bin/tiny $(DESTDIR)/usr/bin/tiny-copy
'''
EXTRA = '''\
#include "limit.h"

int extra(int n)
{
        return limit(n) + 1;
}
'''
MODULES = {'libtiny.so.1', 'libtiny-extra.so.1', 'tiny'}

CACHE = None


def source(folder, marker=''):
    """The unpacked source, in 3.0 (native) form; `marker` makes it another one."""
    tree = pathlib.Path(folder)
    write(tree, debian__control=CONTROL, debian__changelog=CHANGELOG, Makefile=MAKEFILE,
          main_c=MAIN, extra_c=EXTRA, limit_c=LIMIT, times_c=TIMES, limit_h=HEADER)
    write(tree / 'debian', source__format='3.0 (native)\n',
          rules='#!/usr/bin/make -f\n%:\n\tdh $@\n')
    (tree / 'debian' / 'rules').chmod(0o755)
    (tree / 'debian' / 'libtiny1.install').write_text('usr/lib/*/libtiny.so.1\n')
    (tree / 'debian' / 'libtiny-extra1.install').write_text('usr/lib/*/libtiny-extra.so.1\n')
    (tree / 'debian' / 'tiny-tools.install').write_text('usr/bin/*\n')
    (tree / 'README').write_text(f'A test.\n{marker}')
    (tree.parent / 'fix.patch').write_text(FIX.format(folder='', suffix='c'))
    return tree


def arguments(folder, *more):
    return ['build', '--tree', folder / 'tree', *more, '--cache', CACHE, '--output',
            folder / 'out.spatch', '--json']


def build(folder, *more, code=0, prefix=()):
    result = suture(*arguments(folder, *more), prefix=prefix, timeout=900)
    check(result.code == code, f'exit code {result.code}, expected {code}: {result.json} '
                               f'{result.stderr}')
    return result


def with_fix(folder, *more, **other):
    return build(folder, '--fix', folder / 'fix.patch', *more, **other)


def modules(result):
    return {item['module'] for item in result.json['items']}


def snapshot(tree):
    return {str(path.relative_to(tree)): (path.lstat().st_mode, path.lstat().st_mtime_ns,
                                          path.is_file() and path.read_bytes())
            for path in sorted(tree.rglob('*')) if not path.is_fifo()}


def temporary_folders():
    """Those of runs that have ended: others may use the cache too."""
    found = []
    for path in sorted((pathlib.Path(CACHE) / 'tmp').iterdir()):
        with contextlib.suppress(FileNotFoundError):
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found.append(path.name)
            except BlockingIOError:
                pass
            finally:
                os.close(folder)
    return found


def cures(out, patch, name='tiny'):
    with Program(out / 'usr/bin' / name) as running:
        equal(running.ask(2000), 4001, 'before')
        must(apply(patch, running), 0, ['done'])
        equal(running.ask(2000), -4, 'patched')
        must(rollback(running), 0, ['done'])
        equal(running.ask(2000), 4001, 'rolled back')


# What it is for

@test
def a_tree_and_a_fix():
    with scratch() as folder:
        tree = source(folder / 'tree')
        before = snapshot(tree)
        out = folder / 'out'
        result = with_fix(folder, '--built-modules', out)
        equal(modules(result), MODULES, 'modules in the patch')
        equal(snapshot(tree), before, 'the tree')
        equal(temporary_folders(), [], 'folders left in the cache')
        for item in result.json['items']:
            check(item['path'].startswith(f'{out}/usr/'), f'path {item["path"]}')
            equal(item['version'], '1.0-1local1', 'version')
            sections = subprocess.run(['readelf', '-SW', item['path']], check=True, text=True,
                                      capture_output=True).stdout
            check('.symtab' not in sections and '.debug_info' not in sections, 'it is stripped')
            check('.comment' not in sections, 'it has no .comment')
        cures(out, folder / 'out.spatch')
        cures(out, folder / 'out.spatch', 'tiny-copy')


@test
def again_into_the_same_folder():
    with scratch() as folder:
        source(folder / 'tree')
        with_fix(folder, '--built-modules', folder / 'out')
        before = snapshot(folder / 'out')
        with_fix(folder, '--built-modules', folder / 'out')
        equal(snapshot(folder / 'out'), before, 'what was there')


@test
def the_fixed_tree():
    with scratch() as folder:
        source(folder / 'tree')
        fixed = source(folder / 'fixed')
        (fixed / 'limit.c').write_text(FIXED)
        (fixed / 'README').write_text('More.\n')
        (fixed / 'debian' / 'changelog').write_text(CHANGELOG.replace('local1', 'local2') + CHANGELOG)
        write(fixed, tests__check_c='int main(void) { return 0; }\n', po__de_po='x\n')
        result = build(folder, '--fixed-tree', fixed, '--built-modules', folder / 'out')
        equal(modules(result), MODULES, 'modules in the patch')
        equal(sorted(result.json['set_aside']),
              ['README', 'debian/changelog', 'po/de.po', 'tests/check.c'], 'set aside')
        cures(folder / 'out', folder / 'out.spatch')


@test
def a_source_that_is_new():
    with scratch() as folder:
        source(folder / 'tree')
        fixed = source(folder / 'fixed')
        (fixed / 'limit.c').write_text(LIMIT.replace('"limit.h"', '"limit.h"\n#include "cap.h"')
                                       .replace('times(n) + 1', 'cap(n)'))
        write(fixed, cap_h='int cap(int n);\n', cap_c='#include "cap.h"\n#include "limit.h"\n\n'
              'static int minus = -2;\nint cap(int n) { return n > 5 ? times(minus) : 0; }\n'
              'int nobody_calls_this(void) { return 7; }\n',
              Makefile=MAKEFILE.replace('times.o', 'times.o cap.o'))
        result = build(folder, '--fixed-tree', fixed, '--built-modules', folder / 'out')
        equal(modules(result), MODULES, 'modules in the patch')
        equal({item['where'] for item in result.json['findings'] if item['code'] == 'SB204'},
              {'Makefile', 'cap.c'}, 'what is warned of')
        check('cap.c' in result.json['units'], 'units')
        cures(folder / 'out', folder / 'out.spatch')


@test
def a_table_that_a_program_makes():
    """times.c is made from times.rl by the build."""
    with scratch() as folder:
        tree = source(folder / 'tree')
        (tree / 'times.c').rename(tree / 'times.rl')
        (tree / 'Makefile').write_text(MAKEFILE + 'times.c: times.rl\n\tsed s/2/4/ times.rl >$@\n')
        (folder / 'fix.patch').write_text(
            '--- a/times.rl\n+++ b/times.rl\n@@ -3,4 +3,4 @@\n int times(int n)\n {\n'
            '-        return 2 * n;\n+        return 2 * n + (n > 1000);\n }\n')
        result = with_fix(folder, '--built-modules', folder / 'out')
        equal(modules(result), MODULES, 'modules in the patch')
        equal([(item['code'], item['fatal'], item['where']) for item in result.json['findings']],
              [('SB203', False, 'times.rl')], 'findings')
        with Program(folder / 'out/usr/bin/tiny') as running:
            equal(running.ask(2000), 8001, 'before')
            must(apply(folder / 'out.spatch', running), 0, ['done'])
            equal(running.ask(2000), 8002, 'patched')


@test
def assembly():
    with scratch() as folder:
        tree = source(folder / 'tree')
        (tree / 'a.S').write_text('.section .note.GNU-stack\n')
        (folder / 'fix.patch').write_text('--- a/a.S\n+++ b/a.S\n@@ -1 +1,2 @@\n'
                                          ' .section .note.GNU-stack\n+/* x */\n')
        says(with_fix(folder, '--built-modules', folder / 'out', code=4), 'SB203', 'a.S')


@test
def patches_that_are_not_applied_yet():
    """As in a repository of the packaging: the build applies debian/patches, and so is the fix."""
    with scratch() as folder:
        tree = source(folder / 'tree')
        write(tree / 'debian', source__format='3.0 (quilt)\n', patches__series='more.patch\n')
        (tree / 'debian' / 'patches' / 'more.patch').write_text(
            '--- a/times.c\n+++ b/times.c\n@@ -3,4 +3,4 @@\n int times(int n)\n {\n'
            '-        return 2 * n;\n+        return 3 * n;\n }\n')
        before = snapshot(tree)
        fixed = folder / 'fixed'
        shutil.copytree(tree, fixed, symlinks=True)
        (fixed / 'limit.c').write_text(FIXED)
        for fix in (['--fix', folder / 'fix.patch'], ['--fixed-tree', fixed]):
            result = build(folder, *fix, '--built-modules', folder / 'out')
            equal(modules(result), MODULES, 'modules in the patch')
            equal(result.json['units'], ['limit.c'], 'units')
            with Program(folder / 'out/usr/bin/tiny') as running:
                equal(running.ask(2000), 6001, 'before')
                must(apply(folder / 'out.spatch', running), 0, ['done'])
                equal(running.ask(2000), -6, 'patched')
        equal(snapshot(tree), before, 'the tree')


@test
def nothing_differs_but_text():
    with scratch() as folder:
        source(folder / 'tree')
        fixed = source(folder / 'fixed')
        (fixed / 'README').write_text('More.\n')
        says(build(folder, '--fixed-tree', fixed, '--built-modules', folder / 'out', code=1),
             'no code differs')


@test
def what_was_unpacked_elsewhere():
    """--binary takes a folder: all modules below it, wherever else they are from."""
    with scratch() as folder:
        source(folder / 'tree')
        with_fix(folder, '--built-modules', folder / 'out')
        shipped = folder / 'shipped'
        shutil.copytree(folder / 'out', shipped, symlinks=True)
        (shipped / '.suture-build').unlink()
        shutil.copy('/bin/true', shipped / 'usr/bin/true')
        result = with_fix(folder, '--binary', shipped)
        equal(modules(result), MODULES, 'modules in the patch')
        check(all(item['path'].startswith(str(shipped)) for item in result.json['items']), 'paths')


# What it refuses

@test
def a_module_that_was_changed_since():
    with scratch() as folder:
        source(folder / 'tree')
        out = folder / 'out'
        with_fix(folder, '--built-modules', out)
        library = out / 'usr/lib/x86_64-linux-gnu/libtiny.so.1'
        code = bytearray(library.read_bytes())
        at = code.find(bytes.fromhex('8d043f'))  # lea (%rdi,%rdi,1),%eax
        check(at > 0, 'times() is found')
        code[at + 2] ^= 1
        library.write_bytes(code)
        result = with_fix(folder, '--built-modules', out, code=1)
        says(result, 'libtiny.so.1', 'is not the shipped')


@test
def a_module_that_is_gone():
    with scratch() as folder:
        source(folder / 'tree')
        with_fix(folder, '--built-modules', folder / 'out')
        (folder / 'out/usr/bin/tiny').unlink()
        says(with_fix(folder, '--built-modules', folder / 'out', code=1), 'lacks', 'usr/bin/tiny')


@test
def a_folder_that_holds_something_else():
    with scratch() as folder:
        source(folder / 'tree')
        (folder / 'out').mkdir()
        (folder / 'out' / 'mine').write_text('x')
        says(with_fix(folder, '--built-modules', folder / 'out', code=1), 'something else')
        equal(os.listdir(folder / 'out'), ['mine'], 'what was there')


@each(['control', 'changelog'], 'a tree without debian/{}')
def no_debian_source(name):
    with scratch() as folder:
        tree = source(folder / 'tree')
        (tree / 'debian' / name).unlink()
        says(with_fix(folder, '--built-modules', folder / 'out', code=1), f'debian/{name}',
             '--command')


@each(['', 'x', 'suture-tiny 1.0', 'suture-tiny (1.0', 'Suture/../tiny (1.0)', 'a (../1)'],
      'changelog: {!r}')
def changelog(text):
    with scratch() as folder:
        tree = source(folder / 'tree')
        (tree / 'debian' / 'changelog').write_text(text)
        says(with_fix(folder, '--built-modules', folder / 'out', code=1), 'changelog')


@test
def no_room_for_the_modules():
    with scratch() as folder:
        source(folder / 'tree')
        (folder / 'out').mkdir()
        small = ['unshare', '--mount', 'sh', '-ec',
                 'mount -t tmpfs -o size=16k none "$0"; "$@" && code=0 || code=$?; ls -A "$0" >"$0.left"; '
                 'exit $code', str(folder / 'out')]
        result = with_fix(folder, '--built-modules', folder / 'out', code=1, prefix=small)
        says(result, 'No space left')
        equal((folder / 'out.left').read_text(), '', 'what is left in the folder')
        with_fix(folder, '--built-modules', folder / 'out')


@test
def a_build_that_fails():
    with scratch() as folder:
        tree = source(folder / 'tree')
        (tree / 'times.c').write_text('int times(int n) { return n\n')
        result = with_fix(folder, '--built-modules', folder / 'out', code=1)
        says(result, 'times.c', 'log')
        log = re.search(r'/\S+[.]log', result.json['next'])
        check(log and os.path.exists(log.group()), f'the log is there: {result.json["next"]}')
        equal(temporary_folders(), [], 'folders left in the cache')


@test
def nothing_is_installed():
    with scratch() as folder:
        source(folder / 'tree')
        says(with_fix(folder, code=1), 'suture-tiny 1.0-1local1', '--binary', '--built-modules')


@test
def nothing_is_built():
    """Only packages without a program or library in them."""
    with scratch() as folder:
        tree = source(folder / 'tree')
        (tree / 'debian' / 'libtiny1.install').unlink()
        (tree / 'debian' / 'libtiny-extra1.install').unlink()
        (tree / 'debian' / 'tiny-tools.install').write_text('README usr/share\n')
        (tree / 'Makefile').write_text(MAKEFILE.partition('install:')[0])
        says(with_fix(folder, '--built-modules', folder / 'out', code=4),
             'no program and no library')


# Strange trees

@test
def strange_names():
    with scratch() as folder:
        tree = source(folder / 'tree')
        for name in ['a b', "it's", 'new\nline', '-rf', '*', '$HOME', 'ü', '"', '\\', 'x' * 255]:
            (tree / 'data').mkdir(exist_ok=True)
            (tree / 'data' / name).write_text(name)
        (tree / 'data' / 'link').symlink_to('/etc/passwd')
        (tree / 'data' / 'loop').symlink_to('loop')
        (tree / 'data' / 'up').symlink_to('..')
        with_fix(folder, '--built-modules', folder / 'out')
        fixed = folder / 'fixed'
        shutil.copytree(tree, fixed, symlinks=True)
        (fixed / 'limit.c').write_text(FIXED)
        for name in ['new\nline', '-rf', '$HOME']:
            (fixed / 'data' / name).write_text('other')
        (fixed / 'data' / "it's new.h").write_text('int x;\n')
        result = build(folder, '--fixed-tree', fixed, '--built-modules', folder / 'out')
        equal(len(result.json['set_aside']), 4, f'set aside: {result.json["set_aside"]}')


@test
def neither_file_nor_folder():
    with scratch() as folder:
        tree = source(folder / 'tree')
        os.mkfifo(tree / 'pipe')
        says(with_fix(folder, '--built-modules', folder / 'out', code=1), 'pipe', 'neither')


# Several at once, and the end in the middle

def start(folder, *more):
    return subprocess.Popen([SUTURE, *map(str, arguments(folder, '--fix', folder / 'fix.patch',
                                                         *more))],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            start_new_session=True, preexec_fn=die_with_parent)


@test
def two_of_the_same_at_once():
    with scratch() as folder:
        source(folder / 'tree', marker=str(time.time()))
        first = start(folder, '--built-modules', folder / 'one')
        second = start(folder, '--built-modules', folder / 'two')
        told = [run.communicate() for run in (first, second)]
        equal([first.returncode, second.returncode], [0, 0], f'exit codes {told}')
        logs = [pathlib.Path(line.split('"')[3]).read_text() for text, _ in told
                for line in text.splitlines() if '"log":' in line]
        equal(len(logs), 2, 'logs')
        equal(sum('waiting for the lock build-' in log for log in logs), 1, 'runs that waited')
        equal(sum('# building the original' in log for log in logs), 1, 'runs that built')
        cures(folder / 'one', folder / 'out.spatch')
        cures(folder / 'two', folder / 'out.spatch')
        equal(temporary_folders(), [], 'folders left in the cache')


def processes_of(mark):
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
        with contextlib.suppress(OSError):
            if mark in path.read_bytes().replace(b'\0', b' ').decode(errors='replace'):
                found.append(path.parent.name)
    return found


@each([signal.SIGINT, signal.SIGTERM, signal.SIGKILL], 'ended in the middle by {.name}')
def the_end_in_the_middle(number):
    with scratch() as folder:
        tree = source(folder / 'tree', marker=str(time.time()))
        mark = f'9{time.time_ns() % 10**9}'
        (tree / 'Makefile').write_text(MAKEFILE.replace(
            'all: ', 'all: slow ').replace(
            'clean:', f'slow:\n\tsleep {mark}\nclean:'))
        run = start(folder, '--built-modules', folder / 'out')
        end = time.monotonic() + 300
        while not processes_of(f'sleep {mark}'):
            check(run.poll() is None, 'it came to the build')
            check(time.monotonic() < end, 'it came to the build')
            time.sleep(0.1)
        run.send_signal(number)
        out, err = run.communicate(timeout=60)
        check(run.returncode != 0, f'exit code {run.returncode}: {out} {err}')
        end = time.monotonic() + 10
        while processes_of(f'sleep {mark}') and time.monotonic() < end:
            time.sleep(0.05)
        equal(processes_of(f'sleep {mark}'), [], 'processes left')
        check(not (folder / 'out').exists(), 'no folder of modules')
        check(not (folder / 'out.spatch').exists(), 'no patch')
        with open('/proc/self/mounts', encoding='ascii') as mounts:
            check(str(CACHE) not in mounts.read(), 'nothing is mounted')
        equal(len(temporary_folders()), int(number == signal.SIGKILL), 'folders left in the cache')
        source(folder / 'tree')
        with_fix(folder, '--built-modules', folder / 'out')
        equal(temporary_folders(), [], 'folders left in the cache')


def main():
    global CACHE
    if os.geteuid() != 0 or not shutil.which('mmdebstrap', path=PATH):
        print('1..0 # SKIP root and mmdebstrap are needed')
        return 0
    CACHE = os.environ.get('SUTURE_BUILD_CACHE')
    if CACHE:
        return run_tests()
    with tempfile.TemporaryDirectory(prefix='suture-cache-') as CACHE:
        return run_tests()


sys.exit(main())
