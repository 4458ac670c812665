// What is signed follows what is typed, word for word.

const form = document.getElementById("sign");
if (form) {
  const show = () => {
    const chosen = form.elements.disposition.selectedOptions[0];
    const limitation = form.elements.limitation.value.trim();
    document.getElementById("signed-disposition").textContent = chosen ? `${chosen.textContent} (${chosen.value})` : "–";
    document.getElementById("signed-reason").textContent =
      [form.elements.reason.value.trim(), limitation].filter(Boolean).join(" / ") || "–";
  };
  form.addEventListener("input", show);
  show();
}
