// Every listing: times in the reader's zone, a filter, a look at a file. The page is whole without it.
// Hashed into PAGE_CSP, as the style is.
'use strict';
const WORDS = JSON.parse(document.getElementById('words').textContent);
const word = (key, ...values) => (WORDS[key] ?? key).replace(/\{(\d)\}/g, (_, at) => values[at]);
// A name in its element, as in the rows: one that is read from right to left keeps its extension at the right end.
const put = (bdi, name) => {
  const dot = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/.test(name) ? name.search(/(\.tar)?\.[^.]*$/i) : -1;
  bdi.textContent = name;
  bdi.dir = dot > 0 ? 'ltr' : 'auto';
  if (dot > 0) bdi.replaceChildren(Object.assign(document.createElement('bdi'), { textContent: name.slice(0, dot) }), name.slice(dot));
  return bdi;
};
(() => {
  const $ = (id) => document.getElementById(id);
  const make = (tag, more = {}) => Object.assign(document.createElement(tag), more);
  const two = (n) => String(n).padStart(2, '0');

  function localTimes() {
    for (const time of $('rows').querySelectorAll('time')) {
      const at = new Date(time.dateTime);
      time.title = time.dateTime;
      time.firstChild.data = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
    }
    $('zone').hidden = true;
  }

  function filter() {
    const wanted = $('filter').value.trim().toLowerCase();
    let shown = 0;
    let all = 0;
    for (const block of $('rows').tBodies) {
      let left = 0;
      for (const row of block.rows) {
        const counts = !row.matches('.up');
        row.hidden = counts && !row.querySelector('bdi').textContent.toLowerCase().includes(wanted);
        left += !row.hidden;
        all += counts;
        shown += counts && !row.hidden;
      }
      // How high it is while it is out of sight.
      block.style.setProperty('--rows', left);
      block.hidden = !left;
    }
    $('status').textContent = wanted ? word('shown', shown, all) : '';
  }

  // What a browser can show, by extension. Text is fetched, its beginning only.
  const KINDS = {
    img: 'png jpg jpeg gif webp avif svg bmp ico',
    audio: 'mp3 ogg oga opus wav flac m4a aac',
    video: 'mp4 webm m4v mov ogv',
    pre: 'txt md log csv tsv json xml yml yaml toml ini conf css js ts py rs c h cpp go java sh sql diff patch srt vtt',
  };
  const kindOf = (link) => {
    const extension = /\.(\w+)$/.exec(link.pathname)?.[1].toLowerCase();
    return extension && Object.keys(KINDS).find((kind) => KINDS[kind].split(' ').includes(extension));
  };
  const TEXT = 1 << 16;
  let current = null;
  let view = null;

  function viewer() {
    if (view) return view;
    view = make('dialog', { id: 'view' });
    const bar = make('div', { className: 'bar' });
    const button = (key, act) => bar.append(make('button', { type: 'button', textContent: word(key), onclick: act }));
    bar.append(make('bdi', { id: 'viewed' }));
    button('previous', () => step(-1));
    button('next', () => step(1));
    bar.append(make('a', { id: 'open', textContent: word('open') }), make('a', { id: 'save', textContent: word('download'), download: '' }));
    button('close', () => view.close());
    view.setAttribute('aria-labelledby', 'viewed');
    view.append(bar, make('div', { id: 'shown' }));
    view.addEventListener('close', () => {
      $('shown').replaceChildren();
      current?.focus();
    });
    view.addEventListener('keydown', (event) => {
      if (event.target.matches('audio, video')) return;
      if (event.key === 'ArrowLeft') step(-1);
      if (event.key === 'ArrowRight') step(1);
    });
    document.body.append(view);
    return view;
  }

  const beside = (by) => {
    const links = [...$('rows').querySelectorAll('tbody tr:not(.d):not([hidden]) th a')].filter(kindOf);
    return links[links.indexOf(current) + by];
  };

  function step(by) {
    const next = beside(by);
    if (next) look(next);
  }

  async function look(link) {
    const box = viewer();
    const kind = kindOf(link);
    current = link;
    put($('viewed'), link.querySelector('bdi').textContent);
    $('open').href = $('save').href = link.href;
    const [previous, next, close] = box.querySelectorAll('button');
    const held = document.activeElement;
    previous.disabled = !beside(-1);
    next.disabled = !beside(1);
    if (held.disabled) close.focus();
    const shown = make(kind, kind === 'pre' ? { tabIndex: 0 } : { src: link.href });
    if (kind === 'img') shown.alt = $('viewed').textContent;
    else if (kind !== 'pre') shown.controls = true;
    shown.onerror = () => $('shown').replaceChildren(make('p', { textContent: word('no_preview') }));
    $('shown').replaceChildren(shown);
    if (!box.open) box.showModal();
    if (kind !== 'pre') return;
    const answer = await fetch(link.href, { headers: { Range: `bytes=0-${TEXT - 1}` } }).catch(() => null);
    if (!answer?.ok) return shown.onerror();
    const bytes = await answer.arrayBuffer();
    if (link !== current) return;
    shown.textContent = new TextDecoder().decode(bytes.slice(0, TEXT));
    const size = Number(answer.headers.get('Content-Range')?.split('/')[1] ?? bytes.byteLength);
    if (size > TEXT) $('shown').append(make('p', { textContent: word('cut') }));
  }

  document.addEventListener('click', (event) => {
    const link = event.target.closest('#rows tbody tr:not(.d) th a');
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || !kindOf(link)) return;
    event.preventDefault();
    look(link);
  });
  $('find').hidden = false;
  // Without this script the key does nothing; without a keyboard there is none to press.
  if (matchMedia('(any-pointer: fine)').matches) $('filter').placeholder = $('filter').dataset.press;
  $('filter').addEventListener('input', filter);
  document.addEventListener('keydown', (event) => {
    const typing = event.target.matches('input:not([type=file]), textarea, select, dialog, dialog *');
    if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      $('filter').focus();
    } else if (event.key === 'Escape' && event.target === $('filter')) {
      $('filter').value = '';
      filter();
    }
  });
  // upload.js announces rows it has fetched again.
  document.addEventListener('rows', () => {
    localTimes();
    if ($('filter').value) filter();
  });
  localTimes();
})();
