// Pages written by the server say when there is something newer, and load it unless somebody is writing.

import { loadTexts } from "./text.js";
import { openLive } from "./live.js";

const notice = document.getElementById("changed");
const writing = () => [...document.querySelectorAll("textarea, input[type=password], #limitation")].some((field) => field.value !== "");
const settled = document.querySelector("#refusal") !== null;

await loadTexts();
openLive({ view: "ledger", ...(Number(notice.dataset.seq) >= 0 ? { last: notice.dataset.seq } : {}) }, {
  ledger(content) {
    const kinds = notice.dataset.kinds.split(" ");
    const mine = !notice.dataset.task || content.tasks.includes(notice.dataset.task);
    if (!mine || !content.kinds.some((kind) => kinds.includes(kind))) return;
    if (writing() || settled || document.getSelection().toString()) notice.hidden = false;
    else location.replace(location.pathname + location.search);
  },
});
