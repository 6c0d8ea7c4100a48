// Where files may be added, moved or deleted: a queue with progress, drag and drop, folders too, questions before a deed.
// One file a request, so that each has its own progress, answer and cancel. Hashed into PAGE_CSP.
'use strict';
(() => {
  const $ = (id) => document.getElementById(id);
  const say = (text) => { $('status').textContent = text; };
  const make = (tag, text, kind = '') => Object.assign(document.createElement(tag), { textContent: text, className: kind });
  const reason = (status) => (`e${status}` in WORDS ? word(`e${status}`) : word('else', status));

  // The rows as the server now has them, in the order asked for. The focus stays on its row.
  async function refresh() {
    const answer = await fetch(location.pathname + location.search, { cache: 'no-store' }).catch(() => null);
    if (!answer || !answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const held = document.activeElement.closest('#rows a');
    for (const id of ['totals', 'rows', 'empty']) {
      const fresh = page.getElementById(id);
      if (fresh) $(id).replaceWith(fresh);
    }
    document.dispatchEvent(new Event('rows'));
    if (held) [...$('rows').querySelectorAll('a')].find((link) => link.href === held.href)?.focus();
  }

  if ($('up')) uploads($('up'));
  if ($('ask')) deletes();
  if ($('to')) moves();
  if ($('make')) folders();

  function uploads(form) {
    const AT_ONCE = 2;
    // Smaller files are sent again as fast as they are taken up again.
    const WORTH_RESUMING = 1 << 20;
    const TUS = { 'Tus-Resumable': '1.0.0' };
    const JSON_ANSWER = { Accept: 'application/json' };
    const MANY = 10;
    // No answer, that of a front whose server starts again, or that of one that is busy: the upload itself is as it was.
    const PASSING = [0, 423, 429, 502, 503, 504];
    const waiting = [];
    let active = 0;
    let stored = 0;
    let failed = 0;
    let leftOut = false;
    let hidden = 0;
    let walking = 0;
    // What systems put into folders, and names that the server refuses by default.
    const HIDDEN = /(^|\/)(\.|(thumbs\.db|desktop\.ini)$)/i;

    function human(bytes) {
      const unit = bytes < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10));
      const amount = bytes / 1024 ** unit;
      const tenths = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
      return `${unit && amount < 10 ? amount.toLocaleString(document.documentElement.lang, tenths) : Math.round(amount)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][unit]}`;
    }

    // Finished rows are removed, but not while further files of their folder are added.
    function add(files, more = false) {
      if (!more) $('queue').querySelectorAll('.done').forEach((line) => line.remove());
      for (const item of files) {
        const { file, folder = '' } = item.file ? item : { file: item, folder: item.webkitRelativePath?.replace(/[^/]*$/, '') };
        const shown = folder + file.name;
        if (folder && !('dots' in form.dataset) && HIDDEN.test(shown)) {
          hidden += 1;
          continue;
        }
        const line = make('li', '');
        const bar = make('progress', '');
        const note = make('span', '', 'note');
        const button = make('button', '');
        bar.max = 1;
        bar.setAttribute('aria-label', shown);
        button.type = 'button';
        line.append(put(make('bdi', ''), shown), bar, note, button);
        $('queue').append(line);
        const upload = { file, folder, shown, line, bar, note, button };
        button.onclick = () => (upload.over ? enqueue(upload) : cancel(upload));
        enqueue(upload);
      }
      $('queue').scrollIntoView({ block: 'nearest' });
    }

    function enqueue(upload) {
      upload.over = upload.cancelled = false;
      upload.line.className = '';
      upload.offer?.remove();
      upload.bar.value = 0;
      tell(upload, word('waiting'));
      name(upload, word('cancel'));
      waiting.push(upload);
      next();
    }

    function name(upload, text) {
      upload.button.textContent = text;
      upload.button.setAttribute('aria-label', word('colon', text, upload.shown));
    }

    function tell(upload, text, kind = '') {
      upload.note.textContent = text;
      upload.note.className = `note ${kind}`;
    }

    function show(upload, sent) {
      const { size } = upload.file;
      upload.bar.value = size ? Math.min(1, sent / size) : 1;
      if (sent >= size) return tell(upload, word('storing'));
      const now = performance.now();
      upload.from ??= { sent, now };
      const seconds = (now - upload.from.now) / 1000;
      const speed = (sent - upload.from.sent) / seconds;
      const pace = seconds > 1 && speed > 0 ? `, ${human(speed)}/s, ${word('left', duration((size - sent) / speed))}` : '';
      tell(upload, word('of', Math.floor((sent / size) * 100), human(size)) + pace);
    }

    function duration(seconds) {
      const whole = Math.ceil(seconds);
      if (whole < 60) return `${whole} s`;
      return whole < 3600 ? `${Math.round(whole / 60)} min` : `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`;
    }

    async function next() {
      while (active < AT_ONCE && waiting.length) send(waiting.shift());
      if (active || walking || !(stored + failed + hidden)) return;
      const parts = [stored && word('stored_n', stored), failed && word('failed_n', failed), leftOut && word('no_folders'), hidden && word('hidden_n', hidden)];
      const text = parts.filter(Boolean).join(', ');
      stored = failed = hidden = 0;
      leftOut = false;
      // Of many, those that need a second look stay.
      if ($('queue').children.length > MANY) $('queue').querySelectorAll('.note.good').forEach((note) => note.parentNode.remove());
      await refresh();
      say(text);
    }

    async function send(upload) {
      active += 1;
      upload.from = null;
      show(upload, 0);
      const { file, replace } = upload;
      const target = form.action + upload.folder.split('/').map(encodeURIComponent).join('/');
      const type = { ...JSON_ANSWER, 'Content-Type': file.type || 'application/octet-stream' };
      let answer;
      if (replace && form.dataset.replace !== 'post') answer = await ask(upload, 'PUT', replace, type, file);
      else if (!replace && 'resumable' in form.dataset && file.size >= WORTH_RESUMING) answer = await resume(upload, target);
      else {
        // RFC 8187: everything but a few letters is encoded.
        const name = encodeURIComponent(file.name).replace(/['()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16)}`);
        type['Content-Disposition'] = `attachment; filename*=UTF-8''${name}`;
        answer = await ask(upload, 'POST', replace ? `${target}?webserv-replace` : target, type, file);
      }
      active -= 1;
      end(upload, answer);
      next();
    }

    // One request: always an answer, with status 0 where there was none.
    function ask(upload, method, url, headers, body = null, before = 0) {
      return new Promise((resolve) => {
        const request = new XMLHttpRequest();
        upload.request = request;
        if (body) request.upload.onprogress = (event) => show(upload, before + event.loaded);
        request.onloadend = () => resolve(request);
        request.open(method, url);
        for (const [field, value] of Object.entries(headers)) request.setRequestHeader(field, value);
        request.send(body);
      });
    }

    // tus 1.0.0: an upload that broke off, now or when the page was last open, goes on where the server has it.
    async function resume(upload, target) {
      const { file } = upload;
      const key = `tus ${target} ${file.name} ${file.size} ${file.lastModified}`;
      const forget = () => memory(key, (upload.url = ''));
      let failures = 0;
      let at = -1;
      let best = -1;
      upload.url ||= memory(key);
      while (!upload.cancelled) {
        let answer;
        let known = -1;
        const passes = () => known < 0 && PASSING.includes(answer.status);
        if (!upload.url) {
          // Here 423 is for the name, which may stay locked for long; below it is for the upload, held for a moment.
          const encode = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
          const about = `filename ${encode(file.name)}${file.type && `,filetype ${encode(file.type)}`}`;
          const fields = { ...TUS, ...JSON_ANSWER, 'Upload-Length': file.size, 'Upload-Metadata': about };
          answer = await ask(upload, 'POST', target, fields);
          if (answer.status === 201) {
            // The folder with an argument: whatever name the server goes by behind a proxy.
            const { search } = new URL(answer.getResponseHeader('Location'), target);
            memory(key, (upload.url = target + search));
            known = 0;
          } else if (!passes() || answer.status === 423) return answer;
        } else if (at < 0) {
          answer = await ask(upload, 'HEAD', upload.url, TUS);
          known = offset(answer);
          if (known < 0 && !passes()) forget();
        } else {
          const fields = { ...TUS, ...JSON_ANSWER, 'Upload-Offset': at, 'Content-Type': 'application/offset+octet-stream' };
          answer = await ask(upload, 'PATCH', upload.url, fields, file.slice(at), at);
          // Also where it refuses because it has another part of the file than was thought.
          known = offset(answer);
          if (known < 0 && !passes()) {
            forget();
            return answer;
          }
        }
        if (known === file.size && answer.status < 300) {
          forget();
          return answer;
        }
        if (known > best) failures = 0;
        best = Math.max(best, known);
        at = known;
        if (!passes() || upload.cancelled) continue;
        failures += 1;
        if (failures > 8) return answer;
        upload.from = null;
        tell(upload, word('interrupted'));
        await pause(upload, Math.min(15000, 250 * 2 ** failures));
      }
      if (upload.url) fetch(upload.url, { method: 'DELETE', headers: TUS }).catch(() => null);
      forget();
      return { status: 0 };
    }

    const offset = (answer) => Number(answer.getResponseHeader('Upload-Offset') ?? -1);

    // Until the time is over, the network is back or the upload is cancelled.
    const pause = (upload, time) => new Promise((resolve) => {
      upload.wake = resolve;
      setTimeout(resolve, time);
      addEventListener('online', resolve, { once: true });
    });

    // Where unfinished uploads are, kept over a reload; some browsers keep nothing.
    function memory(key, url) {
      try {
        if (url === undefined) return localStorage.getItem(key) || '';
        if (url) localStorage.setItem(key, url);
        else localStorage.removeItem(key);
      } catch { /* Then it cannot go on after a reload. */ }
      return '';
    }

    // The server's own words for what it refused (RFC 9457).
    function problem(answer) {
      try {
        return JSON.parse(answer.responseText) || {};
      } catch {
        return {};
      }
    }

    function end(upload, answer) {
      const { status } = answer;
      const { detail, limit, name: taken = upload.file.name } = problem(answer);
      // Which directive has it is nothing to people here; how large a file may be is.
      const [, most, unit] = /^(?:upload_max_file_size|client_max_body_size) (\d+)([kmg]?)/i.exec(limit) || [];
      const bytes = most * 1024 ** ' kmg'.indexOf(unit?.toLowerCase() || ' ');
      const said = document.documentElement.lang === 'en' && ![413, 507].includes(status);
      const why = said ? detail?.replace(` (${limit})`, '') : bytes ? word('colon', reason(status), word('most', human(bytes))) : reason(status);
      const focused = upload.line.contains(document.activeElement);
      if (status >= 200 && status < 300) {
        stored += 1;
        upload.bar.value = 1;
        settle(upload, word('stored'), 'good');
        upload.button.remove();
        if (focused) ($('queue').querySelector('li:not(.done) button') || $('file')).focus();
        return;
      }
      failed += 1;
      upload.replace = null;
      settle(upload, upload.cancelled ? word('cancelled') : why || reason(status), 'bad');
      // The same file has the wrong name or type, or is too large, again.
      if ([400, 413, 415].includes(status)) {
        upload.button.remove();
        if (focused) $('file').focus();
      }
      if (status === 409 && 'replace' in form.dataset) {
        upload.offer = make('button', word('replace'), 'replace');
        upload.offer.type = 'button';
        upload.offer.setAttribute('aria-label', word('replace_name', taken));
        upload.offer.onclick = () => {
          upload.button.focus();
          upload.replace = new URL(upload.folder + encodeURIComponent(taken), form.action).href;
          enqueue(upload);
        };
        upload.button.before(upload.offer);
      }
    }

    function settle(upload, text, kind) {
      upload.over = true;
      upload.request = null;
      upload.line.className = 'done';
      tell(upload, text, kind);
      name(upload, word('again'));
    }

    function cancel(upload) {
      upload.cancelled = true;
      upload.wake?.();
      if (upload.request) return upload.request.abort();
      waiting.splice(waiting.indexOf(upload), 1);
      failed += 1;
      settle(upload, word('cancelled'), 'bad');
      next();
    }

    $('hint').hidden = false;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      add($('file').files);
      form.reset();
    });

    const veil = (event, shown) => {
      if (!event.dataTransfer?.types.includes('Files')) return false;
      event.preventDefault();
      $('drop').hidden = !shown;
      return true;
    };
    addEventListener('dragenter', (event) => veil(event, true));
    addEventListener('dragover', (event) => veil(event, true));
    // Nothing is entered instead: the files left the window.
    addEventListener('dragleave', (event) => {
      if (!event.relatedTarget) $('drop').hidden = true;
    });
    addEventListener('drop', (event) => {
      if (!veil(event, false)) return;
      const items = [...event.dataTransfer.items].filter((item) => item.kind === 'file');
      const entries = items.map((item) => item.webkitGetAsEntry?.());
      const files = items.filter((_, at) => !entries[at]?.isDirectory).map((item) => item.getAsFile());
      const folders = entries.filter((entry) => entry?.isDirectory);
      // Where folders are not taken one arrives as a file that cannot be read: it is left out, and said so.
      leftOut = folders.length > 0 && !('folders' in form.dataset);
      add(files);
      if (leftOut) say(word('no_folders'));
      else {
        walking += 1;
        Promise.all(folders.map((folder) => walk(folder, ''))).then(() => {
          walking -= 1;
          next();
        });
      }
    });

    // A dropped folder, all the way down; a directory gives its entries in parts.
    async function walk(entry, path) {
      const reader = entry.createReader();
      const inside = `${path}${entry.name}/`;
      for (;;) {
        const part = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
        if (!part.length) return;
        for (const each of part) {
          if (each.isDirectory) await walk(each, inside);
          else await new Promise((resolve) => each.file((file) => resolve(add([{ file, folder: inside }], true)), resolve));
        }
      }
    }

    if ($('dir')) {
      const picker = Object.assign(make('input', ''), { type: 'file', webkitdirectory: true, onchange: () => {
        add(picker.files);
        next();
      } });
      $('dir').hidden = !('webkitdirectory' in picker);
      $('dir').onclick = () => picker.click();
    }
    addEventListener('paste', (event) => {
      if (event.clipboardData.files.length) add(event.clipboardData.files);
    });
    addEventListener('beforeunload', (event) => {
      if (active) event.preventDefault();
    });
  }

  // A form of the page, sent without leaving it. The answer to one that did it is the listing.
  async function submit(query, fields) {
    const answer = await fetch(`./${query}`, { method: 'POST', body: new URLSearchParams(fields) }).catch(() => ({ status: 0 }));
    return answer;
  }

  function folders() {
    const form = $('make').querySelector('form');
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const name = $('folder').value.trim();
      const answer = await submit('?webserv-folder', { 'webserv-folder': name });
      if (!answer.ok) return say(word('not_made', name, reason(answer.status)));
      form.reset();
      $('make').open = false;
      await refresh();
      say(word('made', name));
      $('make').querySelector('summary').focus();
    });
  }

  function moves() {
    let link = null;
    document.addEventListener('click', (event) => {
      const clicked = event.target.closest('a.m');
      if (!clicked || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      link = clicked;
      const name = link.closest('tr').querySelector('bdi').textContent;
      put($('from'), name);
      // A name that no field can hold is typed whole: what it shows instead would become part of the name.
      $('target').value = /[\ufffd\u2400-\u2421]/.test(name) ? '' : name;
      $('to').returnValue = '';
      $('to').showModal();
      // What is changed is mostly what stands before the extension.
      const dot = name.lastIndexOf('.');
      $('target').focus();
      $('target').setSelectionRange(0, dot > 0 ? dot : name.length);
    });
    $('target').addEventListener('keydown', (event) => {
      if (event.key !== 'Enter') return;
      event.preventDefault();
      $('to').close($('target').value ? 'move' : 'keep');
    });
    $('to').addEventListener('close', async () => {
      const to = $('target').value.trim();
      const name = $('from').textContent;
      if ($('to').returnValue !== 'move' || !to || to === name) return;
      const index = link.closest('tr').rowIndex;
      const source = link.getAttribute('href').replace('?move=', '');
      const answer = await submit('', { 'webserv-move': source, 'webserv-to': to });
      if (!answer.ok) return say(word('not_moved', name, reason(answer.status)));
      await refresh();
      say(word('moved', name));
      const rows = [...$('rows').rows];
      const row = rows.find((row) => row.querySelector('bdi')?.textContent === to) || rows[Math.min(index, rows.length - 1)];
      (row?.querySelector('a.m') || $('filter')).focus();
    });
  }

  function deletes() {
    let link = null;

    document.addEventListener('click', (event) => {
      const clicked = event.target.closest('a.x');
      if (!clicked || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      link = clicked;
      const row = link.closest('tr');
      put($('name'), row.querySelector('bdi').textContent);
      const [before, after] = $('question').dataset[row.className === 'd' ? 'folder' : 'file'].split('{0}');
      $('question').replaceChildren(before, $('name').parentNode, after);
      $('ask').returnValue = '';
      $('ask').showModal();
    });

    // Closing gives the focus back to the link that asked.
    $('ask').addEventListener('close', async () => {
      if ($('ask').returnValue !== 'delete') return;
      const row = link.closest('tr');
      const name = $('name').textContent;
      const target = row.querySelector('th a').href;
      const index = row.rowIndex;
      const answer = await fetch(target, { method: 'DELETE' }).catch(() => ({ status: 0 }));
      if (!answer.ok && answer.status !== 404) {
        const why = answer.status === 409 && row.className === 'd' ? word('not_empty') : reason(answer.status);
        return say(word('not_deleted', name, why));
      }
      await refresh();
      const rows = $('rows').rows;
      const near = rows[Math.min(index, rows.length - 1)];
      (near?.querySelector('a.x') || $('filter')).focus();
      say(word('deleted', name));
    });
  }
})();
