// Settings that are not saved yet: they stay in this browser, but for keys, until they are saved or discarded. The bar comes
// with the first of them.

let base = {};
const formNow = () => document.querySelector("form[data-draft]");
const valuesOf = (form) => {
	const data = new FormData(form);
	const names = [...new Set(data.keys())].filter((name) => !/key$|revision/i.test(name));
	return Object.fromEntries(names.map((name) => [name, data.getAll(name)]));
};
const told = (values, name) => (values[name] || []).join("\n").trimEnd();
const changed = (a, b) => Object.keys({ ...a, ...b }).filter((name) => told(a, name) !== told(b, name));

const forget = () => delete localStorage[location.pathname];

const keep = () => {
	const form = formNow();
	if (!form) return;
	const values = valuesOf(form);
	const n = changed(base, values).length;
	const bar = form.querySelector(".savebar");
	const pending = "pending" in form.dataset;
	bar.hidden = !n && !pending;
	form.toggleAttribute("data-dirty", !bar.hidden);
	bar.querySelector("b").textContent = !n ? "" : n === 1 ? word("unsavedOne") : word("unsavedMany", n);
	if (pending) return; // the draft that was refused is kept with the state that it was made on
	if (n) localStorage[location.pathname] = JSON.stringify([form.elements.revision.value, values]);
	else forget();
};

// put types what a draft has into the form.
const put = (form, values) => {
	while (form.querySelectorAll("[name=route]").length < values.route.length) form.querySelector("[data-add-row]").click();
	for (const field of form.querySelectorAll("[name]")) {
		const { name } = field;
		if (field.type === "checkbox") field.checked = name in values;
		else if (values[name]) field.value = values[name][[...form.querySelectorAll(`[name="${name}"]`)].indexOf(field)] ?? "";
	}
};

const begin = () => {
	const form = formNow();
	if (!form) return;
	base = valuesOf(form);
	if ("settled" in form.dataset) forget();
	const kept = localStorage[location.pathname];
	if (kept && !("pending" in form.dataset)) {
		const [revision, values] = JSON.parse(kept);
		put(form, values);
		form.elements.revision.value = revision;
	}
	keep();
};

on("input", keep);
on("change", keep);
on("click", ({ target }) => {
	if (!target.closest("[data-discard]")) return;
	forget();
	formNow().removeAttribute("data-dirty");
});
on("xlb:page", begin);
begin();
