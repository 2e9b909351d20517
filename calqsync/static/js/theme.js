// Light, dark or as the system says. The choice is a cookie, so that the server can write
// data-theme into the page and nothing flashes.
(() => {
  "use strict";
  const YEAR = 60 * 60 * 24 * 365;
  const root = document.documentElement;

  const chosen = () => root.dataset.theme || "auto";

  function show() {
    for (const button of document.querySelectorAll("[data-theme-choice]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === chosen()));
    }
  }

  function choose(theme) {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `theme=${theme}; Path=/; Max-Age=${YEAR}; SameSite=Lax${secure}`;
    show();
    document.dispatchEvent(new CustomEvent("themechange"));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-choice]");
    if (button) choose(button.dataset.themeChoice);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    document.dispatchEvent(new CustomEvent("themechange"));
  });
  show();
})();
