// The search box of the directives page: hides entries that do not hold every word typed.
const box = document.getElementById('search');
const entries = [...document.querySelectorAll('main section')];
const count = document.getElementById('count');
const texts = entries.map((entry) => entry.textContent.toLowerCase());

function filter() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  entries.forEach((entry, at) => {
    entry.hidden = !words.every((word) => texts[at].includes(word));
    shown += entry.hidden ? 0 : 1;
  });
  count.textContent = words.length ? `${shown} of ${entries.length}` : `${entries.length} directives`;
}

document.getElementById('find').hidden = false;
box.addEventListener('input', filter);
document.addEventListener('keydown', (event) => {
  if (event.key === '/' && document.activeElement !== box) {
    event.preventDefault();
    box.focus();
  }
});
filter();
