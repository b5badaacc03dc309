# SPDX-License-Identifier: GPL-2.0-or-later
"""A little project, the program it makes while it runs, and what the tests of `suture build` share.

The program answers each number that it is sent with a number: `limit` of it, which the fix changes,
so that everybody can see which code runs.
"""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'capability'))
from harness import SOURCE, apply, check, die_with_parent, equal, must, rollback, suture  # noqa: E402

INCLUDE = SOURCE.parent / 'include'
PATH = '/usr/sbin:/usr/bin:/sbin:/bin'

MAIN = '''\
#include <stdio.h>
#include <stdlib.h>
#include "limit.h"

int main(void)
{
        char line[64];

        setvbuf(stdout, NULL, _IONBF, 0);
        while (fgets(line, sizeof(line), stdin))
                printf("%d\\n", limit(atoi(line)));
        return 0;
}
'''
HEADER = '''\
#ifdef __cplusplus
extern "C" {
#endif
int limit(int n);
int times(int n);
#ifdef __cplusplus
}
#endif
'''
LIMIT = '''\
#include "limit.h"

static int calls;

int limit(int n)
{
        calls++;
        if (n > 1000)
                return times(n) + 1;
        return times(n);
}
'''
FIXED = LIMIT.replace('return times(n) + 1;', 'return -times(calls);')
TIMES = '''\
#include "limit.h"

int times(int n)
{
        return 2 * n;
}
'''
FIX = '''\
--- a/{folder}limit.{suffix}
+++ b/{folder}limit.{suffix}
@@ -6,6 +6,6 @@
 {{
         calls++;
         if (n > 1000)
-                return times(n) + 1;
+                return -times(calls);
         return times(n);
 }}
'''
FLAGS = ['-O2', '-g']


# In this namespace no further ones can be made, as in many containers.
NO_NAMESPACES = [os.path.join(os.path.dirname(os.path.abspath(__file__)), 'without-namespaces')]
# Root of a container without privileges.
NO_MOUNTS = NO_NAMESPACES + ['setpriv', '--bounding-set=-all', '--inh-caps=-all']
AS_NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']


def write(folder, **files):
    """Keyword `a__b_c` is the file a/b.c; the text of each."""
    for name, text in files.items():
        path = pathlib.Path(folder) / name.replace('__', '/').replace('_', '.')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@contextlib.contextmanager
def scratch():
    """A folder for one test, with a cache of its own; anybody may read it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix='suture-build-'))
    os.chmod(folder, 0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def source(folder, suffix='c'):
    """The files of the project, and the fix, below `folder`."""
    write(folder, **{f'main_{suffix}': MAIN, f'limit_{suffix}': LIMIT, f'times_{suffix}': TIMES,
                     'limit_h': HEADER, 'fix_patch': FIX.format(folder='', suffix=suffix)})


def run(*command, cwd):
    done = subprocess.run([*map(str, command)], cwd=cwd, check=False, capture_output=True,
                          text=True, env=dict(os.environ, PATH=PATH))
    check(done.returncode == 0, f'{" ".join(map(str, command))}: {done.stderr}')
    return done.stdout


class Program:
    """It runs; ask() sends a number."""

    def __init__(self, *command, env=None):
        self.process = subprocess.Popen([*map(str, command)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1,
                                        start_new_session=True, preexec_fn=die_with_parent,
                                        env=dict(os.environ, **(env or {})))
        self.pid = self.process.pid

    def ask(self, number):
        self.process.stdin.write(f'{number}\n')
        return int(self.process.stdout.readline())

    def close(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def build(folder, *arguments, code=0, prefix=(), env=None):
    """`suture build` with a cache below `folder`; the patch is folder/out.spatch."""
    patch = pathlib.Path(folder) / 'out.spatch'
    result = suture('build', *arguments, '--cache', pathlib.Path(folder) / 'cache', '--output', patch,
                    '--json', prefix=prefix, env=env)
    check(result.code == code, f'exit code {result.code}, expected {code}: {told(result)}')
    return result


def told(result):
    json = result.json or {}
    parts = [json.get('cause'), json.get('next')]
    parts += [f'{item["code"]} {item["where"]}: {item["text"]}' for item in json.get('findings', [])]
    return ' / '.join(part for part in parts if part) or result.stderr


def says(result, *words):
    """The cause or the next step holds each of these."""
    for word in words:
        check(word in told(result), f'expected {word!r} in: {told(result)}')


def cures(program, patch):
    """The patch, applied to the running program, changes its answer; rolled back, it is the old."""
    with Program(*program) as running:
        equal(running.ask(7), 14, 'before, a small number')
        equal(running.ask(2000), 4001, 'before')
        must(apply(patch, running), 0, ['done'])
        equal(running.ask(2000), -6, 'patched: the third call')
        equal(running.ask(7), 14, 'patched, a small number')
        must(rollback(running), 0, ['done'])
        equal(running.ask(2000), 4001, 'rolled back')
