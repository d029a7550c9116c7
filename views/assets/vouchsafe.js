// Comforts only: every page works without this file, and what needs it stays hidden until it runs.
document.documentElement.classList.add('live');

/** A button holds both its labels; the one that is not true now is hidden. */
function swap(button, second) {
  const [first, other] = button.children;
  first.hidden = second;
  other.hidden = !second;
}

for (const button of document.querySelectorAll('[data-show]')) {
  const field = document.getElementById(button.dataset.show);
  const show = (shown) => {
    field.type = shown ? 'text' : 'password';
    swap(button, shown);
  };
  button.addEventListener('click', () => show(field.type === 'password'));
  // a password left in plain sight is offered by autocomplete as ordinary text next time
  field.form.addEventListener('submit', () => show(false));
}

for (const button of document.querySelectorAll('[data-copy]')) {
  const from = document.getElementById(button.dataset.copy);
  const status = button.nextElementSibling;
  button.addEventListener('click', async () => {
    const text = from.value ?? [...from.children].map((line) => line.textContent).join('\n');
    await navigator.clipboard.writeText(text);
    swap(button, true);
    status.textContent = button.children[1].textContent;
    setTimeout(() => {
      swap(button, false);
      status.textContent = '';
    }, 2000);
  });
}

for (const button of document.querySelectorAll('[data-print]')) {
  button.addEventListener('click', () => window.print());
}

// Without this the button simply works, and the server says again how long to wait.
for (const pause of document.querySelectorAll('[data-pause]')) {
  const button = pause.closest('form').querySelector('button');
  button.disabled = true;
  setTimeout(() => {
    button.disabled = false;
    pause.hidden = true;
  }, Number(pause.dataset.pause) * 1000);
}
