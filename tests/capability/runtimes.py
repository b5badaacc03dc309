#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What unwinds in the target is told of new code: where that can't be done, the target must be none the
worse. The victim is a Python that loads the subject's library, and runtimes, when it is asked to."""
import contextlib
import subprocess
import sys

from harness import VICTIMS, apply, check, equal, main, must, patch_path, records, rollback, test

LIBGCC = subprocess.run(['gcc', '-print-file-name=libgcc_s.so.1'], check=True, capture_output=True,
                        text=True).stdout.strip()

PROGRAM = """
import ctypes, sys, _ctypes
loaded = {}
for line in sys.stdin:
    word, _, path = line.strip().partition(' ')
    if word == 'load':
        loaded[path] = ctypes.CDLL(path)
    elif word == 'unload':
        _ctypes.dlclose(loaded.pop(path)._handle)
    else:
        check = next(iter(loaded.values())).subject_check
        print(check(bytes([40]) + b'abcdefg' + bytes(40), 8) == -1, flush=True)
        continue
    print('done', flush=True)
"""


class Python:
    """A process that loads what it is told to."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, '-c', PROGRAM], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        self.load(VICTIMS / 'libsubject.so')

    def ask(self, words):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(words + '\n')
            self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        check(answer, f'{words}: the process ended ({self.process.poll()})')
        return answer

    def load(self, path):
        equal(self.ask(f'load {path}'), 'done', 'loading')

    def unload(self, path):
        equal(self.ask(f'unload {path}'), 'done', 'unloading')

    def maps(self, name):
        with open(f'/proc/{self.pid}/maps', encoding='utf-8') as file:
            return [line.split()[0] for line in file if name in line]

    def says(self, fixed):
        equal(self.ask('ask'), str(fixed), 'is it fixed')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


@test
def a_runtime_that_was_loaded_anew():
    """libgcc aborts the program when it is to forget what it was never told."""
    with Python() as victim:
        for _ in range(2):
            victim.load(LIBGCC)
            places = victim.maps('libgcc_s')
            victim.unload(LIBGCC)
        victim.load(LIBGCC)
        equal(victim.maps('libgcc_s'), places, 'it is where it was')
        must(apply(patch_path('subject'), victim), 0, ['done'])
        victim.says(True)
        victim.unload(LIBGCC)
        equal(victim.maps('libgcc_s'), [], 'the runtime is unloaded')
        victim.load(LIBGCC)
        equal(victim.maps('libgcc_s'), places, 'it is where it was')
        must(rollback(victim), 0, ['done'])
        victim.says(False)
        equal(records(victim), [], 'nothing is left')


@test
def a_runtime_that_is_gone():
    with Python() as victim:
        victim.load(LIBGCC)
        must(apply(patch_path('subject'), victim), 0, ['done'])
        victim.unload(LIBGCC)
        must(rollback(victim), 0, ['done'])
        victim.says(False)
        equal(records(victim), [], 'nothing is left')


@test
def a_lock_that_is_never_given_back():
    """The thread that was to call the runtime goes on with its own work."""
    with Python() as victim:
        victim.load(VICTIMS / 'locked' / 'libgcc_s.so.1')
        result = apply(patch_path('subject'), victim, wait=3)
        check(result.results() == ['busy'], f'said {result.results()}: {result.told()}')
        check('lock' in result.told(), f'does not name the lock: {result.told()}')
        victim.says(False)
        equal(records(victim), [], 'nothing is left')


@test
def a_runtime_of_another_layout():
    """An older libunwind under the same name is told nothing."""
    with Python() as victim:
        victim.load(VICTIMS / 'older' / 'libunwind.so.8')
        for _ in range(2):
            must(apply(patch_path('subject'), victim), 0, ['done'])
            victim.says(True)
            must(rollback(victim), 0, ['done'])
            victim.says(False)


@test
def a_record_of_a_later_version():
    """It is refused, and nothing of it is touched."""
    with Python() as victim:
        must(apply(patch_path('subject'), victim), 0, ['done'])
        record = int(next(area['address'] for area in records(victim)[0]['memory']
                          if area['what'] == 'switch'), 16)
        with open(f'/proc/{victim.pid}/mem', 'r+b', buffering=0) as memory:
            memory.seek(record + 8)
            version = memory.read(4)
            memory.seek(record + 8)
            memory.write(b'\x09\0\0\0')
            for result in (apply(patch_path('subject'), victim), rollback(victim)):
                must(result, 4)
                check('another version' in result.told(), result.told())
            victim.says(True)
            memory.seek(record + 8)
            memory.write(version)
        must(rollback(victim), 0, ['done'])
        victim.says(False)


if __name__ == '__main__':
    sys.exit(main())
