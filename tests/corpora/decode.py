#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes down which attachments other programs find in the mails of a folder: `decode.py FOLDER [DECODER…]`.

Decoders: `python` (the standard library's email), `gmime` (through GObject introspection), `ripmime` (the program). One
JSON object a line: the decoder, the mail's path in the folder, the attachment's name, its size, SHA-256 of its bytes and
SHA-256 of its bytes with LF for each CRLF.

An attachment is a leaf with content that has a file name, or is marked as an attachment, or is no text.
"""

import email.parser
import email.policy
import hashlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile

SECONDS = 20


def python(raw):
    message = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(raw)
    for part in message.walk():
        if part.is_multipart():
            continue
        name = part.get_filename()
        marked = part.get_content_disposition() == "attachment"
        if name or marked or part.get_content_maintype() != "text":
            yield name, part.get_payload(decode=True)


class GMime:
    """GMime, loaded where it is wanted."""

    def __init__(self):
        import gi

        gi.require_version("GMime", "3.0")
        from gi.repository import GMime as library

        library.init()
        self.library = library

    def __call__(self, raw):
        library = self.library
        stream = library.StreamMem.new_with_buffer(raw)
        message = library.Parser.new_with_stream(stream).construct_message(None)
        if message is None:
            return
        parts = library.PartIter.new(message)
        while parts.is_valid():
            part = parts.get_current()
            parts.next()
            if not isinstance(part, library.Part):
                continue
            kind = part.get_content_type()
            text = kind is not None and kind.get_media_type().lower() == "text"
            if part.get_filename() or part.is_attachment() or not text:
                content = part.get_content()
                out = library.StreamMem.new()
                if content is not None:
                    content.write_to_stream(out)
                yield part.get_filename(), bytes(out.get_byte_array())


def ripmime(raw):
    with tempfile.TemporaryDirectory() as scratch:
        mail, out = pathlib.Path(scratch, "mail"), pathlib.Path(scratch, "out")
        mail.write_bytes(raw)
        out.mkdir()
        command = ["ripmime", "--no-nameless", "--no-ole", "-i", mail, "-d", out]
        subprocess.run(command, check=False, capture_output=True, timeout=SECONDS)
        for file in sorted(out.iterdir()):
            if not re.fullmatch(r"textfile\d+", file.name):
                yield file.name, file.read_bytes()


def attachments(decoder, raw):
    """What `decoder` finds until it fails."""
    try:
        for name, content in decoder(raw):
            if content:
                yield str(name or ""), content
    except Exception as error:  # whatever it is, it is not our test that fails
        print(f"{type(error).__name__}: {error}", file=sys.stderr)


def digest(content):
    return hashlib.sha256(content).hexdigest()


def main(folder, *names):
    decoders = {"python": lambda: python, "gmime": GMime, "ripmime": lambda: ripmime}
    folder = pathlib.Path(folder)
    for name in names or decoders:
        decoder = decoders[name]()
        for mail in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".json"):
            for title, content in attachments(decoder, mail.read_bytes()):
                found = {
                    "decoder": name,
                    "mail": str(mail.relative_to(folder)),
                    "name": title.encode("utf-8", "replace").decode(),
                    "size": len(content),
                    "digest": digest(content),
                    "lf": digest(content.replace(b"\r\n", b"\n")),
                }
                print(json.dumps(found))


main(*sys.argv[1:])
