// Every listing: times in the reader's zone, and a filter. The page is whole without it.
// Hashed into PAGE_CSP, as the style is.
'use strict';
(() => {
  const $ = (id) => document.getElementById(id);
  const two = (n) => String(n).padStart(2, '0');

  function localTimes() {
    for (const time of $('rows').querySelectorAll('time')) {
      const at = new Date(time.dateTime);
      time.title = time.dateTime;
      time.textContent = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
    }
    $('zone').hidden = true;
  }

  function filter() {
    const wanted = $('filter').value.trim().toLowerCase();
    let shown = 0;
    let all = 0;
    for (const row of $('rows').querySelectorAll('tr:not(.up)')) {
      row.hidden = !row.querySelector('bdi').textContent.toLowerCase().includes(wanted);
      all += 1;
      shown += row.hidden ? 0 : 1;
    }
    $('status').textContent = wanted ? `${shown} of ${all} shown` : '';
  }

  $('find').hidden = false;
  $('filter').addEventListener('input', filter);
  document.addEventListener('keydown', (event) => {
    const typing = event.target.matches('input:not([type=file]), textarea, select, dialog *');
    if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      $('filter').focus();
    } else if (event.key === 'Escape' && event.target === $('filter')) {
      $('filter').value = '';
      filter();
    }
  });
  // upload.js announces rows it has fetched anew.
  document.addEventListener('rows', () => {
    localTimes();
    if ($('filter').value) filter();
  });
  localTimes();
})();
