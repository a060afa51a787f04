# SPDX-License-Identifier: GPL-3.0-or-later
"""What Python's email package makes of messages.

Reads messages from standard input, each after its length as four bytes, most significant first. Writes a line for each:
SHA-256 digests of what its parts hold, decoded and as they stand.
"""

import email
import hashlib
import sys


def contents(message):
    for part in message.walk():
        for decode in (True, False):
            try:
                held = part.get_payload(decode=decode)
                if isinstance(held, str):
                    held = held.encode("ascii", "surrogateescape")
                if isinstance(held, bytes):
                    yield held
            except Exception:  # what it cannot read it does not find
                continue


def digests(message):
    try:
        return {hashlib.sha256(held).hexdigest() for held in contents(email.message_from_bytes(message))}
    except Exception:
        return set()


messages = sys.stdin.buffer.read()
at = 0
while at < len(messages):
    start = at + 4
    at = start + int.from_bytes(messages[at:start], "big")
    print(" ".join(sorted(digests(messages[start:at]))))
