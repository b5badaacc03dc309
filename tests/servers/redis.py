#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""redis, as Debian shipped it, against CVE-2026-25243: RESTORE takes a damaged value.

The probe restores a zipmap whose value length of 4 is written in five bytes where one is due. The
vulnerable server takes it for granted ("OK"; the bytes are chosen so that nothing outside them is
read); the fixed one says that the data are bad."""
import sys

from servers import driver_module, main, story, test

VALUE = (b'\x09\x0e\x01\x01\x6b\xfe\x04\x00\x00\x00\x00\x76\x61\x6c\x31\xff\x09\x00'
         b'\xd0\xf9\xe4\x1d\xe4\xfb\x11\x4c')


def restore(server):
    client = driver_module('redis').Client(server.ports['redis'])
    answer = str(client('RESTORE', 'probe', 0, VALUE, 'REPLACE'))
    client('DEL', 'probe')
    client.socket.close()
    return answer


@test
def redis_under_traffic_refuses_a_damaged_value_once_patched():
    story('redis', restore, 'OK', 'ERR Bad data format')


if __name__ == '__main__':
    sys.exit(main())
