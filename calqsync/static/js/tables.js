// A table of months that is wider than the page opens at its newest month.
(() => {
  "use strict";
  const newest = (root) => {
    for (const table of root.querySelectorAll(".table--months")) {
      const box = table.closest(".scroll");
      if (box) box.scrollLeft = box.scrollWidth;
    }
  };
  document.addEventListener("DOMContentLoaded", () => newest(document));
  document.addEventListener("htmx:afterSettle", (event) => newest(event.target));
  document.addEventListener("toggle", (event) => newest(event.target), true);
})();
