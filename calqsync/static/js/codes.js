// Prints the page, or keeps a text of it as a file; the text never goes back to the server.
(() => {
  "use strict";
  document.querySelector("[data-print]")?.addEventListener("click", () => print());
  document.querySelector("[data-save-text]")?.addEventListener("click", (event) => {
    const { saveText, file } = event.currentTarget.dataset;
    const text = document.getElementById(saveText).textContent;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    link.download = file;
    link.click();
    URL.revokeObjectURL(link.href);
  });
})();
