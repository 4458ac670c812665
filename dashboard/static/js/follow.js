// Pages written by the server say when there is something newer, and load it unless somebody is at work on them.

import { loadTexts } from "./text.js";
import { openLive } from "./live.js";

const QUIET_MS = 3000;
const notice = document.getElementById("changed");
const main = document.getElementById("main");
const opened = performance.now();
const unfolded = () => [...main.querySelectorAll("details")].map((part) => part.open).join();
const asWritten = unfolded();
const writing = () => [...document.querySelectorAll("textarea, input[type=password], #limitation")].some((field) => field.value !== "");
// Loading anew takes away where the keyboard stands, what was unfolded and what was marked, and speaks the page again
// to whoever listens to it: then the notice with its link does.
const reading = () => main.contains(document.activeElement) || unfolded() !== asWritten || document.getSelection().toString() !== "";
const settled = document.querySelector("#refusal") !== null;
let due = 0;

function load() {
  due = 0;
  if (writing() || settled || reading()) notice.hidden = false;
  else location.replace(location.pathname + location.search);
}

await loadTexts();
openLive({ view: "ledger", ...(Number(notice.dataset.seq) >= 0 ? { last: notice.dataset.seq } : {}) }, {
  ledger(content) {
    const kinds = notice.dataset.kinds.split(" ");
    const mine = !notice.dataset.task || content.tasks.includes(notice.dataset.task);
    if (due || !mine || !content.kinds.some((kind) => kinds.includes(kind))) return;
    // A busy laboratory has an event a second; a page that changes as often cannot be read.
    due = setTimeout(load, Math.max(0, QUIET_MS - (performance.now() - opened)));
  },
});
