// The search box on the page of directives: hides what does not hold the words typed. Sections of other chapters are shown
// where they hold them. Where nothing holds all words, what holds most of them is shown.
const box = document.querySelector('nav input');
const heading = document.querySelector('h1');
const entries = [...document.querySelectorAll('main section')];
const count = document.getElementById('count');
const texts = entries.map((entry) => entry.textContent.toLowerCase());
const isChapter = entries.map((entry) => entry.classList.contains('chapter'));
const directives = isChapter.filter((is) => !is).length;
const title = document.title;

function told(words, most, shown) {
  if (!words.length) return `${directives} directives`;
  if (most === words.length) return `${shown} found`;
  if (most > 0) return `Nothing has all of these words; ${shown} with ${most === 1 ? 'one' : most} of them:`;
  return 'Nothing found. What the chapters say is below; an empty box lists all directives.';
}

function filter() {
  const typed = box.value.trim();
  const words = [...new Set(typed.toLowerCase().split(/\s+/).filter(Boolean))];
  const held = texts.map((text) => words.filter((word) => text.includes(word)).length);
  const most = Math.max(...held);
  let shown = 0;
  entries.forEach((entry, at) => {
    const isFound = most > 0 ? held[at] === most : isChapter[at] === words.length > 0;
    entry.hidden = !isFound;
    shown += isFound ? 1 : 0;
  });
  count.textContent = told(words, most, shown);
  heading.textContent = words.length ? `Search: ${typed}` : 'Directives';
  document.title = words.length ? `${typed} – webserv handbook` : title;
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
