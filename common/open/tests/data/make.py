#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the containers of this folder that other programs than the ones under test can make; README.md says more.

Needs 7zz (7-Zip), qpdf, and the Python package msoffcrypto-tool. Each run makes other bytes: salts are random.
"""
import hashlib
import io
import os
import struct
import subprocess
import tempfile
import zipfile

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from msoffcrypto.format.ooxml import OOXMLFile
from msoffcrypto.method.container.ecma376_encrypted import ECMA376Encrypted

HERE = os.path.dirname(os.path.abspath(__file__))
PASSWORD = "Rechnung-4711"
NOTE = b"What is inside is known by now.\n"


def run(*command, cwd):
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def archives(folder):
    for name, content in (("note.txt", NOTE), ("second.txt", NOTE * 100)):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    both, password = ("note.txt", "second.txt"), "-p" + PASSWORD
    for name, options in (
        ("aes256.zip", ("-tzip", "-mem=AES256")),
        ("old-cipher.zip", ("-tzip", "-mem=ZipCrypto")),
        ("deflate64.zip", ("-tzip", "-mem=AES256", "-mm=Deflate64")),
        ("lzma.zip", ("-tzip", "-mem=AES256", "-mm=LZMA")),
        ("files.7z", ("-t7z",)),
        ("directory.7z", ("-t7z", "-mhe=on")),
        ("ppmd.7z", ("-t7z", "-m0=PPMd")),
    ):
        path = os.path.join(HERE, name)
        if os.path.exists(path):
            os.remove(path)
        run("7zz", "a", "-bd", *options, password, path, *both, cwd=folder)


def pdf(folder):
    """A page, and a file attached to it."""
    pieces = [
        b"<</Type/Catalog/Pages 2 0 R/Names<</EmbeddedFiles<</Names[(note.txt)5 0 R]>>>>>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 100 100]/Contents 4 0 R>>",
        b"<</Length 21>>stream\nBT (Rechnung) Tj ET %\nendstream",
        b"<</Type/Filespec/F(note.txt)/EF<</F 6 0 R>>>>",
        b"<</Type/EmbeddedFile/Length %d>>stream\n%s\nendstream" % (len(NOTE), NOTE),
    ]
    out, places = bytearray(b"%PDF-1.7\n"), []
    for number, piece in enumerate(pieces, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, piece)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(pieces) + 1)
    for place in places:
        out += b"%010d 00000 n \n" % place
    out += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(pieces) + 1, start)
    plain = os.path.join(folder, "plain.pdf")
    with open(plain, "wb") as file:
        file.write(out)
    for name, user, options in (
        ("aes256.pdf", PASSWORD, ("256",)),
        ("aes128.pdf", PASSWORD, ("128", "--use-aes=y")),
        ("rc4-128.pdf", PASSWORD, ("128", "--use-aes=n")),
        ("rc4-40.pdf", PASSWORD, ("40",)),
        ("owner-only.pdf", "", ("256", "--print=none")),
    ):
        encrypt = ("--allow-weak-crypto", "--encrypt", user, "of its owner", *options, "--")
        streams = "--object-streams=" + ("disable" if name == "rc4-40.pdf" else "generate")
        run("qpdf", plain, streams, *encrypt, os.path.join(HERE, name), cwd=folder)


def package():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("[Content_Types].xml", b"<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"/>")
        file.writestr("word/document.xml", NOTE * 140)
    return out.getvalue()


def agile(password, name):
    plain = io.BytesIO(package())
    with open(os.path.join(HERE, name), "wb") as file:
        OOXMLFile(plain).encrypt(password, file)


def standard():
    """As Office 2007 does it: [MS-OFFCRYPTO] 2.3.4.5 to 2.3.4.9."""
    salt, verifier = os.urandom(16), os.urandom(16)
    digest = hashlib.sha1(salt + PASSWORD.encode("utf-16le")).digest()
    for number in range(50_000):
        digest = hashlib.sha1(struct.pack("<I", number) + digest).digest()
    digest = hashlib.sha1(digest + struct.pack("<I", 0)).digest()
    mixed = bytes(a ^ b for a, b in zip(digest.ljust(64, b"\0"), b"\x36" * 64))
    key = hashlib.sha1(mixed).digest()[:16]

    def encrypted(plain):
        cipher = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        return cipher.update(plain + bytes(-len(plain) % 16)) + cipher.finalize()

    provider = "Microsoft Enhanced RSA and AES Cryptographic Provider\0".encode("utf-16le")
    header = struct.pack("<8I", 0x24, 0, 0x660E, 0x8004, 128, 0x18, 0, 0) + provider
    info = struct.pack("<HHI", 3, 2, 0x24) + struct.pack("<I", len(header)) + header
    info += struct.pack("<I", 16) + salt + encrypted(verifier)
    info += struct.pack("<I", 20) + encrypted(hashlib.sha1(verifier).digest())
    plain = package()
    sealed = struct.pack("<Q", len(plain)) + encrypted(plain)
    with open(os.path.join(HERE, "standard.docx"), "wb") as file:
        ECMA376Encrypted(sealed, info).write_to(file)


with tempfile.TemporaryDirectory() as scratch:
    archives(scratch)
    pdf(scratch)
agile(PASSWORD, "agile.docx")
agile("VelvetSweatshop", "excel-by-itself.xlsx")
standard()
