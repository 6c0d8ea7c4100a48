// Where files may be added or deleted: a queue with progress, drag and drop, a question before a delete.
// One file a request, so that each has its own progress, answer and cancel. Hashed into PAGE_CSP.
'use strict';
(() => {
  const $ = (id) => document.getElementById(id);
  const say = (text) => { $('status').textContent = text; };
  const make = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
  const REASONS = {
    0: 'the connection was lost', 400: 'the name or the request was not accepted', 401: 'sign in first',
    403: 'not permitted', 404: 'not found', 405: 'not allowed here', 409: 'the name is taken',
    412: 'it has changed meanwhile', 413: 'too large', 415: 'files of this type are not accepted',
    429: 'too many requests', 503: 'the server is busy', 507: 'no space left',
  };
  const reason = (status) => REASONS[status] || `the server answered ${status}`;

  // The rows as the server now has them, in the order asked for.
  async function refresh() {
    const answer = await fetch(location.pathname + location.search, { cache: 'no-store' }).catch(() => null);
    if (!answer || !answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    for (const id of ['totals', 'rows']) {
      const fresh = page.getElementById(id);
      if (fresh) $(id).replaceWith(fresh);
    }
    document.dispatchEvent(new Event('rows'));
  }

  if ($('up')) uploads();
  if ($('ask')) deletes();

  function uploads() {
    const AT_ONCE = 2;
    const waiting = [];
    let active = 0;
    let stored = 0;
    let failed = 0;
    let folders = 0;

    function add(files) {
      $('queue').querySelectorAll('.done').forEach((line) => line.remove());
      for (const file of files) {
        const line = make('li', '');
        const bar = make('progress', '');
        const note = make('span', 'waiting');
        const button = make('button', 'Cancel');
        bar.max = 1;
        bar.value = 0;
        bar.setAttribute('aria-label', file.name);
        button.type = 'button';
        line.append(make('bdi', file.name), bar, note, button);
        $('queue').append(line);
        const upload = { file, line, bar, note, button, request: null };
        button.onclick = () => (upload.over ? again(upload) : cancel(upload));
        waiting.push(upload);
      }
      next();
    }

    function next() {
      while (active < AT_ONCE && waiting.length) send(waiting.shift());
      if (active || !(stored + failed)) return;
      const parts = [stored && `${stored} stored`, failed && `${failed} not stored`, folders && 'folders left out'];
      say(parts.filter(Boolean).join(', '));
      stored = failed = folders = 0;
      refresh();
    }

    function send(upload) {
      const request = new XMLHttpRequest();
      const form = new FormData();
      form.append('file', upload.file);
      upload.request = request;
      upload.note.textContent = '0 %';
      active += 1;
      request.upload.onprogress = (event) => {
        const part = event.total ? event.loaded / event.total : 0;
        upload.bar.value = part;
        upload.note.textContent = `${Math.floor(part * 100)} %`;
      };
      request.onload = () => end(upload, request.status >= 200 && request.status < 300 ? '' : reason(request.status));
      request.onerror = () => end(upload, reason(0));
      request.onabort = () => end(upload, 'cancelled');
      request.open('POST', $('up').action);
      request.setRequestHeader('Accept', 'application/json');
      request.send(form);
    }

    function end(upload, problem) {
      const focused = document.activeElement === upload.button;
      active -= 1;
      upload.request = null;
      settle(upload, problem);
      if (!problem) {
        stored += 1;
        upload.bar.value = 1;
        upload.button.remove();
        if (focused) $('file').focus();
      } else {
        failed += 1;
      }
      next();
    }

    function settle(upload, problem) {
      upload.over = true;
      upload.note.textContent = problem || 'stored';
      upload.note.className = problem ? 'bad' : 'good';
      upload.line.className = 'done';
      upload.button.textContent = 'Try again';
    }

    function cancel(upload) {
      if (upload.request) return upload.request.abort();
      waiting.splice(waiting.indexOf(upload), 1);
      settle(upload, 'cancelled');
    }

    function again(upload) {
      upload.over = false;
      upload.note.textContent = 'waiting';
      upload.note.className = upload.line.className = '';
      upload.button.textContent = 'Cancel';
      waiting.push(upload);
      next();
    }

    $('hint').hidden = false;
    $('up').addEventListener('submit', (event) => {
      event.preventDefault();
      add($('file').files);
      $('up').reset();
    });

    let inside = 0;
    const over = (event, by) => {
      if (!event.dataTransfer || !event.dataTransfer.types.includes('Files')) return;
      event.preventDefault();
      inside = Math.max(0, inside + by);
      $('drop').hidden = inside === 0;
    };
    addEventListener('dragenter', (event) => over(event, 1));
    addEventListener('dragleave', (event) => over(event, -1));
    addEventListener('dragover', (event) => over(event, 0));
    addEventListener('drop', (event) => {
      over(event, -inside);
      // A folder arrives as a file that cannot be read: leave it out and say so.
      const items = [...event.dataTransfer.items].filter((item) => item.kind === 'file');
      const isFolder = (item) => item.webkitGetAsEntry && item.webkitGetAsEntry()?.isDirectory;
      const files = items.filter((item) => !isFolder(item)).map((item) => item.getAsFile());
      folders = items.length - files.length;
      if (folders) say('Folders are left out: drop the files in them.');
      if (files.length) add(files);
    });
    addEventListener('beforeunload', (event) => {
      if (active) event.preventDefault();
    });
  }

  function deletes() {
    let link = null;

    document.addEventListener('click', (event) => {
      const clicked = event.target.closest('a.x');
      if (!clicked || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      link = clicked;
      $('name').textContent = link.closest('tr').querySelector('bdi').textContent;
      $('ask').returnValue = '';
      $('ask').showModal();
    });

    // Closing gives the focus back to the link that asked.
    $('ask').addEventListener('close', async () => {
      if ($('ask').returnValue !== 'delete') return;
      const row = link.closest('tr');
      const name = $('name').textContent;
      const target = row.querySelector('th a').href;
      const index = [...row.parentNode.rows].indexOf(row);
      const answer = await fetch(target, { method: 'DELETE' }).catch(() => ({ status: 0 }));
      if (!answer.ok && answer.status !== 404) {
        const why = answer.status === 409 && row.className === 'd' ? 'the folder is not empty' : reason(answer.status);
        return say(`${name} was not deleted: ${why}`);
      }
      await refresh();
      say(`Deleted ${name}`);
      const rows = $('rows').rows;
      const near = rows[Math.min(index, rows.length - 1)];
      (near && near.querySelector('a.x') || $('filter')).focus();
    });
  }
})();
