// Rows that are selected: how many there are, and a bar that acts on them. While there are any the list holds still.

const marked = () => document.querySelectorAll("[data-select]:checked").length;

const count = () => {
	const bar = document.querySelector("[data-selection]");
	if (!bar) return;
	const n = marked();
	bar.hidden = n === 0;
	bar.querySelector("[data-clear-selection]").hidden = false;
	const line = bar.querySelector("[data-selected]");
	const text = n === 0 ? "" : n === 1 ? word("selectedOne") : word("selectedMany", n);
	if (line.textContent !== text) line.textContent = text;
};

on("change", ({ target }) => {
	if (target.matches("[data-select]")) count();
});
on("reset", ({ target }) => {
	if (target.matches("[data-selection]")) setTimeout(count);
});
for (const name of ["xlb:swap", "xlb:page"]) on(name, count);
count();
