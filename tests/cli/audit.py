# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes an audit log as the manual describes it, independently of suture."""
import hashlib
import json
import os


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Log:
    def __init__(self, folder):
        self.folder = folder
        self.path = os.path.join(folder, "audit.jsonl")
        self.id = "0123456789abcdef" * 2
        self.lines = []
        self.append("log-begun", log=self.id)

    def append(self, event, **fields):
        previous = self.lines[-1] if self.lines else self.id
        self.lines.append(json.dumps({
            "seq": len(self.lines) + 1, "time": "2026-11-25T08:12:09.123456Z", "uid": 0,
            "pid": 812, "event": event, "fields": fields, "prev": digest(previous)}))
        self.anchor = {"log": self.id, "seq": len(self.lines), "hash": digest(self.lines[-1])}

    def write(self):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in self.lines))
        with open(os.path.join(self.folder, "audit-anchor.json"), "w", encoding="utf-8") as file:
            json.dump(self.anchor, file)
