// Says on the page that the browser gave no key; allauth's script only writes it to the console.
(() => {
  "use strict";
  document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    const note = document.querySelector("[data-passkey-failed]");
    if (note) note.hidden = false;
  });
})();
