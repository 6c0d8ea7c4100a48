// WebDAV by the client webdav of npm: node webdav.mjs URL HOW. It throws where the server does not do as it should.
import assert from 'node:assert';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

// Modules of this kind are not looked for in NODE_PATH.
const found = createRequire(import.meta.url).resolve.paths('webdav').concat(process.env.NODE_PATH.split(':'));
const { createClient } = await first(found.map((dir) => `${dir}/webdav/dist/node/index.js`));
const [url, how] = process.argv.slice(2);
const client = createClient(url);
const odd = '/n/deep er/ü#?.txt';

async function first(paths) {
  for (const path of paths) {
    try {
      return await import(pathToFileURL(path));
    } catch (error) {
      if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    }
  }
  throw new Error('no webdav');
}

const ways = {
  async files() {
    await client.createDirectory('/n/deep er', { recursive: true });
    await client.putFileContents(odd, 'hello', { overwrite: false });
    assert.equal(await client.getFileContents(odd, { format: 'text' }), 'hello');
    assert.equal(await client.putFileContents(odd, 'no', { overwrite: false }), false);
    const names = (await client.getDirectoryContents('/n/deep er')).map((one) => one.filename);
    assert.deepEqual(names, [odd]);
    assert.equal((await client.stat(odd)).size, 5);
    assert.deepEqual((await client.getDAVCompliance('/')).compliance, ['1', '2']);
    const stream = client.createWriteStream('/n/stream');
    const ended = new Promise((resolve) => stream.on('close', resolve));
    stream.write('abc');
    stream.end('def');
    await ended;
    for (let tries = 0; tries < 600 && !(await client.exists('/n/stream')); tries++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(await client.getFileContents('/n/stream', { format: 'text' }), 'abcdef');
    await client.deleteFile('/n');
  },
  async locks() {
    await client.putFileContents('/l', 'old');
    const lock = await client.lock('/l');
    const status = (error) => error.status;
    assert.equal(await client.putFileContents('/l', 'no').catch(status), 423);
    const held = { headers: { If: `(<${lock.token.replace(/[<>]/g, '')}>)` } };
    assert.equal(await client.putFileContents('/l', 'new', held), true);
    assert.equal(await client.deleteFile('/l').catch(status), 423);
    await client.unlock('/l', lock.token);
    await client.deleteFile('/l');
  },
  async trees() {
    await client.createDirectory('/t/in', { recursive: true });
    await client.putFileContents('/t/in/f', 'f');
    await client.copyFile('/t', '/t2');
    await client.moveFile('/t2', '/t3');
    assert.equal(await client.getFileContents('/t3/in/f', { format: 'text' }), 'f');
    assert.equal(await client.exists('/t2'), false);
    await client.deleteFile('/t');
    await client.deleteFile('/t3');
  },
};
await ways[how]();
