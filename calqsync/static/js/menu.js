// Small panels (details.menu) close on Escape, on a click elsewhere and when focus leaves.
// The navigation sheet on phones is a :target, so it works without this file.
(() => {
  "use strict";
  const open = () => document.querySelectorAll("details.menu[open]");

  document.addEventListener("click", (event) => {
    for (const menu of open()) if (!menu.contains(event.target)) menu.open = false;
  });

  document.addEventListener("focusin", (event) => {
    for (const menu of open()) if (!menu.contains(event.target)) menu.open = false;
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of open()) {
      const held = menu.contains(document.activeElement);
      menu.open = false;
      if (held) menu.querySelector("summary").focus();
    }
    if (location.hash === "#nav") closeSheet();
  });

  function closeSheet() {
    location.hash = "#top";
    document.querySelector('.bottom a[href="#nav"]')?.focus();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-close-sheet]");
    if (!link) return;
    event.preventDefault();
    closeSheet();
  });

  addEventListener("hashchange", () => {
    if (location.hash === "#nav") document.querySelector("#nav a[href]")?.focus();
  });

  // Printing shows what is folded away, such as the table under a chart.
  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details[data-print-open]:not([open])")) {
      fold.open = true;
      fold.dataset.openedForPrint = "";
    }
  });
  addEventListener("afterprint", () => {
    for (const fold of document.querySelectorAll("details[data-opened-for-print]")) {
      fold.open = false;
      delete fold.dataset.openedForPrint;
    }
  });

  // A form is sent once; a second click while the first is under way does nothing.
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented || event.target.method !== "post") return;
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "1";
  });
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });
})();
