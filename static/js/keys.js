// Single keys, off while typing, with modifiers, and with body[data-keys=off].

const places = { o: "/", f: "/frontends", c: "/certificates", a: "/activity", s: "/account" };

const search = () => document.querySelector("[data-search], input[type=search]");

const typing = (el) =>
	el instanceof Element &&
	(el.closest("textarea, select, [contenteditable]") ||
		(el.localName === "input" && !["checkbox", "radio", "button", "submit"].includes(el.type)));

let afterG = 0;

const escape = (event) => {
	const menu = document.querySelector("details.menu[open]");
	if (menu) {
		menu.open = false;
		menu.querySelector("summary")?.focus();
	} else if (event.target === search() && event.target.value) {
		event.preventDefault();
		event.target.value = "";
		event.target.dispatchEvent(new Event("input", { bubbles: true }));
	}
};

// Rows are those of tables: the focus is on the first thing in them that takes it.
const toRow = (by) => {
	const rows = [...document.querySelectorAll("#main tbody tr")].filter((row) => row.querySelector("a, button"));
	const at = rows.findIndex((row) => row.contains(document.activeElement));
	const row = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by];
	row?.querySelector("a, button").focus();
};

const toTab = (by) => {
	const tabs = [...document.querySelectorAll("#main nav.tabs a")];
	tabs[tabs.findIndex((tab) => tab.hasAttribute("aria-current")) + by]?.click();
};

const press = {
	"?": () => document.getElementById("key-list")?.showModal(),
	"[": () => toTab(-1),
	"]": () => toTab(1),
	j: () => toRow(1),
	k: () => toRow(-1),
	x: () => document.activeElement.closest("tr")?.querySelector("input[type=checkbox]")?.click(),
	c: () => document.querySelector("[data-copy=command]")?.click(),
	t: () => document.querySelector("#main [data-tables]")?.click(),
	"/": () => search()?.focus(),
	n: () => location.assign("/frontends/new"),
	p: () => tell("xlb:pause"),
	g: () => (afterG = Date.now()),
};

on("keydown", (event) => {
	if (event.key === "Escape") {
		escape(event);
		return;
	}
	if (event.key === "F6") {
		event.preventDefault();
		const box = document.getElementById("toasts");
		(box.querySelector("button") || box).focus();
		return;
	}
	if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
		event.target.form?.requestSubmit();
		return;
	}
	if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
	if (document.body.dataset.keys === "off" || typing(event.target)) return;
	if (document.querySelector("dialog[open]")) return;
	// Without a side bar there is nowhere to go, and a command to copy at most.
	if (!document.querySelector(".app") && !["c", "[", "]"].includes(event.key)) return;
	const place = Date.now() - afterG < 1500 ? places[event.key] : "";
	afterG = 0;
	if (place) {
		event.preventDefault();
		location.assign(place);
	} else if (Object.hasOwn(press, event.key)) {
		event.preventDefault();
		press[event.key]();
	}
});

// A click elsewhere closes an open menu.
on("click", (event) => {
	for (const menu of document.querySelectorAll("details.menu[open]")) {
		if (!menu.contains(event.target)) menu.open = false;
	}
});
