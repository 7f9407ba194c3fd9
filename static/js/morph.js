// New markup from the server: an "xlb:morph" event brings the id of an element
// and its markup. The element is made like it, and what the person is doing
// stays: focus, typed text, open menus.

const inUse = (el) =>
	el === document.activeElement ||
	((el.localName === "details" || el.localName === "dialog") && el.open);

const isElement = (node) => node.nodeType === Node.ELEMENT_NODE;
const keyOf = (node) => (isElement(node) ? node.id || node.dataset.key || "" : "");
const isField = (el) => ["input", "textarea", "select"].includes(el.localName);

// Attributes that belong to the person.
const kept = (el, name) =>
	(name === "open" && el.localName === "details") ||
	(isField(el) && (name === "value" || name === "checked"));

const morphAttributes = (from, to) => {
	for (const { name, value } of [...to.attributes]) {
		if (!kept(from, name) && from.getAttribute(name) !== value) from.setAttribute(name, value);
	}
	for (const { name } of [...from.attributes]) {
		if (!to.hasAttribute(name) && !kept(from, name)) from.removeAttribute(name);
	}
};

const known = new WeakMap(); // an element with a key -> what the server sent of it last

const morph = (from, to) => {
	if (!isElement(from)) {
		if (from.data !== to.data) from.data = to.data;
		return;
	}
	// The stamp and the pause button are written in the browser.
	if (inUse(from) || from.matches("[data-stamp], [data-pause]")) return;
	// A row that the server has not changed is left alone: of a hundred, most are.
	if (from.dataset.key) {
		const markup = to.outerHTML;
		if (markup === known.get(from)) return;
		known.set(from, markup);
	}
	morphAttributes(from, to);
	if (!isField(from)) morphChildren(from, to);
};

const morphChildren = (from, to) => {
	const keyed = new Map();
	for (const child of from.childNodes) {
		const key = keyOf(child);
		if (key) keyed.set(key, child);
	}
	// Rows do not move under the pointer or around the focus.
	const still =
		from.localName === "tbody" &&
		(from.matches(":hover") || from.contains(document.activeElement));
	const stays = new Set();

	// The child that becomes `want`: the one of the same key, or else the next
	// one of the same kind that has no key.
	const find = (want, at) => {
		const key = keyOf(want);
		if (key) {
			const child = keyed.get(key);
			return child && child.nodeName === want.nodeName ? child : null;
		}
		while (at && (stays.has(at) || keyOf(at) || at.nodeName !== want.nodeName)) at = at.nextSibling;
		return at;
	};

	let at = from.firstChild;
	for (const want of [...to.childNodes]) {
		const have = find(want, at);
		if (!have) {
			const fresh = document.importNode(want, true);
			from.insertBefore(fresh, at);
			stays.add(fresh);
			continue;
		}
		stays.add(have);
		if (have === at || still || have.contains(document.activeElement)) at = have.nextSibling;
		else from.insertBefore(have, at);
		morph(have, want);
	}
	for (const child of [...from.childNodes]) {
		const busy = isElement(child) && (inUse(child) || child.contains(document.activeElement));
		if (!stays.has(child) && !busy && child.dataset?.kept === undefined) child.remove();
	}
};

on("xlb:morph", ({ detail: { id, markup } }) => {
	const el = document.getElementById(id);
	// A list of which rows are selected holds still.
	if (!el || el.querySelector("[data-select]:checked")) return;
	const page = parse(el, markup);
	const root = page.getElementById(id);
	if (root) morph(el, root);
	else morphChildren(el, page.body);
	tell("xlb:swap", el);
});
