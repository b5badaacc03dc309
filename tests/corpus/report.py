# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes docs/corpus.md from the results: what was tried, what became of it, and the share made.

The share counts fixes that change code of the build that was patched. What has no C in it, what the
build does not contain, and what could not be fetched is listed and not counted.
"""
import collections
import os
import platform
import re
import statistics

WHOLE = 'all fixes in one patch'
COUNTED = ('made', 'refused', 'failed')
WORDS = {
    'made': 'made',
    'refused': 'refused',
    'failed': 'failed',
    'no code': 'no code of this build',
    'no C': 'no C in it',
    'not to be had': 'not to be had',
}
HEAD = '| fix | outcome | units | changed + new | modules | seconds | MiB | bytes | live |\n' \
       '|---|---|---:|---:|---|---:|---:|---:|---|\n'


def cell(text):
    # Where the modules lay on the machine that made the document is of no use to a reader.
    text = re.sub(r'/\S*/work/[^/ ]+/(?:root|modules)/', '/', str(text))
    return re.sub(r'\s+', ' ', text).replace('|', '\\|').strip()


def machine():
    model = 'unknown processor'
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        for line in file:
            if line.startswith('model name'):
                model = line.split(':', 1)[1].strip()
                break
    with open('/proc/meminfo', encoding='utf-8') as file:
        gib = round(int(file.readline().split()[1]) / 1048576)
    return f'{model}, {os.cpu_count()} processors, {gib} GiB, Linux {platform.release()}'


def single(results):
    return [result for result in results if result['fix'] != WHOLE]


def counts(results):
    return collections.Counter(result['outcome'] for result in results)


def share(results):
    tried = [result for result in results if result['outcome'] in COUNTED]
    made = [result for result in tried if result['outcome'] == 'made']
    return f'{len(made)} of {len(tried)}' + (f' ({100 * len(made) / len(tried):.0f} %)'
                                             if tried else '')


def live_counts(results):
    return collections.Counter(result['live']['outcome'] for result in results
                               if result['outcome'] == 'made' and 'live' in result)


def head(results, n_rows):
    fixes = single(results)
    found, live = counts(fixes), live_counts(fixes)
    dates = sorted(result['date'] for result in results)
    tried = sum(found[outcome] for outcome in COUNTED)
    lines = [
        '# The corpus: real security fixes, made into live patches',
        '',
        'Written by `tools/corpus`; not to be edited. What the rows are and how they are tried:',
        '`tests/corpus/README.md`. What no run has reached is listed at the end, and not counted.',
        '',
        f'- Command: `tools/corpus` ({n_rows} rows), then `tools/corpus --resume` and `--again` for '
        'what was interrupted',
        f'- Date: {dates[0]} to {dates[-1]} UTC' if dates else '- Date: never',
        f'- Machine: {machine()}; seconds are those of the wall, also where other work went on beside',
        '- Rows that were tried on different days or hours may be of different builds of suture',
        '',
        f'**{found["made"]} of {tried} fixes of C code became live patches by themselves: '
        f'{100 * found["made"] / tried:.0f} %.**' if tried else 'Nothing was tried.',
        '',
        '| outcome | fixes | what it means |',
        '|---|---:|---|',
        f'| made | {found["made"]} | a patch file, with no hand work |',
        f'| refused | {found["refused"]} | a rule says why it can\'t be a live patch as it is |',
        f'| failed | {found["failed"]} | the builder could not do it; a defect or a limit |',
        f'| no code of this build | {found["no code"]} | the fix changes code that Debian does not '
        'compile for these packages; not counted |',
        f'| no C in it | {found["no C"]} | tests, documentation, scripts; not counted |',
        f'| not to be had | {found["not to be had"]} | rows whose source or binary the archive did '
        'not give; not counted, and nothing was tried |',
        '',
        f'Of the {found["made"]} patches, {live["ok"]} were applied to a busy process whose results '
        'were checked before, with and after the patch, and rolled back; '
        f'{live["failed"]} failed at that and {live["skipped"]} were not tried (the table says why). '
        f'{starts_only(fixes)} of them replace `main` of a program, so that only processes which '
        'start later take them there (SB132).',
        '',
        *failed_at_work(live['failed']),
        seconds(fixes),
        '',
    ]
    return lines


def failed_at_work(n):
    if not n:
        return []
    return ['A fix can change what existing objects mean (who frees what a member points to, say) without '
            'changing their layout. No comparison of code sees that; the trial at work does. A patch '
            'that failed there is not for processes that run: only for those that start later.', '']


def starts_only(fixes):
    return sum(result['outcome'] == 'made' and
               any(finding[0] == 'SB132' for finding in result.get('findings', []))
               for result in fixes)


def seconds(fixes):
    found = sorted(result['seconds'] for result in fixes
                   if result['outcome'] in COUNTED and result.get('seconds'))
    if not found:
        return ''
    sizes = sorted(result['size'] for result in fixes if result.get('size'))
    return f'One fix takes {statistics.median(found):.0f} s in the middle, {found[-1]:.0f} s at most, ' \
           f'the package being built already; {sum(one < 60 for one in found)} of {len(found)} take ' \
           f'less than 60 s. A patch file has {statistics.median(sizes):,.0f} bytes in the middle, ' \
           f'{sizes[-1]:,} at most.'


def rules(results):
    fixes = single(results)
    found = collections.Counter(rule for result in fixes if result['outcome'] == 'refused'
                                for rule in result.get('rules', []))
    if not found:
        return []
    lines = ['## Refusals by rule', '', '`docs/rules.md` tells each rule; a fix may meet several.',
             '', '| rule | fixes | which |', '|---|---:|---|']
    for rule, number in sorted(found.items(), key=lambda item: (-item[1], item[0])):
        which = ', '.join(f'{result["source"]} {result["fix"]}' for result in fixes
                          if result['outcome'] == 'refused' and rule in result.get('rules', []))
        lines.append(f'| {rule} | {number} | {cell(which)} |')
    return lines + ['']


def by_source(results):
    lines = ['## By source', '', '| source | kind | made | refused | failed | not counted |',
             '|---|---|---:|---:|---:|---:|']
    for (source, kind), group in groups(single(results)):
        found = counts(group)
        other = sum(found[name] for name in WORDS if name not in COUNTED)
        lines.append(f'| {source} | {kind} | {found["made"]} | {found["refused"]} | '
                     f'{found["failed"]} | {other} |')
    return lines + ['']


def groups(results):
    found = {}
    for result in results:
        found.setdefault((result['source'], result['kind']), []).append(result)
    return sorted(found.items(), key=lambda item: (item[0][1] != 'shipped', item[0][0]))


def live_cell(result):
    live = result.get('live')
    return '' if not live else live['outcome']


def row_line(result):
    functions = result.get('functions')
    modules = ', '.join(result.get('modules', {})) if result['outcome'] == 'made' else ''
    outcome = WORDS[result['outcome']]
    if result['outcome'] == 'refused':
        outcome += ' ' + ', '.join(result.get('rules', []))
    return '| ' + ' | '.join(cell(text) for text in (
        result['fix'], outcome, result.get('units') or '',
        f'{functions[0]} + {functions[1]}' if functions else '', modules,
        result.get('seconds', ''), result.get('memory_mib', ''), result.get('size') or '',
        live_cell(result))) + ' |'


def notes(group):
    """What the table has no room for, one line a fix."""
    lines = []
    for result in group:
        if result.get('sentence'):
            lines.append(f'- {result["fix"]}: {cell(result["sentence"])}')
        if result.get('needs'):
            lines.append(f'- {result["fix"]}: does not fit alone; made with '
                         + ', '.join(f'`{name}`' for name in result['needs']))
    return lines + live_notes(group)


def live_notes(group):
    """The same sentence about several patches is said once."""
    said = {}
    for result in group:
        live = result.get('live', {})
        if live.get('text'):
            said.setdefault((live['outcome'], live['text']), []).append(result['fix'])
    return [f'- live, {outcome}: {cell(text)} ({", ".join(names)})'
            for (outcome, text), names in said.items()]


def section(source, kind, group):
    version = group[0]['version']
    lines = [f'### {source} {version} ({kind})', '']
    proof = {}
    for result in group:
        proof.update(result.get('proof') or {})
    if kind == 'shipped' and proof:
        lines += ['Functions of the rebuilt original that equal the shipped ones: '
                  + ', '.join(f'{name} {equal:,} of {total:,}'
                              for name, (equal, total) in sorted(proof.items())) + '.', '']
    lost = sorted({name for result in group for name in result.get('lost', [])})
    if lost:
        lines += ['Left out with the fixes, since they no longer apply without them: '
                  + ', '.join(f'`{name}`' for name in lost) + '.', '']
    seconds = [result['package_seconds'] for result in group if result.get('package_seconds')]
    if seconds:
        lines += [f'The package\'s own build took {max(seconds)} s.', '']
    lines += [HEAD.rstrip('\n')] + [row_line(result) for result in group]
    told = notes(group)
    return lines + ([''] + told if told else []) + ['']


def untried(results, plans, rows):
    """Rows and fixes that no run has reached yet."""
    known = {(result['kind'], result['source']) for result in results}
    done = {(result['kind'], result['source'], result['fix']) for result in results}
    lines = [f'- {row.source} ({row.kind}): the whole row' for row in rows
             if (row.kind, row.source) not in known and (row.kind, row.source) not in plans]
    for (kind, source), (_, labels) in sorted(plans.items()):
        missing = [label for label in labels if (kind, source, label) not in done]
        if missing and (kind, source, 'all') not in done:
            lines.append(f'- {source} ({kind}): {len(missing)} of {len(labels)}: '
                         + ', '.join(missing))
    return ['## Not run yet', ''] + lines + [''] if lines else []


def set_aside(remarks):
    lines = ['## Patches that mention a CVE and are no fix of it', '']
    lines += [f'- {source} `{patch}`: {why}' for (source, patch), (ids, why) in remarks.items()
              if not ids]
    return lines + ['']


def write(path, found, plans, rows, remarks):
    results = list(found.values())
    lines = head(results, len(rows)) + by_source(results) + rules(results)
    lines += ['## Fix by fix', '',
              'Seconds and MiB (the largest process) are of the whole run of `suture build`, the '
              'package being built already.', '']
    for (source, kind), group in groups(results):
        lines += section(source, kind, group)
    lines += untried(results, plans, rows) + set_aside(remarks)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(lines).rstrip('\n') + '\n')
