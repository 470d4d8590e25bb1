export type Theme = "system" | "light" | "dark";

const KEY = "headwater-theme";
const systemDark = matchMedia("(prefers-color-scheme: dark)");

/** What was chosen; the system's theme by default. */
export function chosenTheme(): Theme {
  try {
    const stored = localStorage.getItem(KEY);
    return stored === "light" || stored === "dark" ? stored : "system";
  } catch {
    return "system";
  }
}

export function chooseTheme(theme: Theme) {
  try {
    if (theme === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // Storage may be switched off: the choice then lasts as long as the page.
  }
  show(theme);
}

function show(theme: Theme) {
  const dark = theme === "system" ? systemDark.matches : theme === "dark";
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  window.dispatchEvent(new Event("themechange"));
}

systemDark.addEventListener("change", () => {
  if (chosenTheme() === "system") show("system");
});
