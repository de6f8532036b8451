"use strict";

const search = document.getElementById("search");
const batch = document.getElementById("batch");
const found = document.getElementById("found");

// An accent may be part of its letter or a character of its own: NFKC makes them equal.
const plain = (text) => text.normalize("NFKC").toLowerCase();

const sections = [...document.querySelectorAll(".entries")].map((section) => ({
  noun: section.id === "failures" ? "failure" : "picture",
  none: section.querySelector(".none"),
  entries: [...section.querySelectorAll(".entry")].map((element) => ({
    element,
    text: plain([...element.querySelectorAll(".name, .reason")].map((e) => e.textContent).join(" ")),
  })),
}));

function filter() {
  const words = plain(search.value).split(/\s+/).filter(Boolean);
  const chosen = batch ? batch.value : "";
  const counts = [];
  for (const { noun, none, entries } of sections) {
    let count = 0;
    for (const { element, text } of entries) {
      const matches =
        (!chosen || element.dataset.batch === chosen) && words.every((word) => text.includes(word));
      element.hidden = !matches;
      count += matches;
    }
    none.hidden = count > 0 || entries.length === 0;
    if (entries.length) counts.push(`${count} ${noun}${count === 1 ? "" : "s"}`);
  }
  for (const element of document.querySelectorAll(".batch")) {
    element.hidden = chosen !== "" && element.dataset.batch !== chosen;
  }
  found.textContent = words.length || chosen ? counts.join(", ") : "";
}

function split(slider) {
  slider.parentElement.style.setProperty("--split", `${slider.value}%`);
  slider.setAttribute("aria-valuetext", `${slider.value} % before, ${100 - slider.value} % after`);
}

search.addEventListener("input", filter);
if (batch) batch.addEventListener("input", filter);

document.addEventListener("input", (event) => {
  if (event.target.matches(".compare input")) split(event.target);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "/" && document.activeElement !== search) {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "Escape" && document.activeElement === search) {
    search.value = "";
    filter();
  }
});

// Browsers scroll only the focused control into view, not its whole entry. Not for the mouse: the
// page must not jump on a click.
document.addEventListener("focusin", (event) => {
  const entry = event.target.closest(".entry, .failures");
  if (entry && event.target.matches(":focus-visible")) entry.scrollIntoView({ block: "nearest" });
});

for (const slider of document.querySelectorAll(".compare input")) split(slider);
