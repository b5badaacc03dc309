# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known so far: a file of JSON lines, one a result; a later line about the same fix wins.
A line is written whole and at once, so what an interrupted run had found is there for the next."""
import json
import threading


def key(result):
    return (result['kind'], result['source'], result['fix'])


class State:
    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / 'results.jsonl'
        self.lock = threading.Lock()
        self.results = {}
        self.plans = {}     # (kind, source): (version, the names of all fixes of the row)
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                try:
                    result = json.loads(line)
                except ValueError:
                    continue    # the last line of a run that was killed
                if 'labels' in result:
                    self.plans[key(result)[:2]] = (result['version'], result['labels'])
                elif result.get('gone'):
                    self.results.pop(key(result), None)
                else:
                    self.results[key(result)] = result

    def write(self, result):
        with open(self.path, 'a', encoding='utf-8') as file:
            file.write(json.dumps(result) + '\n')

    def add(self, result):
        with self.lock:
            self.results[key(result)] = result
            self.write(result)

    def plan(self, row, version, labels):
        """What the row consists of, so that what was not reached can be told."""
        with self.lock:
            self.plans[(row.kind, row.source)] = (version, labels)
            self.write({'kind': row.kind, 'source': row.source, 'fix': '', 'version': version,
                        'labels': labels})

    def find(self, row, label):
        return self.results.get((row.kind, row.source, label))

    def forget(self, row, labels):
        """Results of this row for fixes that it no longer has."""
        with self.lock:
            for known in list(self.results):
                if known[:2] == (row.kind, row.source) and known[2] not in labels:
                    del self.results[known]
                    self.write(dict(zip(('kind', 'source', 'fix'), known), gone=True))
