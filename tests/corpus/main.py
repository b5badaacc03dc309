# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the corpus: every row, fix by fix, each made into a patch and tried on a busy process.

One worker takes one row at a time; all use one cache. Whatever goes wrong with one fix or row becomes its result; nothing ends the run but a signal.
"""
import argparse
import concurrent.futures
import datetime
import pathlib
import shutil
import signal
import sys
import threading
import traceback

import build
import debian
import exercise
import patches
import popped
import report
import rows
from state import State

ROOT = pathlib.Path(__file__).resolve().parents[2]
# A library whose driver is servers of other packages: the driver, and what it needs beside it.
COMPANIONS = {'libevent': ('transmission', ('transmission-daemon', 'memcached'))}
WHOLE = 'all fixes in one patch'


def read_arguments():
    parser = argparse.ArgumentParser(prog='tools/corpus', description=__doc__.split('\n')[0])
    parser.add_argument('sources', nargs='*', metavar='SOURCE', help='only rows of these sources')
    parser.add_argument('--kind', choices=('shipped', 'popped'), help='only rows of this kind')
    parser.add_argument('--only', action='append', default=[], metavar='CVE',
                        help='only fixes whose name holds this; may be repeated')
    parser.add_argument('--resume', action='store_true', help='leave out what has a result')
    parser.add_argument('--again', action='store_true',
                        help='leave out what was made and, where it was tried, went well')
    parser.add_argument('--report', action='store_true', help='only write the document')
    parser.add_argument('--no-report', action='store_true', help='do not write the document')
    parser.add_argument('--live', action='store_true',
                        help='make nothing; only try the patches that were made')
    parser.add_argument('--no-live', action='store_true', help='only make the patches')
    parser.add_argument('--no-whole', action='store_true',
                        help='do not try all fixes of a row as one patch')
    parser.add_argument('--jobs', type=int, default=1, metavar='N', help='rows at a time')
    parser.add_argument('--state', type=pathlib.Path, default=ROOT / 'build-corpus',
                        metavar='FOLDER', help='results, sources, patches (default build-corpus)')
    parser.add_argument('--cache', type=pathlib.Path, metavar='FOLDER',
                        help='of suture build (default: cache, in the state folder)')
    parser.add_argument('--suture', type=pathlib.Path, metavar='PROGRAM',
                        default=ROOT / 'build-corpus' / 'suture' / 'src' / 'cli' / 'suture')
    parser.add_argument('--output', type=pathlib.Path, default=ROOT / 'docs' / 'corpus.md',
                        metavar='FILE', help='the document (default docs/corpus.md)')
    arguments = parser.parse_args()
    arguments.cache = (arguments.cache or arguments.state / 'cache').resolve()
    arguments.state = arguments.state.resolve()
    return arguments


class Job:
    """One row at work."""
    def __init__(self, arguments, state, row, suture, remarks):
        self.arguments = arguments
        self.state = state
        self.row = row
        self.suture = suture
        self.remarks = remarks
        self.archive = debian.Archive(suture.program, suture.cache, arguments.state / 'sources')
        self.folder = arguments.state / 'work' / f'{row.kind}-{row.source}'
        self.spatches = arguments.state / 'patches' / f'{row.kind}-{row.source}'
        self.spatches.mkdir(parents=True, exist_ok=True)
        self.lost, self.version = [], row.vulnerable
        self.no_package = ''    # why the package itself can't be built: no use to try it again

    def result(self, label, **more):
        now = datetime.datetime.now(datetime.timezone.utc)
        result = {'kind': self.row.kind, 'source': self.row.source, 'version': self.version,
                  'fix': label, 'date': now.strftime('%Y-%m-%d %H:%M')}
        result.update(more)
        self.state.add(result)
        live = result.get('live', {})
        tell(f'{self.row.name}: {label}: {result["outcome"]}'
             + (f' {result["sentence"]}' if result.get('sentence') else '')
             + (f'; live: {live["outcome"]} {live["text"]}' if live else ''))

    def wanted(self, label):
        only = self.arguments.only
        if only and not any(word.lower() in label.lower() for word in only):
            return False
        known = self.state.find(self.row, label)
        if known and self.arguments.resume:
            return False
        if known and self.arguments.again:
            return known['outcome'] in ('refused', 'failed', 'not to be had') or \
                known.get('live', {}).get('outcome') in ('failed', 'skipped')
        return True

    def run(self):
        try:
            if self.arguments.live:
                self.run_live()
            elif self.row.kind == 'shipped':
                self.run_shipped()
            else:
                self.run_popped()
        except debian.Absent as error:
            if self.wanted('all') or self.arguments.only:
                self.result('all', outcome='not to be had', sentence=str(error))

    def run_live(self):
        """The patches of an earlier run, with the modules they were made for."""
        folder = self.folder / ('root' if self.row.kind == 'shipped' else 'modules')
        for known in list(self.state.results.values()):
            if (known['kind'], known['source']) != (self.row.kind, self.row.source) or \
                    known['outcome'] != 'made' or self.suture.stop.is_set() or \
                    not self.wanted(known['fix']):
                continue
            live = self.exercise(folder, self.patch_file(known['fix']), known)
            self.version = known['version']
            self.result(known['fix'], **{name: value for name, value in known.items() if name not in
                                         ('kind', 'source', 'version', 'fix', 'live')}, live=live)

    def exercise(self, folder, spatch, made):
        driver, packages = COMPANIONS.get(self.row.source, (self.row.source, ()))
        if not packages:
            return exercise.exercise(self.suture, driver, folder, spatch, made)
        both = self.folder / 'live'
        try:
            if not both.exists():
                debian.run('cp', '-al', folder, both)
                self.archive.add_packages(packages, both)
        except debian.Absent as error:
            return {'outcome': 'skipped', 'text': str(error)}
        return exercise.exercise(self.suture, driver, both, spatch, made)

    def patch_file(self, label):
        return self.spatches / (label.replace(' ', '_').replace('/', '_')[:100] + '.spatch')

    # --- what was shipped

    def run_shipped(self):
        row = self.row
        fixed = self.archive.unpack(row.source, row.fixed, self.folder / 'fixed', patched=False)
        tree = self.archive.unpack(row.source, row.vulnerable, self.folder / 'vulnerable')
        fixes = self.choose_fixes(self.new_patches(tree, fixed))
        root = self.archive.shipped_root(row.source, row.vulnerable, self.folder / 'root')
        origin = ['--source', f'{row.source}={row.vulnerable}', '--binary', root]
        self.run_fixes(tree, fixes, origin, root)
        if not self.arguments.no_whole and self.wanted(WHOLE) and not self.suture.stop.is_set():
            self.make(WHOLE, origin + ['--fixed-source', row.fixed], root, {})

    def new_patches(self, tree, fixed):
        """What the fixed source's list has over the vulnerable one's."""
        old = {patch.name: patch.text
               for patch in patches.read_series(tree / 'debian', self.row.source, self.remarks)}
        return [patch for patch in patches.read_series(fixed / 'debian', self.row.source, self.remarks)
                if old.get(patch.name) != patch.text]

    def choose_fixes(self, candidates):
        """Of the candidates, those the row means: its CVEs, or all if it names none of them."""
        usable = [patch for patch in candidates if not patch.set_aside]
        groups = patches.group_fixes(usable)
        named = [fix for fix in groups if fix.ids and
                 (not self.row.ids or set(fix.ids) & set(self.row.ids))]
        if self.row.kind == 'shipped' and self.row.ids:
            # A name that no patch bears: the update says in its changelog only what they fix.
            missing = set(self.row.ids) - {one for fix in groups for one in fix.ids}
            return groups if not named and missing else [fix for fix in groups if fix.ids]
        return groups if self.row.kind == 'shipped' else named

    # --- what was left out

    def run_popped(self):
        row = self.row
        self.version = row.fixed or self.archive.find_version(row.source)
        source = self.archive.unpack(row.source, self.version, self.folder / 'fixed', patched=False)
        series = patches.read_series(source / 'debian', row.source, self.remarks)
        fixes = self.choose_fixes(series)
        tree, self.lost = popped.prepare(self.archive, row, self.version, fixes, series, self.folder)
        modules = self.folder / 'modules'
        shutil.rmtree(modules, ignore_errors=True)
        self.run_fixes(tree, fixes, ['--tree', tree, '--built-modules', modules], modules)

    # --- one fix

    def run_fixes(self, tree, fixes, origin, folder):
        candidates = ordered_patches(fixes, self.lost)
        labels = [fix.label for fix in fixes]
        self.state.forget(self.row, set(labels) | {WHOLE})
        self.state.plan(self.row, self.version, labels)
        tell(f'{self.row.name}: {len(fixes)} fixes')
        for fix in fixes:
            if self.suture.stop.is_set():
                return
            if not self.wanted(fix.label):
                continue
            if self.no_package:
                self.result(fix.label, outcome='failed', sentence=self.no_package)
            else:
                self.run_fix(tree, fix, candidates, origin, folder)

    def run_fix(self, tree, fix, candidates, origin, folder):
        facts = {'patches': [patch.name for patch in fix.patches], 'needs': [],
                 'lost': [patch.name for patch in self.lost]}
        if not fix.touches_c:
            self.result(fix.label, outcome='no C', sentence='', **facts)
            return
        needs = patches.find_needs(tree, fix, candidates)
        if needs is None:
            self.result(fix.label, outcome='failed', sentence='the fix does not apply to the '
                        'vulnerable source, with no set of the earlier ones', **facts)
            return
        fix.needs = needs
        facts['needs'] = [patch.name for patch in needs]
        words = [word for patch in fix.sequence for word in ('--fix', patch.path)]
        cves = [word for one in fix.ids if one.startswith('CVE-') for word in ('--cve', one)]
        self.make(fix.label, origin + words + cves, folder, facts)

    def make(self, label, words, folder, facts):
        file = self.patch_file(label)
        file.unlink(missing_ok=True)
        words = words + ['--output', file] + ([] if '--cve' in words else ['--id', file.stem[:40]
                                              .replace('_', '-')])
        answer, package_seconds = self.suture.build(self.row.source, *words)
        if self.suture.stop.is_set():
            return
        made = build.describe(answer, package_seconds)
        if build.PACKAGE_FAILED in made['sentence']:
            self.no_package = made['sentence']
        if made['outcome'] == 'made' and not self.arguments.no_live:
            made['live'] = self.exercise(folder, file, made)
        self.result(label, **facts, **made)


def ordered_patches(fixes, lost):
    return patches.ordered([patch for fix in fixes for patch in fix.patches] + list(lost))


def tell(sentence):
    now = datetime.datetime.now().strftime('%H:%M:%S')
    print(f'{now} {sentence}', flush=True)


def run_row(arguments, state, row, stop, remarks):
    if stop.is_set():
        return
    try:
        suture = build.Suture(arguments.suture, arguments.cache, stop)
        Job(arguments, state, row, suture, remarks).run()
    except Exception as error:   # pylint: disable=broad-except
        # A defect of this tool or its surroundings; it must not look like a result of a fix.
        tell(f'{row.name}: {type(error).__name__}: {error}')
        traceback.print_exc(file=sys.stdout)


def run_all(arguments, state):
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    chosen = [row for row in rows.read_rows()
              if (not arguments.sources or row.source in arguments.sources) and
              (not arguments.kind or row.kind == arguments.kind)]
    remarks = rows.read_remarks()
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        work = [pool.submit(run_row, arguments, state, row, stop, remarks)
                for row in chosen]
        for one in work:
            while not one.done():
                try:
                    one.result(0.2)
                except concurrent.futures.TimeoutError:
                    pass
    return stop.is_set()


def main():
    arguments = read_arguments()
    state = State(arguments.state)
    interrupted = False
    if not arguments.report:
        interrupted = run_all(arguments, state)
    if not arguments.no_report:
        report.write(arguments.output, state.results, state.plans, rows.read_rows(),
                     rows.read_remarks())
        tell(f'{arguments.output} is written')
    return 130 if interrupted else 0


if __name__ == '__main__':
    sys.exit(main())
