"""WebDAV by the client webdav4: webdav_client.py URL HOW. It raises where the server does not do as it should."""

import io
import sys

from webdav4.client import Client
from webdav4.fsspec import WebdavFileSystem

url, how = sys.argv[1:]


def files():
    client = Client(url)
    client.mkdir("w4")
    client.upload_fileobj(io.BytesIO(b"hello"), "w4/a b+&é.txt")
    assert client.exists("w4/a b+&é.txt")
    assert client.ls("w4", detail=False) == ["w4/a b+&é.txt"]
    assert client.content_length("w4/a b+&é.txt") == 5
    client.copy("w4/a b+&é.txt", "w4/two.txt")
    client.move("w4/two.txt", "w4/three.txt")
    content = io.BytesIO()
    client.download_fileobj("w4/three.txt", content)
    assert content.getvalue() == b"hello"
    client.remove("w4")
    assert not client.exists("w4")


def trees():
    system = WebdavFileSystem(url)
    system.makedirs("fs/deep/er")
    with system.open("fs/deep/er/new.txt", "w") as file:
        file.write("x" * 10)
    with system.open("fs/bytes", "wb") as file:
        file.write(bytes(range(256)) * 100)
    with system.open("fs/bytes", "rb") as file:
        file.seek(256 * 50 + 7)
        assert file.read(3) == bytes([7, 8, 9])
    assert sorted(system.find("fs")) == ["fs/bytes", "fs/deep/er/new.txt"]
    system.cp("fs", "fs2", recursive=True)
    system.mv("fs2", "fs3", recursive=True)
    assert system.cat("fs3/deep/er/new.txt") == b"x" * 10
    system.rm("fs", recursive=True)
    system.rm("fs3", recursive=True)
    assert not system.exists("fs") and not system.exists("fs2")


{"files": files, "trees": trees}[how]()
