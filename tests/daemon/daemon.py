#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""sutured: what is kept is applied, to every instance, whatever happens to sutured."""
import collections
import json
import os
import pathlib
import signal
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sutured import CallFailed, Daemon, harness, once            # noqa: E402
from harness import LEVEL_1, VULNERABLE, check, equal, patch_path, test, wait_for   # noqa: E402


@test
def what_is_applied_is_kept_and_given_to_every_new_process():
    with Daemon() as daemon:
        daemon.start()
        with harness.Victim('victim-lib', 'threads', 4) as victim:
            reply = daemon.apply(patch_path('subject'))
            check(reply['stored'] and not reply['faults'], str(reply))
            equal([(item['pid'], item['result']) for item in reply['processes']],
                  [(victim.pid, 'done')], 'who was patched')
            victim.says(LEVEL_1)
        equal(daemon.apply(patch_path('once-pie'))['processes'], [], 'no instance yet')
        daemon.settle()
        answers = collections.Counter(once() for _ in range(50))
        equal(dict(answers), {'fixed': 50}, f'answers of 50 starts: {daemon.events()[-5:]}')
        equal(daemon.stop(), 0, 'the exit code')


if __name__ == '__main__':
    sys.exit(harness.main())
