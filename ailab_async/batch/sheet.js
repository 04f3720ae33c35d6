"use strict";
const byId = (id) => document.getElementById(id);
const list = byId("pictures");
let cards = [];
let sheets = [];

/* Thumbnails get their src when they come near and lose it when they leave: a browser keeps every
   picture of a data: address in memory at once, which many thousands of them would fill. */
const sourceOf = (picture) => `data:image/jpeg;base64,${picture.dataset.jpeg}`;
const wake = (card) => {
  for (const picture of card.querySelectorAll("img:not([src])")) picture.src = sourceOf(picture);
};
const rest = (card) => {
  for (const picture of card.querySelectorAll("img[src]")) picture.removeAttribute("src");
};
const watching = (near, far) =>
  new IntersectionObserver(
    (entries) => {
      for (const entry of entries) (entry.isIntersecting ? near : far)(entry.target);
    },
    { rootMargin: "800px 0px" },
  );
const nearCards = watching(wake, rest);
/* cards are watched only where their sheet is near: a hundred thousand would be too many */
const nearSheets = watching(
  (sheet) => Array.from(sheet.children, (card) => nearCards.observe(card)),
  (sheet) => {
    for (const card of sheet.children) nearCards.unobserve(card);
    rest(sheet); // its cards may not have been told yet that they are far
  },
);
const arriving = new MutationObserver((changes) => {
  for (const { addedNodes } of changes) {
    for (const node of addedNodes) if (node.className === "sheet") nearSheets.observe(node);
  }
});
arriving.observe(list, { childList: true });
addEventListener("beforeprint", () => cards.filter(isShown).forEach(wake));

/* what is shown: the filter itself is CSS, so it works while the page still loads */
const filter = document.querySelector(".filter");
const search = byId("search");
let texts = null;
const textOf = (card) => {
  const links = Array.from(card.querySelectorAll("a"), (link) => link.title);
  return [card.textContent, card.dataset.task, ...links].join("\n").toLowerCase();
};
const isShown = (card) => {
  const group = list.dataset.show;
  return !card.classList.contains("missed") && (!group || card.classList.contains(group));
};
const number = new Intl.NumberFormat("en");
const tell = () => {
  if (!cards.length) return;
  let shown = 0;
  for (const sheet of sheets) {
    const here = Array.from(sheet.children).filter(isShown).length;
    sheet.classList.toggle("bare", here === 0); // else it would count as near, with all its cards
    shown += here;
  }
  byId("shown").textContent =
    shown === cards.length ? "" : `${number.format(shown)} of ${number.format(cards.length)} shown`;
  byId("nothing").hidden = shown > 0;
};
const look = () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length && !texts) texts = cards.map(textOf);
  cards.forEach((card, at) => {
    card.classList.toggle("missed", !words.every((word) => texts[at].includes(word)));
  });
  list.classList.toggle("searched", words.length > 0);
  tell();
};
let waiting = 0;
search.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(look, 120);
});
const choose = () => {
  const group = filter.querySelector(":checked").value;
  if (group) list.dataset.show = group;
  else delete list.dataset.show;
  tell();
};
filter.addEventListener("change", choose);
/* how high a sheet is that was never laid out, so that the scroll bar is about right */
const guess = () => {
  const high = list.querySelector(".sheet").offsetHeight;
  if (list.childElementCount > 2 && high) list.style.setProperty("--high", `${high}px`);
};
addEventListener("resize", guess);
addEventListener("DOMContentLoaded", () => {
  cards = Array.from(list.querySelectorAll(".card"));
  sheets = Array.from(list.querySelectorAll(".sheet"));
  guess();
  choose(); // a browser that comes back to the page keeps what was chosen
  byId("tools-search").hidden = false;
  look();
});

/* one picture, large */
const viewer = byId("viewer");
const stage = byId("viewer-stage");
const strip = byId("viewer-strip");
const edge = byId("viewer-edge");
let current = null;
const neighbour = (step) => {
  for (let at = cards.indexOf(current) + step; at >= 0 && at < cards.length; at += step) {
    if (isShown(cards[at]) && cards[at].querySelector(".view")) return cards[at];
  }
  return null;
};
const slide = () => stage.style.setProperty("--cut", `${edge.value}%`);
const pick = (picture, button) => {
  byId("viewer-after").src = sourceOf(picture);
  for (const other of strip.children) other.setAttribute("aria-pressed", String(other === button));
};
const show = (card) => {
  current = card;
  const before = card.querySelector(".before img");
  const afters = Array.from(card.querySelectorAll(".after img"));
  const large = byId("viewer-before");
  stage.classList.toggle("alone", !before || !afters.length);
  large.src = sourceOf(before || afters[0]);
  large.alt = before ? "Before" : "After";
  stage.querySelector(".tag").textContent = large.alt;
  large.decode().then(
    () => stage.style.setProperty("--shape", large.naturalWidth / large.naturalHeight),
    () => {},
  );
  const buttons = afters.map((picture, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `Result ${at + 1}`);
    const small = new Image();
    small.src = sourceOf(picture);
    small.alt = "";
    button.append(small);
    button.addEventListener("click", () => pick(picture, button));
    return button;
  });
  strip.replaceChildren(...buttons);
  strip.hidden = buttons.length < 2;
  if (before && afters.length) pick(afters[0], buttons[0]);
  edge.value = 50;
  slide();
  byId("viewer-name").textContent = card.querySelector("h2").textContent;
  const visible = cards.filter(isShown);
  byId("viewer-place").textContent =
    `${number.format(visible.indexOf(card) + 1)} of ${number.format(visible.length)}`;
  const facts = [card.querySelector(".words, .note"), card.querySelector("footer")];
  const copies = facts.filter(Boolean).map((part) => part.cloneNode(true));
  for (const copy of copies) {
    for (const link of copy.querySelectorAll("a")) link.textContent = link.title;
    copy.querySelector(".count")?.remove();
  }
  if (card.dataset.task && !card.querySelector(".words")) {
    const task = document.createElement("code");
    task.textContent = `task ${card.dataset.task}`;
    copies.push(task);
  }
  byId("viewer-facts").replaceChildren(...copies);
  byId("viewer-back").disabled = !neighbour(-1);
  byId("viewer-on").disabled = !neighbour(1);
  if (!viewer.open) viewer.showModal();
};
const go = (step) => {
  const next = neighbour(step);
  if (next) show(next);
};
list.addEventListener("click", (event) => {
  const view = event.target.closest(".view");
  if (view) show(view.closest(".card"));
});
edge.addEventListener("input", slide);
byId("viewer-back").addEventListener("click", () => go(-1));
byId("viewer-on").addEventListener("click", () => go(1));
byId("viewer-close").addEventListener("click", () => viewer.close());
viewer.addEventListener("click", (event) => {
  if (event.target === viewer) viewer.close();
});
viewer.addEventListener("close", () => {
  current.scrollIntoView({ block: "nearest" });
  current.querySelector(".view").focus({ preventScroll: true });
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (viewer.open) {
    if (event.target === edge) return;
    if (event.key === "ArrowLeft") go(-1);
    else if (event.key === "ArrowRight") go(1);
  } else if (event.key === "/" && event.target !== search) {
    event.preventDefault();
    search.focus();
  } else if (event.key === "Escape" && event.target === search) {
    search.value = "";
    look();
  }
});
