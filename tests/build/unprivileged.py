#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds in a root of their own, by a user who isn't root: what is said where they can't be."""
import os
import sys

from project import AS_NOBODY, NO_NAMESPACES, PATH, build, check, says, scratch, source
from harness import run_tests, test

# In a mount namespace of its own, nobody has a range of IDs, or not.
TABLE = ['unshare', '--mount', '--propagation', 'private', 'sh', '-ec',
         'printf "%s" "$TABLE" >"$SCRATCH/table"; for name in subuid subgid; do '
         'mount --bind "$SCRATCH/table" /etc/$name; done; exec "$@"', 'sh']


def refused(table, *prefix):
    with scratch() as folder:
        source(folder / 'tree')
        os.chmod(folder, 0o777)
        result = build(folder, '--tree', folder / 'tree', '--command', 'make', '--fix',
                       folder / 'tree/fix.patch', code=3, prefix=[*TABLE, *prefix, *AS_NOBODY],
                       env={'PATH': PATH, 'HOME': str(folder), 'TABLE': table,
                            'SCRATCH': str(folder)})
        check(not (folder / 'cache').exists(), 'a cache was made')
        return result


@test
def a_user_without_a_range_of_ids():
    says(refused(''), 'has no such range for nobody', '/etc/subuid', 'usermod --add-subuids')


@test
def a_user_with_a_small_range():
    says(refused('nobody:100000:1000\n'), 'has no such range for nobody')


@test
def a_user_where_no_namespace_can_be_made():
    says(refused('nobody:100000:65536\n', *NO_NAMESPACES), 'needs a user namespace')


@test
def a_range_that_newuidmap_does_not_map():
    """There are no such numbers."""
    says(refused('nobody:4294940000:65536\n'), 'newuidmap does not map')


sys.exit(run_tests())
