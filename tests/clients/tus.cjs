// Uploads by tus-js-client as a program uses it: node tus.cjs ENDPOINT FILE HOW. Prints the upload's URL when the client
// says that it succeeded. The test compares the file.
const fs = require('node:fs');
const tus = require('tus-js-client');

const [endpoint, file, how] = process.argv.slice(2);
const content = fs.readFileSync(file);
const name = how + '.bin';
const ways = {
  pieces: { chunkSize: 300000 },
  whole: {},
  first: { uploadDataDuringCreation: true, chunkSize: 300000 },
  parallel: { parallelUploads: 4 },
  draft03: { protocol: 'ietf-draft-03', chunkSize: 300000 },
  draft05: { protocol: 'ietf-draft-05', chunkSize: 300000 },
  draft05whole: { protocol: 'ietf-draft-05' },
  override: { overridePatchMethod: true, chunkSize: 300000 },
  folder: { metadata: { relativePath: 'album/é/folder.bin' } },
};
const { metadata, ...options } = ways[how === 'resumed' ? 'pieces' : how];

function upload(more) {
  return new tus.Upload(content, {
    endpoint,
    metadata: { filename: name, filetype: 'application/octet-stream', ...metadata },
    retryDelays: [0, 50, 200, 500, 1000, 2000, 4000],
    onError(error) {
      console.error(String(error));
      process.exit(1);
    },
    onSuccess() {
      console.log(this.url ?? '');
      process.exit(0);
    },
    ...options,
    ...more,
  });
}

if (how === 'resumed') {
  // Stopped after some pieces; another client goes on by the URL alone.
  const first = upload({
    onChunkComplete(_, accepted) {
      if (accepted >= 600000) first.abort().then(() => upload({ uploadUrl: first.url }).start());
    },
  });
  first.start();
} else {
  upload().start();
}
