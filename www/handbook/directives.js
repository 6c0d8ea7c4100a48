// The search box on the page of directives: hides what does not hold every word typed. Sections of other chapters are shown
// where they hold the words.
const box = document.querySelector('nav input');
const entries = [...document.querySelectorAll('main section')];
const count = document.getElementById('count');
const texts = entries.map((entry) => entry.textContent.toLowerCase());
const directives = entries.filter((entry) => !entry.classList.contains('chapter')).length;

function filter() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  entries.forEach((entry, at) => {
    const isFound = words.every((word) => texts[at].includes(word));
    entry.hidden = !isFound || (!words.length && entry.classList.contains('chapter'));
    shown += entry.hidden ? 0 : 1;
  });
  count.textContent = words.length ? `${shown} found` : `${directives} directives`;
}

box.value = new URLSearchParams(location.search).get('q') ?? '';
box.addEventListener('input', filter);
box.form.addEventListener('submit', (event) => event.preventDefault());
document.addEventListener('keydown', (event) => {
  if (event.key === '/' && document.activeElement !== box) {
    event.preventDefault();
    box.focus();
  }
});
filter();
