"""Uploads by tuspy: tus_client.py ENDPOINT FILE HOW. The test compares the file."""

import sys

from tusclient import client

endpoint, path, how = sys.argv[1:]
tus = client.TusClient(endpoint)
more = {"checksum": {"upload_checksum": True}, "pieces": {}, "resumed": {}}[how]
metadata = {"filename": f"py-{how}.bin"}
uploader = tus.uploader(path, chunk_size=300_000, metadata=metadata, retries=9, retry_delay=0.3, **more)
if how == "resumed":
    uploader.upload_chunk()
    uploader = tus.uploader(path, chunk_size=300_000, url=uploader.url)
uploader.upload()
print(uploader.url)
