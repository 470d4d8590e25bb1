// Runs before the first paint, so that a remembered theme does not flash. A file of its own, because
// the content security policy allows no inline scripts.
(function () {
  var chosen = null;
  try {
    chosen = localStorage.getItem("headwater-theme");
  } catch (refused) {
    // Storage may be switched off; the system's theme is used then.
  }
  var dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
